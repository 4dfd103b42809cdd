"""What all jobs share: a thread, a way to stop it, and the containers of one job."""

import logging
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from botocore.exceptions import ClientError

from harness.base import Platform
from harness.errors import Refused
from harness.logs import LogStream
from harness.recognise import HARNESS_KEY
from harness.store import Resource

logger = logging.getLogger(__name__)

TICK = 0.1  # seconds between two looks at what runs
DAY = 86400  # seconds that a job may run if nobody says
GRACE = 2.0  # seconds from SIGTERM to the end by force; SageMaker waits for 120


class JobFailed(Exception):
    """A job that failed; the text is its FailureReason."""


class Work:
    """The signals of one job's thread.

    Args:
        job: what is described to callers.
    """

    def __init__(self, job: Resource) -> None:
        self.job = job
        self.stopped = threading.Event()
        self.interrupted = threading.Event()
        self.ended = threading.Event()

    def begin(self, act: Callable[["Work"], None], failed: Callable[[str], None]) -> None:
        """Run in a thread; whatever breaks is told as the job's failure.

        Args:
            act: what is run.
            failed: is told the reason.
        """

        def run() -> None:
            try:
                act(self)
            except JobFailed as error:
                failed(str(error)[:1024])
            except Exception as error:
                logger.exception("%s", self.job.name)
                failed(f"InternalServerError: the harness failed: {error}"[:1024])
            finally:
                self.ended.set()

        threading.Thread(target=run, daemon=True).start()


class Containers:
    """The containers of one job, one a host.

    Args:
        platform: whose children they are.
    """

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._children: list[subprocess.Popen[bytes]] = []
        self._readers: list[threading.Thread] = []

    def start(self, command: list[str], environment: Mapping[str, str], folder: Path, log: LogStream) -> None:
        """Start one more.

        Raises:
            JobFailed: there is no such command.
        """
        pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        try:
            child = self._platform.start(command, environment, folder=folder, **pipes)
        except OSError as error:
            raise JobFailed(f"AlgorithmError: {error}, exit code: 127") from error
        self._children.append(child)
        self._readers.append(log.follow(child.stdout))

    def poll(self) -> int | None:
        """Return None while all run, the first bad status, or 0 when all ended well."""
        statuses = [child.poll() for child in self._children]
        bad = [status for status in statuses if status]
        return bad[0] if bad else (None if None in statuses else 0)

    def end(self, *, grace: float = 0.0) -> None:
        """End those that still run, and wait for their last lines."""
        for child in self._children:
            self._platform.end(child, grace=grace)
        for reader in self._readers:
            reader.join(5)


def wait(containers: Containers, look: Callable[[], str | None]) -> tuple[int | None, str]:
    """Wait for containers to end, or for a reason to end them.

    Args:
        containers: what runs.
        look: returns the reason, or None.

    Returns:
        The exit status, or None and the reason.
    """
    while (status := containers.poll()) is None:
        if reason := look():
            return None, reason
        time.sleep(TICK)
    return status, ""


def without_credentials(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of an isolated container: it has no way to AWS, but knows its region."""
    kept = ("AWS_REGION", "AWS_DEFAULT_REGION")
    return {name: value for name, value in environment.items() if name in kept or not name.startswith("AWS_")}


def exit_code(status: int) -> int:
    """Return what Docker says of a process's status; a signal's is above 128."""
    return status if status >= 0 else 128 - status


def check_role(platform: Platform, arn: str) -> None:
    """Refuse a role that does not exist.

    Raises:
        Refused: as SageMaker words it.
    """
    try:
        platform.client("iam", HARNESS_KEY).get_role(RoleName=arn.rpartition("/")[2])
    except ClientError:
        raise Refused(
            "ValidationException",
            f"Could not assume role {arn}. Please ensure that the role exists and allows principal "
            "'sagemaker.amazonaws.com' to assume the role.",
        ) from None

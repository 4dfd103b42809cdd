"""Endpoints: an archive becomes a running server, and goes when it is no longer needed."""

import contextlib
import json
import os
import queue
import subprocess
import tempfile
import threading
import time
import weakref
from pathlib import Path
from typing import Any

from mri_tumor import errors
from mri_tumor.cloud import process
from mri_tumor.cloud.archive import remove
from mri_tumor.cloud.instances import LOCAL, check_instance_type
from mri_tumor.cloud.predictor import Predictor
from mri_tumor.errors import ArgumentError, EndpointError, PackageError


def deploy(
    package: str | Path, *, instance_type: str = LOCAL, startup_timeout: float = 180.0, timeout: float = 60.0
) -> Predictor:
    """Start an endpoint from an archive and return the Predictor that owns it.

    Leaving the Predictor's context, or `delete()`, stops it; so does the end of this program.

    Args:
        package: a `model.tar.gz` as `package` or an `Estimator` makes it.
        instance_type: `"local"`: a server on 127.0.0.1, in a process of its own.
        startup_timeout: seconds until the endpoint must answer.
        timeout: seconds that a request may take.

    Raises:
        ArgumentError: an argument is of the wrong kind.
        PackageError: the archive cannot be deployed; the error lists why.
        EndpointError: the endpoint did not start; the error shows the end of its log.
    """
    check_instance_type(instance_type)
    if not isinstance(package, str | Path):
        found = f"the package is a {type(package).__name__}"
        raise ArgumentError(found, "the path of a model.tar.gz", "build one with mri_tumor.cloud.package")
    if not Path(package).is_file():
        raise PackageError(
            f"there is no file {package}", "a model.tar.gz", "build one with mri_tumor.cloud.package"
        )
    server = LocalServer(Path(package).resolve(), startup_timeout)
    return Predictor(server.url, timeout=timeout, server=server)


class LocalServer:
    """The process that serves one archive on this machine.

    Args:
        archive: the package.
        startup_timeout: seconds until it must answer.

    Raises:
        PackageError: the archive cannot be deployed.
        EndpointError: the process did not start to serve.
    """

    def __init__(self, archive: Path, startup_timeout: float) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="mri_tumor-endpoint-"))
        try:
            self.process = self._start(archive)
            # Also at the program's end, and when the last reference goes.
            self._finalizer = weakref.finalize(self, _end, self.process, self.folder)
            port = self._port(startup_timeout)
        except BaseException:
            self.stop()
            raise
        self.url = f"http://127.0.0.1:{port}"

    def stop(self) -> None:
        """End the process and remove its files; the second call does nothing."""
        if hasattr(self, "_finalizer"):
            self._finalizer()
        remove(self.folder)

    @property
    def log(self) -> Path:
        """The file that holds what the process logs, as long as it runs."""
        return self.folder / "log.txt"

    def _start(self, archive: Path) -> subprocess.Popen[Any]:
        # Beside a program that has taken most of a GPU, the server can only take what it needs.
        environment = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "TF_CPP_MIN_LOG_LEVEL": "2", **os.environ}
        with self.log.open("wb") as log:
            return process.start(
                ["-P", "-m", "mri_tumor.cloud.server", str(archive), str(self.folder)],
                environment=environment,
                stdout=subprocess.PIPE,
                stderr=log,
            )

    def _port(self, timeout: float) -> int:
        """Wait for the process's one line: its port, or why it has none."""
        lines: queue.Queue[bytes] = queue.Queue()
        stream = self.process.stdout
        if stream is None:
            raise EndpointError("the endpoint's output is closed", "a pipe", "deploy again")
        threading.Thread(target=lambda: lines.put(stream.readline()), daemon=True).start()
        begin = time.monotonic()
        try:
            message = json.loads(lines.get(timeout=timeout) or b"{}")
        except queue.Empty:
            message = {}
        if "port" in message:
            return int(message["port"])
        if "error" in message:
            kind = getattr(errors, message["error"], EndpointError)
            raise kind(message["found"], message["expected"], message["fix"])
        raise self._not_started(time.monotonic() - begin)

    def _not_started(self, seconds: float) -> EndpointError:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(1)
        status = self.process.poll()
        how = "still starts" if status is None else f"ended with status {status}"
        return EndpointError(
            f"the endpoint does not answer: after {seconds:.0f} s its process {how}. The end of its log:\n"
            f"{process.last_lines(self.log)}",
            "an endpoint that answers",
            "look at the log above; on a slow machine pass a longer startup_timeout",
            code=503,
        )


def _end(child: subprocess.Popen[Any], folder: Path) -> None:
    process.stop(child)
    remove(folder)

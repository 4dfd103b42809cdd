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
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Unpack

from mri_tumor import errors
from mri_tumor.cloud import process
from mri_tumor.cloud.aws.terms import GivenTerms, Terms, check_names, refuse_locally
from mri_tumor.cloud.instances import LOCAL, check_instance_type
from mri_tumor.cloud.package import archive_of
from mri_tumor.cloud.predictor import Predictor
from mri_tumor.errors import EndpointError
from mri_tumor.files import discard

_STARTUP, _REMOTE_STARTUP = 180.0, 1800.0  # seconds


def deploy(
    package: str | Path,
    *,
    instance_type: str = LOCAL,
    name: str | None = None,
    output: str | None = None,
    instance_count: int = 1,
    memory_mb: int = 4096,
    max_concurrency: int = 5,
    asynchronous: bool = False,
    environment: Mapping[str, str] | None = None,
    image: str | None = None,
    startup_timeout: float | None = None,
    timeout: float = 60.0,
    threads: int = 4,
    **terms: Unpack[GivenTerms],
) -> Predictor:
    """Start an endpoint from an archive and return the Predictor that owns it.

    Leaving the Predictor's context, or `delete()`, removes it. The server on this machine also goes with this
    program; an endpoint on SageMaker stays, and costs money, until it is deleted (`mri-tumor endpoints` lists
    them). After an exception while it starts nothing is left.

    Args:
        package: a `model.tar.gz` as `package` or an `Estimator` makes it: a path, or `s3://...`.
        instance_type: `"local"`: a server on 127.0.0.1, in a process of its own; `"ml.<family>.<size>"`:
            instances on SageMaker; `"serverless"`: SageMaker without instances of our own.
        name: of the endpoint on SageMaker, which begins with `mri-tumor-` in any case; a new one by default.
        output: the `s3://` folder for an archive of this machine, and for asynchronous requests and answers.
        instance_count: how many instances share the requests.
        memory_mb: of a serverless endpoint, 1024 to 6144.
        max_concurrency: requests that a serverless endpoint answers at a time.
        asynchronous: requests and answers go through S3, so that they may be large and take their time.
        environment: variables for the container.
        image: the inference image, AWS's TensorFlow image by default.
        startup_timeout: seconds until the endpoint must answer: 180 here and 1800 on SageMaker by default.
        timeout: seconds that a request may take.
        threads: requests that the Predictor sends at a time.
        **terms: on SageMaker `role`, and if need be `subnets`, `security_group_ids`, `kms_key`,
            `network_isolation`, `tags`, `session`.

    Raises:
        ArgumentError: an argument is of the wrong kind, or means nothing for the instance type.
        PackageError: the archive cannot be deployed; the error lists why.
        CloudError: AWS refused.
        EndpointError: the endpoint did not start; the error shows the end of its log.
    """
    check_names(terms, deploy)
    check_instance_type(instance_type, serverless=True)
    remote = {
        "name": name,
        "output": output,
        "environment": environment,
        "image": image,
        "asynchronous": asynchronous or None,
        "instance_count": None if instance_count == 1 else instance_count,
        "memory_mb": None if memory_mb == 4096 else memory_mb,
        "max_concurrency": None if max_concurrency == 5 else max_concurrency,
    }
    if instance_type == LOCAL:
        refuse_locally({key: value for key, value in remote.items() if value is not None} | dict(terms))
        with archive_of(package) as archive:
            server = LocalServer(archive, startup_timeout or _STARTUP)
        return Predictor(server.url, timeout=timeout, threads=threads, owned=server)
    from mri_tumor.cloud.aws.endpoints.deployment import deploy_remotely
    from mri_tumor.cloud.aws.endpoints.plan import Plan

    plan = Plan(
        instance_type,
        instance_count,
        memory_mb,
        max_concurrency,
        asynchronous,
        environment,
        startup_timeout or _REMOTE_STARTUP,
    )
    endpoint = deploy_remotely(package, plan, Terms.of(terms), name=name, output=output, image=image)
    return Predictor(endpoint.name, timeout=timeout, threads=threads, owned=endpoint)


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
        discard(self.folder)

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
    discard(folder)

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
from mri_tumor.cloud.predictor import Owned, Predictor, check_threads
from mri_tumor.errors import ArgumentError, EndpointError
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
    engine: str | None = None,
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
        engine: what works the network out on this machine, as `Classifier.load` takes it; None for
            TensorFlow, as on SageMaker.
        **terms: on SageMaker `role`, and if need be `subnets`, `security_group_ids`, `kms_key`,
            `network_isolation`, `tags`, `session`.

    Raises:
        ArgumentError: an argument is of the wrong kind, or means nothing for the instance type.
        PackageError: the archive cannot be deployed; the error lists why.
        CloudError: AWS refused.
        EndpointError: the endpoint did not start; the error shows the end of its log.
        MissingExtra, EngineError: the engine is not installed, or does not say what TensorFlow says.

    >>> deploy("model.tar.gz", memory_mb=2048)
    Traceback (most recent call last):
        ...
    mri_tumor.errors.ArgumentError: memory_mb cannot be honoured ...
    """
    check_names(terms, deploy)
    check_threads(threads)
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
            server = LocalServer(archive, startup_timeout or _STARTUP, engine)
        return _owning(server.url, server, timeout, threads)
    if engine is not None:
        raise ArgumentError(
            f"engine={engine!r} with {instance_type}",
            f"no engine, or instance_type={LOCAL!r}",
            "leave it out: on SageMaker TensorFlow Serving works the network out",
        )
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
    return _owning(endpoint.name, endpoint, timeout, threads)


def _owning(name: str, owned: Owned, timeout: float, threads: int) -> Predictor:
    """Return the Predictor of what just started; if there is none, what started goes again."""
    try:
        return Predictor(name, timeout=timeout, threads=threads, owned=owned)
    except BaseException:
        owned.stop()
        raise


class LocalServer:
    """The process that serves one archive on this machine.

    Args:
        archive: the package.
        startup_timeout: seconds until it must answer.
        engine: what works the network out; None for TensorFlow.

    Raises:
        PackageError: the archive cannot be deployed.
        ArgumentError, MissingExtra, EngineError: the engine cannot be had.
        EndpointError: the process did not start to serve.
    """

    def __init__(self, archive: Path, startup_timeout: float, engine: str | None = None) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="mri_tumor-endpoint-"))
        try:
            self.process = self._start(archive, engine)
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

    def _start(self, archive: Path, engine: str | None) -> subprocess.Popen[Any]:
        # Beside a program that has taken most of a GPU, the server can only take what it needs.
        environment = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "TF_CPP_MIN_LOG_LEVEL": "2", **os.environ}
        chosen = [] if engine is None else ["--engine", engine]
        with self.log.open("wb") as log:
            return process.start(
                ["-P", "-m", "mri_tumor.cloud.server", str(archive), str(self.folder), *chosen],
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

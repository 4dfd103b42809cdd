"""One inference container: a package unpacked, its model loaded, its handler in a process of its own."""

import contextlib
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from harness.base import Platform
from harness.containers.children import HERE, Serving, announced_port, post
from harness.logs import LogStream
from harness.s3 import parts_of


class NotServing(Exception):
    """A container that cannot serve; the text is the platform's reason."""


@dataclass(frozen=True)
class Said:
    """What a container answered."""

    status: int
    kind: str
    body: bytes


class Container:
    """A running container of a model.

    Args:
        platform: whose it is.
        serving: loads its SavedModel.
        model: the primary container of `CreateModel`.
        log: where its lines go.
        environment: variables over those of the model.

    Raises:
        NotServing: the archive cannot be read, or nothing in it can be served.
    """

    def __init__(
        self,
        platform: Platform,
        serving: Serving,
        model: Mapping[str, Any],
        log: LogStream,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._platform, self._serving, self._log = platform, serving, log
        self._child: subprocess.Popen[bytes] | None = None
        self._model_port = 0
        folder = platform.new_folder("model")
        self._unpack(model["ModelDataUrl"], folder)
        own = {**platform.environment(), **model.get("Environment", {}), **(environment or {})}
        try:
            self._model_port = serving.load(folder)
            self._port = self._start(folder, own)
        except OSError as error:
            log.write(str(error))
            log.flush()
            self.close()
            raise NotServing(str(error)) from error

    def ask(self, body: bytes, headers: Mapping[str, str], timeout: float = 60) -> Said:
        """Return what the container answers to a request.

        Raises:
            OSError: it does not answer.
        """
        return Said(*post(self._port, "/invocations", body, dict(headers), timeout))

    def close(self) -> None:
        """End the container."""
        if self._model_port:
            with contextlib.suppress(OSError):
                self._serving.unload(self._model_port)
            self._model_port = 0
        if self._child is not None:
            self._platform.end(self._child)
            for pipe in (self._child.stdin, self._child.stdout):
                if pipe is not None:
                    pipe.close()
            self._child = None

    def _unpack(self, address: str, folder: Path) -> None:
        bucket, key = parts_of(address)
        place = folder.with_suffix(".tar.gz")
        try:
            place.write_bytes(self._platform.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read())
            with tarfile.open(place) as archive:
                archive.extractall(folder, filter="data")
        except (ClientError, tarfile.TarError, EOFError, OSError) as error:
            self._log.write(f"{type(error).__name__}: {error}")
            self._log.flush()
            raise NotServing(
                f'Failed to extract model data archive from URL "{address}". Please ensure that the object '
                "located at the URL is a valid tar.gz archive."
            ) from error

    def _start(self, folder: Path, environment: Mapping[str, str]) -> int:
        address = f"http://127.0.0.1:{self._model_port}/v1/models/model:predict"
        command = [sys.executable, str(HERE / "handler_service.py"), str(folder), address]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        self._child = self._platform.start(command, environment, folder=folder, **pipes)
        self._log.follow(self._child.stderr)
        return announced_port(self._child)

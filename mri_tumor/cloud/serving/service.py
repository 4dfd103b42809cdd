"""A model and its server, from loading to the end."""

import logging
import math
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from starlette.applications import Starlette

from mri_tumor.cloud.container.inference import Infer
from mri_tumor.cloud.serving.app import create_app
from mri_tumor.cloud.serving.gate import Gate, Limits
from mri_tumor.cloud.serving.listener import listen
from mri_tumor.cloud.serving.model import lay_out, load_model, warm_up
from mri_tumor.files import discard

logger = logging.getLogger(__name__)

_UNPACKED = "package"
_MARGIN = 5.0  # seconds that the end may take beyond the time of grace


class Service:
    """Serves one model until it is told to stop, by `stop` or by a signal.

    Stopping takes bounded time: no request is taken any more, those in progress have the time of grace, and
    what is not done then is ended.

    Args:
        source: a `model.tar.gz`, or a folder that `Classifier.save` or a training run wrote.
        folder: a folder of its own, for the unpacked model, which is removed in the end; `stop`, and an end
            by force, remove the whole folder.
        limits: what the server bears.
        engine: what works the network out, as `Classifier.load` takes it; None for TensorFlow.
    """

    def __init__(
        self, source: Path, folder: Path, limits: Limits | None = None, engine: str | None = None
    ) -> None:
        self.source = source
        self.folder = folder
        self.limits = limits or Limits()
        self.engine = engine
        self._server: HttpServer | None = None
        self._timer: threading.Timer | None = None
        self._told = False
        self._done = False

    def run(self, taken: socket.socket, ready: Callable[[], None]) -> None:
        """Load the model and serve it.

        Args:
            taken: where, as `listener.bind` gives it.
            ready: is called once the model has answered and connections are taken.

        Raises:
            PackageError: the archive cannot be used.
            ManifestMismatch: the folder holds no classifier, or a damaged one.
            ArgumentError, MissingExtra, EngineError: the engine cannot be had.
            EndpointError: another program listens there since.
        """
        unpacked = self.folder / _UNPACKED
        unpacked.mkdir()
        infer: _Counted | None = None
        try:
            manifest = lay_out(self.source, unpacked)
            infer = _Counted(load_model(unpacked, self.engine))
            warm_up(infer, manifest.sections["data"]["preprocess"]["size"])
            gate = Gate(self.limits)
            listen(taken)
            self._server = HttpServer(create_app(infer, manifest.to_dict(), gate), gate, self._end_later)
            ready()
            self._server.run(sockets=[taken])
        finally:
            self._done = True
            # Whoever called may go on, and must not be ended, unless a call of the model goes on too: this
            # process would wait for it in the end.
            if self._timer is not None and not (infer and infer.running):
                self._timer.cancel()
            discard(self.folder if self._told else unpacked)

    def stop(self) -> None:
        """Stop from another thread, for good: in order once it serves, at once before that."""
        if self._done:
            return
        self._told = True
        if self._server is None:
            self._end(0)
        else:
            self._server.should_exit = True
            self._end_later()

    def _end_later(self) -> None:
        """End the process by force if `run` has not ended by then, or a call of the model has not."""
        if self._timer is None:
            self._timer = threading.Timer(self.limits.grace + _MARGIN, self._end, [1])
            self._timer.daemon = True
            self._timer.start()

    def _end(self, status: int) -> None:
        discard(self.folder)
        os._exit(status)


class _Counted:
    """Calls a model, and knows how many calls are in progress.

    Args:
        infer: the model.
    """

    def __init__(self, infer: Infer) -> None:
        self.running = 0
        self._infer = infer
        self._lock = threading.Lock()

    def __call__(self, signature: str, inputs: Any) -> Mapping[str, np.ndarray]:
        self._count(1)
        try:
            return self._infer(signature, inputs)
        finally:
            self._count(-1)

    def _count(self, step: int) -> None:
        with self._lock:
            self.running += step


class HttpServer(uvicorn.Server):
    """The HTTP server; its end goes through the gate.

    Args:
        app: the web application.
        gate: which requests are taken.
        stopping: is called when the end begins.
    """

    def __init__(self, app: Starlette, gate: Gate, stopping: Callable[[], None]) -> None:
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            lifespan="off",
            ws="none",
            server_header=False,
            timeout_graceful_shutdown=math.ceil(gate.limits.grace)
            + 1,  # the gate answers what is late just before
        )
        super().__init__(config)
        self._gate = gate
        self._stopping = stopping

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no further requests, and answer those in progress."""
        logger.info("stopping: requests in progress are answered")
        self._stopping()
        self._gate.stop()
        await super().shutdown(sockets)


def end_on_signals() -> None:
    """Make Ctrl-C and SIGTERM end this process with status 0; what is in `with` and `finally` is still done.

    While a server runs it takes both for a wish to stop in order, and raises them again when it has.
    """
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, lambda *_: sys.exit(0))

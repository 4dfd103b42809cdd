"""The local endpoint: SageMaker's contract (`/ping`, `/invocations`) over HTTP on 127.0.0.1.

It runs in a process of its own (`deploy` starts it) and answers with the handler that TensorFlow Serving's
container runs; only the model is called by TensorFlow here. The code inside the archive is never run.
"""

import argparse
import json
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from mri_tumor.cloud.archive import remove
from mri_tumor.cloud.container.bodies import MAX_BODY, RequestError, bad, too_large
from mri_tumor.cloud.container.inference import JSON_TYPE, Infer, respond
from mri_tumor.cloud.package import unpack_package
from mri_tumor.cloud.process import when_parent_ends
from mri_tumor.errors import MriTumorError

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"
_DRAINED = 8 * MAX_BODY  # so much of a body that is too large is read on, so that its sender gets the answer
_UNPACKED = "package"
_GRACE = 5  # seconds that requests in progress have when the server stops


def create_app(infer: Infer, manifest: Mapping[str, Any]) -> Starlette:
    """Return the web application around a model.

    Args:
        infer: calls the model, as `container.inference.respond` takes it.
        manifest: the model's manifest as its JSON object.
    """

    async def ping(request: Request) -> Response:
        return Response(status_code=200)

    async def invocations(request: Request) -> Response:
        data = await _read(request)
        kind = request.headers.get("content-type", "")
        attributes = request.headers.get("x-amzn-sagemaker-custom-attributes", "")
        body, kind = await run_in_threadpool(respond, data, kind, attributes, infer, manifest)
        return Response(body, media_type=kind)

    routes = [Route("/ping", ping), Route("/invocations", invocations, methods=["POST"])]
    handlers: dict[Any, Any] = {RequestError: _refused, HTTPException: _unknown, Exception: _failed}
    return Starlette(routes=routes, exception_handlers=handlers)


async def _read(request: Request) -> bytes:
    """Return the body; memory never holds more of it than the limit."""
    data = bytearray()
    length = 0
    try:
        async for chunk in request.stream():
            length += len(chunk)
            if length <= MAX_BODY:
                data += chunk
            elif length > _DRAINED:
                break
    except ClientDisconnect as error:
        raise bad("the connection ended in the middle of the body", "a whole request") from error
    if length > MAX_BODY:
        raise too_large(MAX_BODY)
    return bytes(data)


async def _refused(request: Request, error: Exception) -> Response:
    code = error.code if isinstance(error, RequestError) else 500
    return Response(str(error), status_code=code, media_type=JSON_TYPE)


async def _unknown(request: Request, error: Exception) -> Response:
    code = error.status_code if isinstance(error, HTTPException) else 500
    found = f"{request.method} {request.url.path[:80]} is not answered"
    wanted = "GET /ping or POST /invocations"
    return await _refused(request, RequestError(code, found, wanted, "correct the request"))


async def _failed(request: Request, error: Exception) -> Response:
    found = f"the endpoint failed ({type(error).__name__})"
    fix = "look at the endpoint's log, and deploy again"
    return await _refused(request, RequestError(500, found, "an answer", fix))


def load_model(folder: Path) -> Infer:
    """Load the SavedModel of an unpacked package and return what calls its signatures."""
    import tensorflow as tf

    (graph,) = [path for path in folder.rglob("saved_model.pb") if path.parent.name.isdecimal()]
    model = tf.saved_model.load(str(graph.parent))

    def infer(signature: str, inputs: Any) -> Mapping[str, np.ndarray]:
        try:
            outputs = model.signatures[signature](image=tf.constant(inputs))
        except tf.errors.InvalidArgumentError as error:
            reason = error.message.splitlines()[0][:200]
            raise bad(f"a picture cannot be decoded ({reason})", "a whole JPEG or PNG file") from error
        return {name: value.numpy() for name, value in outputs.items()}

    return infer


def serve(archive: Path, folder: Path, announce: Callable[[Mapping[str, Any]], None]) -> None:
    """Serve an archive until the parent ends or SIGTERM comes.

    Args:
        archive: the package.
        folder: a folder of its own to unpack it into; removed when the parent ends.
        announce: is told the port as `{"port": ...}` once the model answers.
    """
    ending = _Ending(folder)
    when_parent_ends(ending.begin)
    unpacked = folder / _UNPACKED
    unpacked.mkdir()
    manifest = unpack_package(archive, unpacked)
    infer = load_model(unpacked)
    size = manifest.sections["data"]["preprocess"]["size"]
    infer("preprocessed", np.zeros((1, size, size, 1), np.uint8))  # ready means: it has answered
    # Named as TCP, or asyncio lets small packets wait for 40 ms, and an answer is two of them.
    listener = socket.socket(proto=socket.IPPROTO_TCP)
    listener.bind((HOST, 0))
    listener.listen(128)
    config = uvicorn.Config(
        create_app(infer, manifest.to_dict()),
        log_config=None,
        access_log=False,
        lifespan="off",
        ws="none",
        server_header=False,
        timeout_graceful_shutdown=_GRACE,
    )
    ending.server = uvicorn.Server(config)
    announce({"port": listener.getsockname()[1]})
    ending.server.run(sockets=[listener])
    if ending.begun:
        remove(folder)


class _Ending:
    """How the process ends with its parent: gracefully once it serves, at once before and if that hangs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.server: uvicorn.Server | None = None
        self.begun = False

    def begin(self) -> None:
        self.begun = True
        if self.server is None:
            self.now()
        else:
            self.server.should_exit = True
            timer = threading.Timer(2 * _GRACE, self.now)
            timer.daemon = True
            timer.start()

    def now(self) -> None:
        remove(self.folder)
        os._exit(0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the process that `deploy` starts; the first line on standard output says the port or the error."""
    parser = argparse.ArgumentParser(description="Serve a model.tar.gz on 127.0.0.1.")
    parser.add_argument("archive", type=Path)
    parser.add_argument("folder", type=Path, help="a folder of its own to unpack into")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    announce = _own_output()
    try:
        serve(given.archive, given.folder, announce)
    except MriTumorError as error:
        kind = type(error).__name__
        announce({"error": kind, "found": error.found, "expected": error.expected, "fix": error.fix})
        return 1
    finally:
        # The rest of the folder holds the log, which the parent may still want to read.
        remove(given.folder / _UNPACKED)
    return 0


def _own_output() -> Callable[[Mapping[str, Any]], None]:
    """Keep standard output for ourselves: whatever libraries print goes to the log from now on."""
    own = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)

    def announce(message: Mapping[str, Any]) -> None:
        own.write(json.dumps(message) + "\n")
        own.flush()

    return announce


if __name__ == "__main__":
    # Taking TensorFlow down in order costs seconds and gains nothing: everything is closed and removed.
    os._exit(main())

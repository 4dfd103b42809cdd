"""The web application of the server: records calls, lays faults, runs what runs here, else asks moto."""

import io
import json
import logging
import socket
import threading
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app

from harness import faults, iam
from harness.backend import Backend
from harness.base import Platform
from harness.control import Control
from harness.errors import Answer, Refused, written
from harness.recognise import Request, recognise

logger = logging.getLogger(__name__)


class Gateway:
    """The WSGI application.

    Args:
        platform: what all parts share.
    """

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._backend = Backend(platform)
        self._control = Control(platform, self._backend)
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._calls: list[dict[str, str]] = self._control.calls
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        body = _body_of(environ)
        if environ["PATH_INFO"].startswith("/harness/"):
            return _send(self._control.answer(environ["PATH_INFO"], body), start)
        request = recognise(environ, body)
        kind = self._platform.faults.take(request)
        self._record(request)
        if kind == faults.RESET:
            return _reset(environ)
        if kind is not None and kind != faults.LOST:
            return _send(written(faults.refusal(kind, request), request.protocol), start)
        answer = self._answer(request, environ, body)
        if kind == faults.LOST:
            if answer is None:
                _read_of(self._moto, environ)
            return _reset(environ)
        if answer is None and request.service == "sagemaker":
            answer = _repaired(_read_of(self._moto, environ))
        if answer is not None:
            return _send(answer, start)
        found: Iterable[bytes] = self._moto(environ, start)
        return found

    def _record(self, request: Request) -> None:
        if request.operation:
            call = {"service": request.service, "operation": request.operation}
            with self._lock:
                self._calls.append({**call, "principal": request.principal})

    def _answer(self, request: Request, environ: dict[str, Any], body: bytes) -> Answer | None:
        """Return the answer of what runs here, or None for moto's part."""
        try:
            if request.service == "sagemaker-runtime":
                return self._invoke(request, environ, body)
            if request.service == "sagemaker":
                given = json.loads(body or b"{}")
                if self._backend.knows(request.operation, given):
                    return self._backend.answer(request.operation, given)
            if (request.service, request.operation) == ("iam", "SimulatePrincipalPolicy"):
                return iam.simulated(body)
        except Refused as refused:
            return written(refused, request.protocol)
        except Exception:
            logger.exception("%s %s", request.service, request.operation)
            return written(
                Refused("InternalFailure", "the harness failed; see its log", 500), request.protocol
            )
        return None

    def _invoke(self, request: Request, environ: dict[str, Any], body: bytes) -> Answer:
        name = environ["PATH_INFO"].split("/")[2]
        headers = _headers(environ)
        if request.operation == "InvokeEndpointAsync":
            return self._backend.runtime.invoke_endpoint_async(name, body, headers)
        return self._backend.runtime.invoke_endpoint(name, body, headers)


def _body_of(environ: dict[str, Any]) -> bytes:
    """Read a request's body, and leave it to be read again."""
    stream = environ["wsgi.input"]
    if environ.get("wsgi.input_terminated"):  # it came in chunks, whose length nobody said before
        body: bytes = stream.read()
        environ.pop("HTTP_TRANSFER_ENCODING", None)
    else:
        body = stream.read(int(environ.get("CONTENT_LENGTH") or 0))
    environ |= {"wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
    return body


def _headers(environ: dict[str, Any]) -> dict[str, str]:
    """Return the headers that an endpoint knows, spelt as AWS does."""
    names = ("Accept", "X-Amzn-SageMaker-Custom-Attributes", "X-Amzn-SageMaker-InputLocation")
    names += ("X-Amzn-SageMaker-Inference-Id", "X-Amzn-SageMaker-Content-Type", "X-Amzn-SageMaker-Accept")
    found = {
        name: environ[f"HTTP_{name.upper().replace('-', '_')}"]
        for name in names
        if f"HTTP_{name.upper().replace('-', '_')}" in environ
    }
    # Asynchronous calls have no body of their own: the input's type has a header of its own.
    kind = found.get("X-Amzn-SageMaker-Content-Type") or environ.get("CONTENT_TYPE")
    accept = found.get("X-Amzn-SageMaker-Accept") or found.get("Accept")
    return {**found, **({"Content-Type": kind} if kind else {}), **({"Accept": accept} if accept else {})}


def _send(answer: Answer, start: Callable[..., Any]) -> list[bytes]:
    try:
        phrase = HTTPStatus(answer.status).phrase
    except ValueError:
        phrase = "Error"
    headers = [*answer.headers.items(), ("Content-Length", str(len(answer.body)))]
    start(f"{answer.status} {phrase}", headers)
    return [answer.body]


def _reset(environ: dict[str, Any]) -> list[bytes]:
    """Close the connection so that the caller's next read fails."""
    connection: socket.socket = environ["werkzeug.socket"]
    connection.shutdown(socket.SHUT_RDWR)
    raise ConnectionResetError("the test wants it so")


def _read_of(application: Any, environ: dict[str, Any]) -> Answer:
    """Return what an application answers, whole."""
    kept: dict[str, Any] = {}

    def start(status: str, headers: list[tuple[str, str]], *_: Any) -> None:
        kept["status"], kept["headers"] = int(status.split()[0]), dict(headers)

    body = b"".join(application(environ, start))
    return Answer(kept["status"], {k: v for k, v in kept["headers"].items() if k != "Content-Length"}, body)


def _repaired(answer: Answer) -> Answer:
    """Return moto's answer without its empty objects, which version 3 of the SDK cannot take."""
    try:
        card = json.loads(answer.body)
    except ValueError:
        return answer
    return Answer(answer.status, answer.headers, json.dumps(_without_empty(card)).encode())


def _without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {name: _without_empty(member) for name, member in value.items()}
        return {name: member for name, member in kept.items() if member != {}}
    return [_without_empty(member) for member in value] if isinstance(value, list) else value

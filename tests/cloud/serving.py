"""What the tests of the server share: one around a model of the test's own, and requests to it."""

import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from mri_tumor import LABELS, dataset
from mri_tumor.cloud.serving.app import create_app
from mri_tumor.cloud.serving.gate import Gate, Limits
from mri_tumor.cloud.serving.listener import bind, listen
from mri_tumor.cloud.serving.service import HttpServer

from .conftest import SIZE, encoded

SPEC = dataset.Preprocess(size=SIZE)
MANIFEST = {
    "digest": "0" * 64,
    "sections": {
        "data": {"labels": list(LABELS), "preprocess": SPEC.to_dict(), "preprocess_digest": SPEC.digest}
    },
}
PICTURE = encoded(1)


def said(inputs: Any) -> dict[str, np.ndarray]:
    """Return what a model that always says the first class gives."""
    count = len(inputs)
    return {"probabilities": np.full((count, 4), 0.25, np.float32), "top": np.zeros(count, np.int32)}


class Held:
    """A model that answers once it is let; `entered` counts the calls that it got."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.entered = 0
        self.most = 0
        self._now = 0
        self._lock = threading.Lock()

    def __call__(self, signature: str, inputs: Any) -> dict[str, np.ndarray]:
        with self._lock:
            self.entered += 1
            self._now += 1
            self.most = max(self.most, self._now)
        assert self.free.wait(60)
        with self._lock:
            self._now -= 1
        return said(inputs)


class Running:
    """A server in a thread, on a port of its own."""

    def __init__(self, infer: Callable[..., Mapping[str, np.ndarray]], limits: Limits) -> None:
        taken = bind()
        self.port = taken.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.gate = Gate(limits)
        app = create_app(infer, MANIFEST, self.gate)
        self.http = HttpServer(app, self.gate, lambda: None)
        listen(taken)
        self.thread = threading.Thread(target=self.http.run, kwargs={"sockets": [taken]}, daemon=True)
        self.thread.start()

    def stop(self, seconds: float = 30) -> None:
        self.http.should_exit = True
        self.thread.join(seconds)
        assert not self.thread.is_alive()

    def ask(self, body: bytes = PICTURE, kind: str = "image/jpeg") -> tuple[int, dict, Mapping[str, str]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        with contextlib.closing(connection):
            connection.request("POST", "/invocations", body, {"Content-Type": kind})
            reply = connection.getresponse()
            return reply.status, json.loads(reply.read()), dict(reply.getheaders())

    def upload(self, announced: int, sent: bytes, header: str | None = None) -> socket.socket:
        """Begin a request and send a part of its body."""
        line = socket.create_connection(("127.0.0.1", self.port), 60)
        length = header or f"Content-Length: {announced}"
        head = f"POST /invocations HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n{length}\r\n\r\n"
        line.sendall(head.encode() + sent)
        return line


@contextlib.contextmanager
def running(infer: Callable[..., Mapping[str, np.ndarray]], limits: Limits) -> Iterator[Running]:
    server = Running(infer, limits)
    try:
        yield server
    finally:
        if isinstance(infer, Held):
            infer.free.set()
        server.stop()


def answer_on(line: socket.socket) -> tuple[int, dict]:
    """Return status and body of the answer that comes over a raw connection."""
    reply = http.client.HTTPResponse(line)
    reply.begin()
    return reply.status, json.loads(reply.read())


class Asking:
    """Threads that each call a function once; `found` holds what came of it, exceptions too."""

    def __init__(self, act: Callable[[], Any], count: int = 1) -> None:
        self.found: list[Any] = []
        self._threads = [threading.Thread(target=self._one, args=(act,), daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def _one(self, act: Callable[[], Any]) -> None:
        try:
            self.found.append(act())
        except Exception as error:
            self.found.append(error)

    def join(self, seconds: float = 60) -> list[Any]:
        for thread in self._threads:
            thread.join(seconds)
            assert not thread.is_alive()
        return self.found

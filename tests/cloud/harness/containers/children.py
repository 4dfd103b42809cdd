"""Starting the containers' children from the server's process."""

import json
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from harness.base import Platform

HERE = Path(__file__).parent
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def announced_port(child: subprocess.Popen[bytes]) -> int:
    """Return the port that a child says on its standard output.

    Raises:
        OSError: it ended before.
    """
    assert child.stdout is not None
    line = child.stdout.readline()
    if not line.strip().isdigit():
        raise OSError(f"the process ended with status {child.wait()} before it answered")
    return int(line)


def post(
    port: int, path: str, body: bytes, headers: dict[str, str], timeout: float = 60
) -> tuple[int, str, bytes]:
    """Return status, content type and body of what a child on loopback answers.

    Raises:
        OSError: it does not answer.
    """
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, headers)
    try:
        with _OPENER.open(request, timeout=timeout) as reply:
            return reply.status, reply.headers.get("Content-Type", ""), reply.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.headers.get("Content-Type", ""), error.read()


class Serving:
    """The one process in which TensorFlow loads models; started when the first is asked for."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._child: subprocess.Popen[bytes] | None = None
        self._port = 0
        self._lock = threading.Lock()

    def load(self, folder: Path) -> int:
        """Load a model and return the port of its REST interface.

        Raises:
            OSError: it cannot be loaded.
        """
        answer = self._ask("/load", {"folder": str(folder)})
        if "port" not in answer:
            raise OSError(str(answer.get("error")))
        return int(answer["port"])

    def unload(self, port: int) -> None:
        """Let go of a model."""
        self._ask("/unload", {"port": port})

    def _ask(self, path: str, card: dict[str, Any]) -> dict[str, Any]:
        with self._lock:
            if self._child is None or self._child.poll() is not None:
                self._start()
        _, _, body = post(
            self._port, path, json.dumps(card).encode(), {"Content-Type": "application/json"}, 120
        )
        answer: dict[str, Any] = json.loads(body)
        return answer

    def _start(self) -> None:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        command = [sys.executable, str(HERE / "tensorflow_serving.py")]
        self._child = self._platform.start(command, self._platform.environment(), **pipes)
        self._port = announced_port(self._child)

"""The client and a server with no room: asked again in measure, in parallel, and given up with words."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from mri_tumor.cloud import connection
from mri_tumor.cloud.connection import Connection
from mri_tumor.cloud.serving.gate import Limits
from mri_tumor.errors import EndpointError

from .serving import PICTURE, Asking, Held, running, said
from .test_serving import plain, wait_for


def post(line: Connection) -> dict:
    return line.post(PICTURE, "image/jpeg")


def test_a_full_server_is_asked_again_until_it_has_room() -> None:
    model = Held()
    with running(model, Limits(queue=0, workers=1)) as server:
        line = Connection(server.url, 30)
        first = Asking(lambda: post(line))
        wait_for(lambda: model.entered == 1)
        second = Asking(lambda: post(line))
        time.sleep(0.5)
        assert not second.found
        model.free.set()
        for answer in (*first.join(), *second.join()):
            assert answer["predictions"][0]["top"] == "glioma"
        line.close()


def test_a_server_that_stays_full_is_given_up_with_words() -> None:
    model = Held()
    with running(model, Limits(queue=0, workers=1)) as server:
        held = Asking(server.ask)
        wait_for(lambda: model.entered == 1)
        line = Connection(server.url, 2.5)
        start = time.monotonic()
        with pytest.raises(EndpointError, match=r"no room .* tries\).*429.*To do: ask again later") as caught:
            post(line)
        assert time.monotonic() - start < 5
        assert caught.value.code == 429
        line.close()
        model.free.set()
        assert held.join()[0][0] == 200


def test_threads_ask_in_parallel_over_kept_connections() -> None:
    together = threading.Barrier(4, timeout=30)

    def model(signature: str, inputs: object) -> dict[str, np.ndarray]:
        together.wait()  # nobody goes on before four are here
        return said(inputs)

    with running(model, Limits(workers=4)) as server:
        line = Connection(server.url, 30)
        for _ in range(3):
            assert all("predictions" in answer for answer in Asking(lambda: post(line), 4).join())
            assert len(server.http.server_state.connections) == 4
        line.close()
        wait_for(lambda: not server.http.server_state.connections)


def test_there_are_no_more_connections_than_allowed() -> None:
    model = Held()
    with running(model, Limits(workers=8)) as server:
        line = Connection(server.url, 30, connections=2)
        asking = Asking(lambda: post(line), 6)
        wait_for(lambda: model.entered == 2)
        time.sleep(0.3)
        assert model.entered == 2
        model.free.set()
        assert all("predictions" in answer for answer in asking.join())
        assert model.most == 2
        line.close()


def test_closing_lets_a_request_in_progress_be_answered() -> None:
    model = Held()
    with running(model, Limits()) as server:
        line = Connection(server.url, 30)
        asking = Asking(lambda: post(line))
        wait_for(lambda: model.entered == 1)
        line.close()
        model.free.set()
        assert "predictions" in asking.join()[0]
        wait_for(lambda: not server.http.server_state.connections)


def test_a_server_that_has_gone_is_one_error_that_says_what_to_do() -> None:
    with running(plain, Limits()) as server:
        line = Connection(server.url, 30)
        assert "predictions" in post(line)
    with pytest.raises(EndpointError, match=r"does not answer.*deploy the package again") as caught:
        post(line)
    assert caught.value.code == 503
    line.close()


class Busy(BaseHTTPRequestHandler):
    """Has no room, and asks for so many seconds as the test says."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked += 1  # type: ignore[attr-defined]
        body = json.dumps({"code": self.server.status, "error": "full"}).encode()  # type: ignore[attr-defined]
        self.send_response(self.server.status)  # type: ignore[attr-defined]
        self.send_header("Content-Length", str(len(body)))
        if self.server.wait is not None:  # type: ignore[attr-defined]
            self.send_header("Retry-After", self.server.wait)  # type: ignore[attr-defined]
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments: object) -> None:
        """Say nothing."""


@pytest.fixture
def busy() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Busy)
    server.daemon_threads = True
    server.status, server.wait, server.asked = 429, None, 0  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def given_up(server: ThreadingHTTPServer, timeout: float) -> tuple[EndpointError, float]:
    line = Connection(f"http://127.0.0.1:{server.server_port}", timeout)
    start = time.monotonic()
    with pytest.raises(EndpointError, match="no room") as caught:
        post(line)
    line.close()
    return caught.value, time.monotonic() - start


def test_pauses_grow_and_tries_are_counted(
    busy: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_FIRST_PAUSE", 0.001)
    error, seconds = given_up(busy, 60)
    assert busy.asked == 10
    assert "(10 tries)" in str(error)
    # 1 + 2 + 4 + ... + 256 ms, each up to half as long again.
    assert 0.5 < seconds < 5


@pytest.mark.parametrize("status", [429, 503])
def test_the_time_that_the_server_asks_for_is_given_to_it(busy: ThreadingHTTPServer, status: int) -> None:
    busy.status, busy.wait = status, "1"
    error, seconds = given_up(busy, 2)
    assert 1 <= seconds < 3
    assert busy.asked == 2
    assert error.code == status


@pytest.mark.parametrize("wait", ["1000", "9" * 400])
def test_nobody_waits_longer_than_the_timeout(busy: ThreadingHTTPServer, wait: str) -> None:
    busy.wait = wait
    _, seconds = given_up(busy, 60)
    assert seconds < 5
    assert busy.asked == 1


@pytest.mark.parametrize("wait", ["Fri, 31 Dec 1999 23:59:59 GMT", "-3", "soon", ""])
def test_a_wait_that_is_no_number_of_seconds_is_left_out(busy: ThreadingHTTPServer, wait: str) -> None:
    busy.wait = wait
    given_up(busy, 0.5)
    assert busy.asked > 1

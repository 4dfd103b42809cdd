"""The server: what it takes, what it refuses, and how it stops."""

import http.client
import json
import logging
import socket
import time
from collections.abc import Callable

import numpy as np
import pytest

from mri_tumor.cloud.container.bodies import MAX_BODY
from mri_tumor.cloud.serving.gate import Limits
from mri_tumor.cloud.serving.listener import address_of, bind, listen
from mri_tumor.errors import ArgumentError, EndpointError

from .serving import PICTURE, Asking, Held, answer_on, running, said


def wait_for(condition: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def plain(signature: str, inputs: object) -> dict[str, np.ndarray]:
    return said(inputs)


def check_error(card: dict, code: int) -> None:
    assert card.keys() == {"code", "error"}
    assert card["code"] == code
    assert "Expected: " in card["error"]
    assert "To do: " in card["error"]


@pytest.mark.parametrize(("queue", "workers"), [(2, 1), (0, 1), (1, 3)])
def test_requests_beyond_the_queue_are_refused_and_those_in_it_answered(queue: int, workers: int) -> None:
    model = Held()
    with running(model, Limits(queue=queue, workers=workers)) as server:
        taken = Asking(server.ask, queue + workers)
        wait_for(lambda: server.gate.requests == queue + workers and model.entered == workers)
        status, card, headers = server.ask()
        assert status == 429
        check_error(card, 429)
        assert int(headers["retry-after"]) >= 1
        with http_connection(server.port) as connection:
            connection.request("GET", "/ping")
            assert connection.getresponse().status == 200
        model.free.set()
        assert [status for status, _, _ in taken.join()] == [200] * (queue + workers)
        assert server.ask()[0] == 200
        assert model.most == workers


class http_connection:  # noqa: N801 - used like a function
    def __init__(self, port: int) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)

    def __enter__(self) -> http.client.HTTPConnection:
        return self.connection

    def __exit__(self, *_: object) -> None:
        self.connection.close()


@pytest.mark.parametrize("header", [f"Content-Length: {MAX_BODY}", "Transfer-Encoding: chunked"])
def test_bodies_that_wait_count_with_all_they_may_hold(header: str) -> None:
    with running(plain, Limits(memory=MAX_BODY + len(PICTURE) - 1)) as server:
        with server.upload(0, b"", header):
            wait_for(lambda: server.ask()[0] == 429)
            status, card, _ = server.ask()
            check_error(card, status)
            assert "bytes" in card["error"]
            assert server.ask(b"x", "text/plain")[0] == 415  # a small one still fits in
        wait_for(lambda: server.ask()[0] == 200)


def test_a_slow_upload_loses_its_place() -> None:
    with running(plain, Limits(queue=0, workers=1, upload=0.5)) as server:
        with server.upload(1000, b"begin") as line:
            wait_for(lambda: server.ask()[0] == 429)
            status, card = answer_on(line)
            assert status == 408
            check_error(card, 408)
            assert line.recv(1) == b""  # closed: the rest will not be waited for
        assert server.ask()[0] == 200


def test_bytes_that_trickle_in_do_not_prolong_the_time() -> None:
    with running(plain, Limits(upload=0.5)) as server, server.upload(1000, b"begin") as line:
        line.settimeout(0.05)
        start = time.monotonic()
        with pytest.raises(OSError, match=r"."):  # noqa: PT012 - until the server has had enough
            while time.monotonic() - start < 10:
                line.sendall(b"x")
                time.sleep(0.05)
        assert time.monotonic() - start < 5


def test_nobody_computes_for_a_client_that_has_gone() -> None:
    model = Held()
    with running(model, Limits(queue=4, workers=1)) as server:
        first = Asking(server.ask)
        wait_for(lambda: model.entered == 1)
        with server.upload(len(PICTURE), PICTURE):
            wait_for(lambda: server.gate.requests == 2)
            time.sleep(0.1)
        wait_for(lambda: len(server.http.server_state.connections) == 1)
        model.free.set()
        assert first.join()[0][0] == 200
        assert server.ask()[0] == 200
        assert model.entered == 2


def test_a_body_far_above_the_limit_ends_its_connection() -> None:
    chunk = bytes(2**20)
    with running(plain, Limits()) as server:
        with server.upload(2**40, b"") as line, pytest.raises(OSError, match=r"."):  # noqa: PT012
            for _ in range(100):
                line.sendall(chunk)
        assert server.ask()[0] == 200


def test_stopping_answers_what_is_in_progress_and_takes_nothing_new() -> None:
    model = Held()
    with running(model, Limits(queue=4, workers=1)) as server, http_connection(server.port) as kept:
        kept.request("GET", "/ping")
        kept.getresponse().read()
        taken = Asking(server.ask, 3)
        wait_for(lambda: server.gate.requests == 3)
        server.http.should_exit = True
        wait_for(lambda: refused(server.port))
        with pytest.raises((ConnectionError, http.client.HTTPException)):  # noqa: PT012
            kept.request("GET", "/ping")
            kept.getresponse()
        model.free.set()
        assert [status for status, _, _ in taken.join()] == [200] * 3
        server.stop()


def refused(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except ConnectionError:
        return True
    return False


def test_stopping_takes_bounded_time_and_says_so_to_who_waits() -> None:
    model = Held()
    with running(model, Limits(queue=4, workers=1, grace=0.5)) as server:
        taken = Asking(server.ask, 2)
        upload = server.upload(1000, b"begin")
        wait_for(lambda: server.gate.requests == 3)
        start = time.monotonic()
        server.stop()
        assert time.monotonic() - start < 5
        for status, card, _ in taken.join():
            assert status == 503
            check_error(card, 503)
        with upload:
            assert answer_on(upload)[0] == 503


def test_answers_are_not_held_back() -> None:
    """Head and body of an answer are two packets; the second must not wait for the first one's receipt."""
    with running(plain, Limits()) as server, http_connection(server.port) as connection:
        seconds = []
        for _ in range(20):
            start = time.perf_counter()
            connection.request("POST", "/invocations", PICTURE, {"Content-Type": "image/jpeg"})
            connection.getresponse().read()
            seconds.append(time.perf_counter() - start)
        # After the first ones, that wait takes 40 ms each time.
        assert min(seconds[10:]) < 0.03


@pytest.mark.parametrize(
    "wrong", [{"queue": -1}, {"workers": 0}, {"memory": 10}, {"upload": 0.0}, {"grace": -1.0}]
)
def test_limits_that_nothing_could_pass(wrong: dict) -> None:
    with pytest.raises(ArgumentError, match=next(iter(wrong))):
        Limits(**wrong)


# --- where it listens ---


def test_loopback_is_silent_and_anything_else_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        for host in ("127.0.0.1", "localhost", ""):
            bind(host).close()
        assert not caplog.records
        with bind("0.0.0.0") as everywhere:
            assert address_of(everywhere).startswith("http://0.0.0.0:")
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    assert "no encryption, no authentication" in record.message


def test_an_address_of_ipv6_is_written_in_brackets() -> None:
    try:
        taken = bind("::1")
    except (ArgumentError, EndpointError):
        pytest.skip("this machine has no IPv6")
    with taken:
        assert address_of(taken).startswith("http://[::1]:")


def test_a_port_that_is_taken_is_one_error() -> None:
    with bind() as first:
        listen(first)
        with pytest.raises(
            EndpointError, match=r"port \d+ of 127\.0\.0\.1 cannot be taken.*another port"
        ) as one:
            bind(port=first.getsockname()[1])
        assert one.value.code == 503


def test_two_that_load_for_the_same_port() -> None:
    with bind() as first:
        try:
            second = bind(port=first.getsockname()[1])
        except EndpointError:
            return  # where a port that is only taken is refused already
        with second:
            listen(first)
            with pytest.raises(EndpointError, match="cannot be taken"):
                listen(second)


@pytest.mark.parametrize("host", ["no.such.host.invalid", "a" * 300, "999.1.1.1"])
def test_a_host_that_is_not_known_is_one_error(host: str) -> None:
    with pytest.raises(ArgumentError, match="is not known"):
        bind(host)


def test_an_address_of_another_machine_is_one_error() -> None:
    with pytest.raises(EndpointError, match="cannot be taken"):
        bind("192.0.2.1")


def test_what_fails_inside_is_an_error_in_the_one_form() -> None:
    def broken(signature: str, inputs: object) -> dict[str, np.ndarray]:
        raise ZeroDivisionError

    with running(broken, Limits()) as server:
        status, card, _ = server.ask()
        assert status == 500
        check_error(card, 500)
        assert "ZeroDivisionError" in card["error"]
        assert json.dumps(card)

"""Requests to an endpoint on this machine: sent, answered, and sent again while it has no room for them."""

import contextlib
import http.client
import json
import random
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from mri_tumor.cloud.container.bodies import MAX_BODY
from mri_tumor.cloud.transport import check_size, json_of
from mri_tumor.errors import ArgumentError, EndpointError

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_BUSY = (429, 503)
_TRIES = 10
_FIRST_PAUSE = 0.1  # seconds; twice as long from try to try
_LONGEST_PAUSE = 5.0


class _Reply(NamedTuple):
    status: int
    body: bytes
    wait: float  # seconds that the endpoint asks for


class Connection:
    """Connections that are kept open from request to request; several threads may use it at a time.

    Args:
        url: `http://127.0.0.1:PORT`.
        timeout: seconds that an answer may take, and in which a request that finds no room is sent again.
        connections: how many there are at most; further threads wait for one.

    Raises:
        ArgumentError: the address is not of this machine.
    """

    max_body = MAX_BODY

    def __init__(self, url: str, timeout: float, *, connections: int = 16) -> None:
        self.url = url
        self.timeout = timeout
        self._address = _address(url)
        self._places = threading.BoundedSemaphore(connections)
        self._idle: deque[http.client.HTTPConnection] = deque()
        self._closed = False

    def post(self, body: bytes, content_type: str, attributes: str = "") -> Any:
        """Send a request and return the JSON of its answer.

        An endpoint that has no room for it (429, 503) is asked again, after the time it asks for and after
        growing pauses, as long as `timeout` allows.

        Raises:
            EndpointError: the body is too large to be sent, the endpoint cannot be reached, or it refused.
        """
        check_size(len(body), self.max_body)
        headers = {"Content-Type": content_type, "Accept": "application/json"}
        if attributes:
            headers["X-Amzn-SageMaker-Custom-Attributes"] = attributes
        reply = self._asked(body, headers)
        if reply.status != 200:
            raise refusal(reply.status, reply.body)
        return json_of(reply.body, self.url)

    def close(self) -> None:
        """Close the connections, those in use once they have their answer; the endpoint goes on."""
        self._closed = True
        self._close_idle()

    def _asked(self, body: bytes, headers: Mapping[str, str]) -> _Reply:
        """Ask until the endpoint has room for the request."""
        start = time.monotonic()
        for tries in range(1, _TRIES + 1):
            with self._borrowed() as connection:
                reply = self._exchange(connection, body, headers)
            if reply.status not in _BUSY:
                return reply
            growing = min(_LONGEST_PAUSE, _FIRST_PAUSE * 2 ** (tries - 1))
            # Not all clients at the same moment.
            pause = max(reply.wait, growing) * random.uniform(1, 1.5)  # noqa: S311 - no secret
            if time.monotonic() - start + pause > self.timeout:
                break
            if tries < _TRIES:
                time.sleep(pause)
        raise self._busy(reply, tries, time.monotonic() - start)

    @contextlib.contextmanager
    def _borrowed(self) -> Iterator[http.client.HTTPConnection]:
        with self._places:
            try:
                connection = self._idle.pop()
            except IndexError:
                connection = http.client.HTTPConnection(*self._address, timeout=self.timeout)
            try:
                yield connection
            finally:
                self._idle.append(connection)
                if self._closed:
                    self._close_idle()

    def _close_idle(self) -> None:
        with contextlib.suppress(IndexError):
            while True:
                self._idle.pop().close()

    def _exchange(
        self, connection: http.client.HTTPConnection, body: bytes, headers: Mapping[str, str]
    ) -> _Reply:
        reused = connection.sock is not None
        try:
            return _once(connection, body, headers)
        except (ConnectionError, http.client.HTTPException) as error:
            # A server may close an idle connection at any time. Asking again is safe: it changes nothing.
            if not reused:
                raise self._unreachable(error) from error
        except OSError as error:
            raise self._unreachable(error) from error
        try:
            return _once(connection, body, headers)
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> EndpointError:
        late = isinstance(error, TimeoutError)
        return EndpointError(
            f"{self.url} does not answer ({str(error) or type(error).__name__})",
            "a running endpoint" + (f" that answers within {self.timeout:g} s" if late else ""),
            "pass a longer timeout, or fewer pictures" if late else "deploy the package again",
            code=504 if late else 503,
        )

    def _busy(self, reply: _Reply, tries: int, seconds: float) -> EndpointError:
        reason = refusal(reply.status, reply.body).found
        return EndpointError(
            f"{self.url} had no room in {seconds:.1f} s ({tries} tries): {reason}",
            "an endpoint with room for the request",
            "ask again later, send fewer requests at the same time, or pass a longer timeout",
            code=reply.status,
        )


def _address(url: str) -> tuple[str, int | None]:
    """Return host and port of an endpoint on this machine.

    Raises:
        ArgumentError: the address is another one, or none.
    """
    with contextlib.suppress(ValueError):  # a port that is no number, brackets that do not close
        parts = urlsplit(url)
        # Pictures of patients go over this connection, and it is not encrypted.
        if parts.scheme == "http" and parts.hostname in _LOOPBACK:
            return parts.hostname, parts.port
    raise ArgumentError(
        f"the endpoint is {url!r}",
        "http://127.0.0.1:PORT, an endpoint on this machine",
        "pass Predictor.name of a running endpoint, or start one with mri_tumor.cloud.deploy",
    )


def _once(connection: http.client.HTTPConnection, body: bytes, headers: Mapping[str, str]) -> _Reply:
    try:
        connection.request("POST", "/invocations", body, headers)
        reply = connection.getresponse()
        wait = reply.getheader("Retry-After", "")
        return _Reply(reply.status, reply.read(), float(wait) if wait.isdecimal() else 0.0)
    except BaseException:
        connection.close()
        raise


def refusal(status: int, answer: bytes) -> EndpointError:
    """Return the error that an endpoint answered with.

    Its body says `code` and `error`. Behind AWS's handler service the status is 500 and that body is the text
    of another one's `error`.

    >>> inner = json.dumps({"code": 409, "error": "another digest"})
    >>> refusal(500, json.dumps({"error": inner}).encode()).code
    409
    """
    code, text = status, answer.decode("utf-8", "replace")
    with contextlib.suppress(ValueError, RecursionError):
        card = json.loads(text)
        while isinstance(card, dict) and isinstance(card.get("error"), str):
            text = card["error"]
            code = card["code"] if isinstance(card.get("code"), int) else code
            card = json.loads(text)
    return EndpointError(f"the endpoint refused the request ({code}): {text[:2000]}", code=code)

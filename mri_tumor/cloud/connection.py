"""One connection to an endpoint on this machine: requests out, answers or errors back."""

import contextlib
import http.client
import json
import threading
from typing import Any
from urllib.parse import urlsplit

from mri_tumor.cloud.container.bodies import MAX_BODY
from mri_tumor.errors import ArgumentError, EndpointError

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Connection:
    """A connection that is kept open from request to request; one request at a time goes over it.

    Args:
        url: `http://127.0.0.1:PORT`.
        timeout: seconds that a request may take.

    Raises:
        ArgumentError: the address is not of this machine.
    """

    def __init__(self, url: str, timeout: float) -> None:
        self.url = url
        parts = urlsplit(url)
        # Pictures of patients go over this connection, and it is not encrypted.
        if parts.scheme != "http" or parts.hostname not in _LOOPBACK:
            raise ArgumentError(
                f"the endpoint is {url!r}",
                "http://127.0.0.1:PORT, an endpoint on this machine",
                "pass Predictor.name of a running endpoint, or start one with mri_tumor.cloud.deploy",
            )
        self._http = http.client.HTTPConnection(parts.hostname, parts.port, timeout=timeout)
        self._lock = threading.Lock()

    def post(self, body: bytes, content_type: str, attributes: str = "") -> Any:
        """Send a request and return the JSON of its answer.

        Raises:
            EndpointError: the body is too large to be sent, the endpoint cannot be reached, or it refused.
        """
        check_size(len(body))
        headers = {"Content-Type": content_type, "Accept": "application/json"}
        if attributes:
            headers["X-Amzn-SageMaker-Custom-Attributes"] = attributes
        with self._lock:
            status, answer = self._exchange(body, headers)
        if status != 200:
            raise refusal(status, answer)
        try:
            return json.loads(answer)
        except ValueError as error:
            raise EndpointError(
                f"{self.url} answered {answer[:60]!r}", "JSON", "check that it is an endpoint of this library"
            ) from error

    def close(self) -> None:
        """Close the connection; the endpoint goes on."""
        with self._lock:
            self._http.close()

    def _exchange(self, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        reused = self._http.sock is not None
        try:
            return self._once(body, headers)
        except (ConnectionError, http.client.HTTPException) as error:
            # A server may close an idle connection at any time. Asking again is safe: it changes nothing.
            if not reused:
                raise self._unreachable(error) from error
        except OSError as error:
            raise self._unreachable(error) from error
        try:
            return self._once(body, headers)
        except (OSError, http.client.HTTPException) as error:
            raise self._unreachable(error) from error

    def _once(self, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        try:
            self._http.request("POST", "/invocations", body, headers)
            reply = self._http.getresponse()
            return reply.status, reply.read()
        except BaseException:
            self._http.close()
            raise

    def _unreachable(self, error: Exception) -> EndpointError:
        late = isinstance(error, TimeoutError)
        return EndpointError(
            f"{self.url} does not answer ({str(error) or type(error).__name__})",
            "a running endpoint" + (f" that answers within {self._http.timeout:g} s" if late else ""),
            "pass a longer timeout, or fewer pictures" if late else "deploy the package again",
            code=504 if late else 503,
        )


def check_size(size: int) -> None:
    """Refuse a body that no endpoint takes, before it is sent.

    Raises:
        EndpointError: with code 413.
    """
    if size > MAX_BODY:
        raise EndpointError(
            f"the request would have {size} bytes",
            f"at most {MAX_BODY} bytes, SageMaker's limit",
            "send a smaller picture; predict() packs pictures so that they fit",
            code=413,
        )


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

"""What a Predictor sends its requests over, and how it keeps them in order."""

import concurrent.futures
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, TypeVar

from mri_tumor.errors import EndpointError

Given = TypeVar("Given")
Result = TypeVar("Result")


class Transport(Protocol):
    """The way to one endpoint; several threads may use it at a time."""

    @property
    def max_body(self) -> int:
        """The largest request in bytes."""

    def post(self, body: bytes, content_type: str, attributes: str = "") -> Any:
        """Send a request and return the JSON of its answer.

        Raises:
            EndpointError: the endpoint cannot be reached, or refused.
        """

    def close(self) -> None:
        """Let the endpoint go; it goes on."""


def in_order(
    act: Callable[[Given], Result], items: Iterable[Given], *, threads: int
) -> Iterator[tuple[Given, Result]]:
    """Yield each item with what `act` makes of it, in the order given, several at a time.

    Items are taken only when a thread is about to need them, so that memory holds a few. After an error, and
    when the caller takes no more, no further item is begun.

    Args:
        act: called in a thread.
        items: what it is called with.
        threads: how many at a time.

    >>> [result for _, result in in_order(abs, [-1, 2, -3], threads=2)]
    [1, 2, 3]
    """
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        running: deque[tuple[Given, concurrent.futures.Future[Result]]] = deque()
        try:
            for item in items:
                running.append((item, pool.submit(act, item)))
                if len(running) >= 2 * threads:
                    first, future = running.popleft()
                    yield first, future.result()
            while running:
                first, future = running.popleft()
                yield first, future.result()
        finally:
            for _, future in running:
                future.cancel()


def json_of(answer: bytes, name: str) -> Any:
    """Return the JSON of an endpoint's answer.

    Args:
        answer: the body.
        name: of the endpoint, for the error.

    Raises:
        EndpointError: it is no JSON.
    """
    try:
        return json.loads(answer)
    except (ValueError, RecursionError) as error:
        found = f"{name} answered {answer[:60]!r}"
        raise EndpointError(found, "JSON", "check that it is an endpoint of this library") from error


def check_size(size: int, most: int) -> None:
    """Refuse a body that the endpoint would not take, before it is sent.

    Args:
        size: of the body in bytes.
        most: what the endpoint takes.

    Raises:
        EndpointError: with code 413.
    """
    if size > most:
        raise EndpointError(
            f"the request would have {size} bytes",
            f"at most {most} bytes, the limit of this kind of endpoint",
            "send a smaller picture; predict() packs pictures so that they fit",
            code=413,
        )

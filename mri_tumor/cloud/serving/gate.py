"""Which requests are taken: bounds on how many there are, on what they hold and on how long they last."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from mri_tumor.cloud.container.bodies import MAX_BODY, RequestError
from mri_tumor.errors import ArgumentError

_MOST_WORKERS = 4  # unless told: every one of them may hold a whole network's activations


@dataclass(frozen=True)
class Limits:
    """What a server bears.

    Args:
        queue: requests that wait at most while others are answered.
        workers: requests that are answered at the same time; None for one a processor core, four at most.
        memory: bytes that the bodies of all requests hold together.
        upload: seconds in which a request must have arrived.
        grace: seconds that requests in progress have once the server stops.

    Raises:
        ArgumentError: a bound that nothing could pass.

    >>> Limits(queue=8).queue
    8
    """

    queue: int = 64
    workers: int | None = None
    memory: int = 16 * MAX_BODY
    upload: float = 30.0
    grace: float = 20.0

    def __post_init__(self) -> None:
        least = {"queue": 0, "workers": 1, "memory": MAX_BODY, "upload": 0.01, "grace": 0}
        for name, value in least.items():
            given = getattr(self, name)
            if given is not None and given < value:
                raise ArgumentError(f"{name} is {given}", f"{value} or more", f"pass a larger {name}")

    @property
    def at_once(self) -> int:
        """How many requests are answered at the same time."""
        from mri_tumor.dataset.decoding import thread_count

        return self.workers or min(_MOST_WORKERS, thread_count())


class Gate:
    """Lets requests in, gives them their turn, and ends them when the server stops.

    A request has a place from its first byte to its answer. Its body counts with what it says it will hold,
    so that what was let in can always arrive. While the model works on it, it holds `turn`, which the
    requests get in their order. `requests` says how many have a place.

    Args:
        limits: the bounds.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.turn = asyncio.Semaphore(limits.at_once)
        self._places = limits.queue + limits.at_once
        self.requests = 0
        self._bytes = 0
        self._ends: set[asyncio.Timeout] = set()
        self._stopping = False

    @contextlib.asynccontextmanager
    async def place(self, size: int) -> AsyncIterator[None]:
        """Hold a place for a request whose body has at most `size` bytes.

        Raises:
            RequestError: 429, all places or all memory are taken; 503, the server stops.
        """
        if self._stopping:
            raise _stops()
        if self.requests >= self._places:
            raise _full(f"{self.requests} requests are in progress or wait")
        if self._bytes + size > self.limits.memory:
            raise _full(f"the requests in progress hold {self._bytes} bytes")
        self.requests += 1
        self._bytes += size
        end = asyncio.timeout(None)
        try:
            async with end:
                self._ends.add(end)
                yield
        except TimeoutError as error:
            raise _stops() from error
        finally:
            self._ends.discard(end)
            self.requests -= 1
            self._bytes -= size

    @contextlib.asynccontextmanager
    async def arriving(self) -> AsyncIterator[None]:
        """Bound how long a body may take to arrive.

        Raises:
            RequestError: 408, it took longer.
        """
        try:
            async with asyncio.timeout(self.limits.upload):
                yield
        except TimeoutError as error:
            raise RequestError(
                408,
                f"the request did not arrive within {self.limits.upload:g} s",
                "a body that arrives sooner",
                "send it again, with fewer pictures if the line is slow",
            ) from error

    def stop(self) -> None:
        """Take no further requests; those in progress have the time of grace."""
        self._stopping = True
        last = asyncio.get_running_loop().time() + self.limits.grace
        for end in self._ends:
            end.reschedule(last)


def _full(found: str) -> RequestError:
    return RequestError(429, found, "fewer at the same time", "wait a second and send the request again")


def _stops() -> RequestError:
    return RequestError(503, "the endpoint stops", "a running endpoint", "start it again, or use another")

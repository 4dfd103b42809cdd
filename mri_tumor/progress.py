"""Progress of long work: a bar in a terminal, lines elsewhere."""

import contextlib
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sized
from typing import TypeVar

T = TypeVar("T")

logger = logging.getLogger(__name__)

_SECONDS_BETWEEN_LINES = 10.0


def to_console() -> None:
    """Show this library's log lines on standard error, and keep TensorFlow's start-up chatter from it.

    For programs: the command line and the examples call it once, first. A library never does.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    top = logging.getLogger("mri_tumor")
    if not top.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s  %(message)s", "%H:%M:%S"))
        top.addHandler(handler)
        top.setLevel(logging.INFO)
        top.propagate = False


def _one(_: object) -> int:
    return 1


def track(
    items: Iterable[T], doing: str, total: int | None = None, *, count: Callable[[T], int] = _one
) -> Iterator[T]:
    """Yield `items` and show how far the work is.

    On a terminal a bar on standard error; elsewhere (a log file, CloudWatch, CI) a log line every ten seconds
    and one at the end, because a redrawn bar floods a log.

    Args:
        items: what is worked through.
        doing: what is done with them, as in `"reading pictures"`.
        total: how many there are, when `len(items)` does not say it.
        count: how many an item stands for, such as the pictures of a batch.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    return (_bar if sys.stderr.isatty() else _lines)(items, doing, total, count)


def _bar(items: Iterable[T], doing: str, total: int | None, count: Callable[[T], int]) -> Iterator[T]:
    # rich is not in SageMaker's training image, where standard error is never a terminal.
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(doing, total=total)
        for item in items:
            yield item
            bar.advance(task, count(item))


def _lines(items: Iterable[T], doing: str, total: int | None, count: Callable[[T], int]) -> Iterator[T]:
    start = last = time.monotonic()
    done = 0
    for item in items:
        yield item
        done += count(item)
        now = time.monotonic()
        if now - last >= _SECONDS_BETWEEN_LINES:
            last = now
            logger.info("%s: %s", doing, f"{done}/{total}" if total is not None else done)
    logger.info("%s: %d done in %.1f s", doing, done, time.monotonic() - start)


@contextlib.contextmanager
def bytes_moved(doing: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show how many bytes of a transfer are done, and how many a second.

    On a terminal a bar on standard error; elsewhere a log line every ten seconds while bytes move, and one at
    the end.

    Args:
        doing: what is done, as in `"sending to s3://bucket/prefix"`.
        total: the number of bytes in all.

    Yields:
        A function to call with the number of bytes that were moved since its last call; negative if they
        must be moved again. It may be called from any thread.

    >>> with bytes_moved("sending", 3000) as moved:
    ...     moved(1000)
    ...     moved(2000)
    """
    with _bytes_bar(doing, total) if sys.stderr.isatty() else _bytes_lines(doing, total) as moved:
        yield moved


def size_text(count: float) -> str:
    """Return a number of bytes as people read it.

    >>> size_text(812), size_text(3_400_000), size_text(12_345_678_901)
    ('812 bytes', '3.4 MB', '12.3 GB')
    """
    if count < 1000:
        return f"{count:.0f} bytes"
    for unit in ("kB", "MB", "GB"):
        count /= 1000
        if count < 999.95:
            return f"{count:.1f} {unit}"
    return f"{count / 1000:.1f} TB"


@contextlib.contextmanager
def _bytes_bar(doing: str, total: int) -> Iterator[Callable[[int], None]]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    columns = (
        TextColumn("{task.description}", markup=False),  # a name may hold brackets
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(doing, total=total)
        yield lambda count: bar.advance(task, count)


@contextlib.contextmanager
def _bytes_lines(doing: str, total: int) -> Iterator[Callable[[int], None]]:
    lines = _BytesLines(doing, total)
    yield lines.moved
    lines.end()


class _BytesLines:
    """Log lines about a transfer whose threads all report here."""

    def __init__(self, doing: str, total: int) -> None:
        self._doing = doing
        self._total = total
        self._done = 0
        self._start = self._last = time.monotonic()
        self._lock = threading.Lock()

    def moved(self, count: int) -> None:
        with self._lock:
            self._done += count
            now = time.monotonic()
            if now - self._last < _SECONDS_BETWEEN_LINES:
                return
            self._last = now
            done, rate = self._done, self._done / (now - self._start)
        logger.info(
            "%s: %s of %s, %s/s", self._doing, size_text(done), size_text(self._total), size_text(rate)
        )

    def end(self) -> None:
        seconds = time.monotonic() - self._start
        rate = size_text(self._done / max(seconds, 1e-3))
        logger.info("%s: %s done in %.1f s, %s/s", self._doing, size_text(self._done), seconds, rate)

"""Progress of long work: a bar in a terminal, one line a step elsewhere."""

import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator, Sized
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


def track(items: Iterable[T], doing: str, total: int | None = None) -> Iterator[T]:
    """Yield `items` and show how far the work is.

    On a terminal a bar on standard error; elsewhere (a log file, CloudWatch, CI) a log line every ten seconds
    and one at the end, because a redrawn bar floods a log.

    Args:
        items: what is worked through.
        doing: what is done with them, as in `"reading pictures"`.
        total: how many there are, when `len(items)` does not say it.
    """
    if total is None and isinstance(items, Sized):
        total = len(items)
    return _bar(items, doing, total) if sys.stderr.isatty() else _lines(items, doing, total)


def _bar(items: Iterable[T], doing: str, total: int | None) -> Iterator[T]:
    # rich is not in SageMaker's training image, where standard error is never a terminal.
    from rich.console import Console
    from rich.progress import track as rich_track

    yield from rich_track(items, doing, total=total, console=Console(stderr=True), transient=True)


def _lines(items: Iterable[T], doing: str, total: int | None) -> Iterator[T]:
    start = last = time.monotonic()
    done = 0
    for item in items:
        yield item
        done += 1
        now = time.monotonic()
        if now - last >= _SECONDS_BETWEEN_LINES:
            last = now
            logger.info("%s: %s", doing, f"{done}/{total}" if total is not None else done)
    logger.info("%s: %d done in %.1f s", doing, done, time.monotonic() - start)

"""The same work on many things, several at a time."""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TypeVar

from mri_tumor.progress import track

T = TypeVar("T")
R = TypeVar("R")


def side_by_side(work: Callable[[T], R], items: Iterable[T], threads: int, doing: str) -> list[R]:
    """Return what `work` makes of each item, in their order; the first exception ends it.

    Args:
        work: is called in several threads.
        items: what it is called with.
        threads: how many run at a time.
        doing: what is done, for the bar.

    >>> side_by_side(abs, [-1, 2], threads=2, doing="taking absolute values")
    [1, 2]
    """
    with ThreadPoolExecutor(threads) as pool:
        futures = [pool.submit(work, item) for item in items]
        try:
            for done in track(as_completed(futures), doing, len(futures)) if futures else ():
                done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
        return [future.result() for future in futures]

"""Pictures of a catalog, read and preprocessed by several threads, in order, a few ahead of their use."""

import os
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from threading import Event
from typing import Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from mri_tumor.dataset.catalog import Record
from mri_tumor.dataset.preprocess import Preprocess
from mri_tumor.dataset.reader import read_image
from mri_tumor.dataset.records import without_path
from mri_tumor.errors import ArgumentError, MissingExtra, MriTumorError, ReadError

Picture = NDArray[np.uint8]
OnError = Literal["raise", "skip"]

T = TypeVar("T")
R = TypeVar("R")


def thread_count() -> int:
    """Return how many pictures are decoded at the same time: one a processor this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def read_ahead(
    function: Callable[[T], R],
    items: Iterable[T],
    threads: int | None = None,
    most: int | None = None,
) -> Iterator[R]:
    """Yield `function(item)` in the order of `items`, worked out in threads a few items ahead.

    A folder of any length takes bounded memory. An exception comes where its item's result would have come.

    Args:
        function: what is done with each item.
        items: what is worked through.
        threads: how many; None is one a processor.
        most: how many results may wait at any time; None is four a thread.
    """
    threads = threads or thread_count()
    most = most or 4 * threads
    waiting: deque[Future[R]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="mri-tumor-decode")
    try:
        for item in items:
            waiting.append(pool.submit(function, item))
            if len(waiting) >= most:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def interleaved(jobs: Sequence[Callable[[], Generator[R, None, None]]], threads: int) -> Iterator[R]:
    """Yield what several jobs yield, as it comes; each job runs in one thread, `threads` of them at a time.

    The first exception ends them all and is raised here.
    """
    found: SimpleQueue[R | Future[None]] = SimpleQueue()
    stop = Event()

    def drain(job: Callable[[], Generator[R, None, None]]) -> None:
        stream = job()
        for item in stream:
            found.put(item)
            if stop.is_set():
                stream.close()
                return

    pool = ThreadPoolExecutor(threads, thread_name_prefix="mri-tumor-job")
    try:
        for job in jobs:
            pool.submit(drain, job).add_done_callback(found.put)
        left = len(jobs)
        while left:
            item = found.get()
            if isinstance(item, Future):
                item.result()
                left -= 1
            else:
                yield item
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


def decode(record: Record, preprocess: Preprocess) -> Picture:
    """Return one record's picture, preprocessed: uint8 `(size, size, 1)`.

    Raises:
        ReadError: it cannot be read; names the record's id.
        MissingExtra: it is of a kind that needs an extra, as DICOM does.
    """
    return preprocess(read_record(record))


def read_record(record: Record) -> NDArray[np.uint8]:
    """Return one record's picture as read: uint8 `(H, W)`.

    Raises:
        ReadError: it cannot be read; names the record's id.
        MissingExtra: it is of a kind that needs an extra, as DICOM does.
    """
    try:
        return read_image(record.path)
    except MissingExtra:
        raise  # it says something of the installation and nothing of the picture
    except MriTumorError as error:
        raise ReadError(f"{_named(record)}{error.found}", error.expected, error.fix) from error


def left_out(record: Record, error: ReadError) -> dict[str, str]:
    """Return how a manifest lists a picture that could not be read; it does not say where that lies."""
    reason = without_path(error.found.removeprefix(_named(record)), record.path)
    return {"id": record.id, "reason": f"{_named(record)}{reason}"}


def _named(record: Record) -> str:
    return f"picture {record.id!r}: "


def decoded(
    records: Iterable[Record],
    preprocess: Preprocess,
    on_error: OnError = "raise",
    threads: int | None = None,
) -> Iterator[tuple[Record, Picture | ReadError]]:
    """Yield each record with its picture, or with `on_error="skip"` with the error where there is none."""

    def attempt(record: Record) -> tuple[Record, Picture | ReadError]:
        try:
            return record, decode(record, preprocess)
        except ReadError as error:
            if on_error == "raise":
                raise
            return record, error

    return read_ahead(attempt, records, threads)


def check_on_error(on_error: str) -> None:
    """Raise an ArgumentError unless `on_error` is "raise" or "skip"."""
    if on_error not in ("raise", "skip"):
        raise ArgumentError(f"on_error is {on_error!r}", '"raise" or "skip"', "pass one of the two")

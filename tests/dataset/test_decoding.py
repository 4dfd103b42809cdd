import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from mri_tumor.dataset import decoding
from mri_tumor.dataset.catalog import scan
from mri_tumor.dataset.decoding import check_on_error, decode, decoded, interleaved, read_ahead
from mri_tumor.dataset.preprocess import Preprocess
from mri_tumor.errors import ArgumentError, MissingExtra, ReadError

SMALL = Preprocess(size=8)


@pytest.fixture(params=[1, 2, 5])
def threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(decoding, "thread_count", lambda: request.param)
    return int(request.param)


@pytest.mark.usefixtures("threads")
def test_order_is_kept_when_later_items_are_ready_first() -> None:
    def slow_first(item: int) -> int:
        time.sleep(0.002 * (20 - item))
        return item * item

    assert list(read_ahead(slow_first, range(20))) == [item * item for item in range(20)]


def test_items_are_asked_for_as_they_are_needed(threads: int) -> None:
    asked: list[int] = []

    def items() -> Iterator[int]:
        for item in range(1000):
            asked.append(item)
            yield item

    stream = read_ahead(lambda item: item, items())
    assert next(stream) == 0
    assert len(asked) == 4 * threads


@pytest.mark.usefixtures("threads")
def test_an_exception_comes_in_its_place_and_ends_the_threads() -> None:
    def fail_at_seven(item: int) -> int:
        if item == 7:
            raise ValueError("seven")
        return item

    seen: list[int] = []
    with pytest.raises(ValueError, match="seven"):
        seen.extend(iter(read_ahead(fail_at_seven, range(100))))
    assert seen == list(range(7))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("mri-tumor-decode")]


def test_a_closed_stream_ends_its_threads() -> None:
    stream = read_ahead(lambda item: item, range(100))
    next(stream)
    stream.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("mri-tumor-decode")]


@pytest.mark.parametrize("workers", [1, 3])
def test_jobs_run_side_by_side_and_all_they_yield_comes_out(workers: int) -> None:
    def job(start: int) -> Iterator[int]:
        yield from range(start, start + 5)

    found = list(interleaved([partial(job, start) for start in range(0, 50, 5)], workers))
    assert sorted(found) == list(range(50))


def test_the_first_exception_of_a_job_ends_all() -> None:
    closed: list[int] = []

    def endless(number: int) -> Iterator[int]:
        try:
            while True:
                time.sleep(0.001)
                yield number
        finally:
            closed.append(number)

    def fails() -> Iterator[int]:
        yield 0
        raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        list(interleaved([partial(endless, 1), partial(endless, 2), fails], 3))
    assert sorted(closed) == [1, 2]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("mri-tumor-job")]


def test_a_bad_picture_is_named_by_its_id(make_folder: Callable[..., Path]) -> None:
    catalog = scan(make_folder(per_class=2))
    catalog.paths[3].write_bytes(b"")
    with pytest.raises(ReadError, match=r"picture 'meningioma_tumor/001\.png'"):
        decode(catalog[3], SMALL)
    with pytest.raises(ReadError, match=r"picture 'meningioma_tumor/001\.png'"):
        list(decoded(catalog, SMALL))
    results = list(decoded(catalog, SMALL, "skip"))
    assert [record.id for record, _ in results] == list(catalog.ids)
    assert [place for place, (_, result) in enumerate(results) if isinstance(result, ReadError)] == [3]
    assert all(result.shape == (8, 8, 1) for _, result in results if isinstance(result, np.ndarray))


@pytest.mark.parametrize("on_error", ["raise", "skip"])
def test_a_missing_extra_is_no_bad_picture(
    make_folder: Callable[..., Path], monkeypatch: pytest.MonkeyPatch, on_error: Literal["raise", "skip"]
) -> None:
    catalog = scan(make_folder(per_class=1))

    def needs_more(_: Path) -> None:
        raise MissingExtra("pydicom is not installed")

    monkeypatch.setattr(decoding, "read_image", needs_more)
    with pytest.raises(MissingExtra):
        list(decoded(catalog, SMALL, on_error))


def test_on_error_is_one_of_two() -> None:
    check_on_error("raise")
    check_on_error("skip")
    with pytest.raises(ArgumentError, match="on_error is 'warn'"):
        check_on_error("warn")


def test_thread_count_is_at_least_one() -> None:
    assert decoding.thread_count() >= 1

"""Work side by side: all of it in order, or the first exception."""

import threading
import time

import pytest

from mri_tumor.cloud.aws.s3.parallel import side_by_side


def test_results_come_in_the_order_of_the_items() -> None:
    def late(place: int) -> int:
        time.sleep(0.02 * (5 - place))
        return place * place

    assert side_by_side(late, range(5), 5, "squaring") == [0, 1, 4, 9, 16]
    assert side_by_side(late, [], 5, "squaring") == []


def test_so_many_run_at_a_time() -> None:
    barrier = threading.Barrier(3)  # is passed only by three at once
    assert len(side_by_side(lambda _: barrier.wait(30), range(6), 3, "waiting")) == 6


def test_the_first_exception_ends_what_has_not_begun() -> None:
    begun = []

    def work(place: int) -> None:
        begun.append(place)
        if place == 1:
            raise ValueError("stop")
        time.sleep(0.02)

    with pytest.raises(ValueError, match="stop"):
        side_by_side(work, range(200), 2, "working")
    assert len(begun) < 100

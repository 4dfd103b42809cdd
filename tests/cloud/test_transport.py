"""Several requests at a time, in order, and no more of them than needed."""

import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mri_tumor.cloud.transport import check_size, in_order, json_of
from mri_tumor.errors import EndpointError


@given(items=st.lists(st.integers(0, 5), max_size=30), threads=st.integers(1, 8))
def test_answers_come_in_the_order_of_the_requests(items: list, threads: int) -> None:
    def act(pause: int) -> int:
        time.sleep(pause / 5000)
        return pause * 2

    assert list(in_order(act, items, threads=threads)) == [(item, item * 2) for item in items]


def test_items_are_taken_when_they_are_needed() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(100):
            taken.append(number)
            yield number

    answers = in_order(lambda item: item, items(), threads=2)
    next(answers)
    assert len(taken) <= 5
    answers.close()
    assert len(taken) <= 5


def test_after_an_error_nothing_more_is_begun() -> None:
    begun: list[int] = []
    lock = threading.Lock()

    def act(item: int) -> int:
        with lock:
            begun.append(item)
        if item == 3:
            raise EndpointError("no")
        return item

    with pytest.raises(EndpointError):
        list(in_order(act, range(1000), threads=2))
    assert len(begun) < 20


def test_bodies_have_a_limit_and_answers_are_json() -> None:
    check_size(10, 10)
    with pytest.raises(EndpointError, match=r"11 bytes.*at most 10") as caught:
        check_size(11, 10)
    assert caught.value.code == 413
    assert json_of(b"[1]", "e") == [1]
    with pytest.raises(EndpointError, match="e answered b'<html>'"):
        json_of(b"<html>", "e")
    with pytest.raises(EndpointError, match="JSON"):
        json_of(b"[" * 200_000, "e")

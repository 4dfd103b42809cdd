"""The 8 ways to turn: names, boxes and correlations."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mri_tumor.dataset.copies.turns import RELATIONS, WAYS, back, correlations, turned, turned_box

SIDE = 8


def squares(seed: int, count: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, SIDE, SIDE)).astype(np.int64)


@pytest.mark.parametrize("way", WAYS)
def test_back_undoes_every_way(way: int) -> None:
    picture = squares(0, 1)
    undo = RELATIONS.index(back(RELATIONS[way]))
    assert np.array_equal(turned(turned(picture, way), undo), picture)


def test_the_ways_are_all_different() -> None:
    picture = squares(0, 1)
    assert len({turned(picture, way).tobytes() for way in WAYS}) == len(RELATIONS) == 8


@given(st.integers(0, 7), st.lists(st.integers(0, SIDE), min_size=4, max_size=4, unique=False))
def test_a_box_is_turned_as_its_pixels_are(way: int, sides: list[int]) -> None:
    top, bottom, left, right = sorted(sides[:2]) + sorted(sides[2:])
    marked = np.zeros((SIDE, SIDE), np.uint8)
    marked[top:bottom, left:right] = 1
    box = turned_box((top / SIDE, bottom / SIDE, left / SIDE, right / SIDE), way)
    rows, columns = (slice(round(SIDE * low), round(SIDE * high)) for low, high in (box[:2], box[2:]))
    expected = np.zeros_like(marked)
    expected[rows, columns] = 1
    assert np.array_equal(turned(marked, way), expected)


@given(st.integers(0, 100), st.integers(101, 200))
def test_correlations_are_pearsons(one: int, other: int) -> None:
    first, second = squares(one), squares(other)
    expected = [
        [np.corrcoef(turned(a, way).ravel(), b.ravel())[0, 1] for way in WAYS]
        for a, b in zip(first, second, strict=True)
    ]
    np.testing.assert_allclose(correlations(first, second, 1.0), expected, atol=1e-12)


@pytest.mark.parametrize("way", WAYS)
def test_the_way_that_a_copy_was_turned_correlates_by_one(way: int) -> None:
    first = squares(3)
    found = correlations(first, turned(first, way), 1.0)
    assert found.argmax(axis=1).tolist() == [way] * 3
    np.testing.assert_allclose(found[:, way], 1)


def test_flat_pictures_correlate_with_nothing() -> None:
    flat = np.full((2, SIDE, SIDE), 100, np.int64)
    flat[:, 0, 0] += 1
    assert not correlations(flat, flat, 1.0).any()
    assert correlations(flat, flat, 0.1).max() == pytest.approx(1)

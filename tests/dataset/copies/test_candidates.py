"""Pictures as points: turning moves none, and no pair within reach is missed."""

import itertools

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mri_tumor.dataset.copies.candidates import MOST, THUMBNAIL, Neighbourhood, invariants, normalised
from mri_tumor.dataset.copies.turns import WAYS, correlations, turned


def thumbnails(seed: int, count: int, *, spread: int = 255) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 1 + spread, (count, 5, 5)).astype(np.float32)
    size = (THUMBNAIL, THUMBNAIL)
    stack = [cv2.resize(picture, size, interpolation=cv2.INTER_LINEAR) for picture in coarse]
    return np.array(stack).astype(np.uint8)


@pytest.mark.parametrize("way", WAYS)
def test_turning_changes_no_number(way: int) -> None:
    pictures = thumbnails(0, 4)
    np.testing.assert_allclose(invariants(turned(pictures, way)), invariants(pictures), atol=1e-5)


@given(st.integers(0, 1000))
def test_pictures_lie_at_least_as_far_apart_as_their_numbers(seed: int) -> None:
    first, second = thumbnails(seed, 2)
    apart = np.linalg.norm(np.subtract(*invariants(np.stack([first, second]))))
    best = correlations(first[None].astype(np.int64), second[None].astype(np.int64), 1.0).max()
    assert apart <= np.sqrt(2 - 2 * best) + 1e-4


@settings(max_examples=20)
@given(st.integers(0, 1000), st.sampled_from([0.9, 0.95, 0.99]))
def test_no_pair_within_reach_is_missed(seed: int, least: float) -> None:
    rng = np.random.default_rng(seed)
    pictures = thumbnails(seed, 12)
    copies = np.clip(pictures + rng.normal(0, 12, pictures.shape), 0, 255).astype(np.uint8)
    every = np.concatenate([pictures, turned(copies, int(rng.integers(8)))])
    places = np.array(list(itertools.combinations(range(len(every)), 2)))
    first, second = (every[side].astype(np.int64) for side in places.T)
    expected = places[correlations(first, second, 1.0).max(axis=1) >= least]
    found = {tuple(pair) for pair in Neighbourhood([list(every)]).within(least).tolist()}
    assert {tuple(pair) for pair in expected.tolist()} <= found


def test_pairs_come_once_the_closest_first() -> None:
    pictures = thumbnails(0, 6)
    near = pictures.copy()
    near[:, 8:16, 8:16] //= 2
    every = list(np.concatenate([pictures, pictures, near]))
    pairs = Neighbourhood([every, every]).within(0.9)
    assert len(np.unique(pairs, axis=0)) == len(pairs)
    assert (pairs[:, 0] < pairs[:, 1]).all()
    assert {tuple(pair) for pair in pairs[:6].tolist()} == {(place, place + 6) for place in range(6)}


def test_more_copies_than_are_looked_at_stay_within_bounds() -> None:
    count = 3 * MOST
    pairs = Neighbourhood([[thumbnails(0, 1)[0]] * count]).within(0.99)
    assert set(pairs.ravel().tolist()) == set(range(count))
    assert len(pairs) <= count * MOST


def test_flat_pictures_have_no_neighbours() -> None:
    flat = np.full((3, THUMBNAIL, THUMBNAIL), 9, np.uint8)
    near = Neighbourhood([list(flat)])
    assert not normalised(flat).any()
    assert len(near.within(0.5)) == len(near.nearest(np.arange(3))) == 0


def test_nearest_of_some() -> None:
    pictures = thumbnails(1, 5)
    near = Neighbourhood([[*pictures, turned(pictures[3], 5)]])
    assert near.nearest_of(5, np.arange(5))[0] == 3
    assert [3, 5] in near.nearest(np.arange(6)).tolist()
    assert near.nearest(np.array([0, 1])).tolist() == [[0, 1]]

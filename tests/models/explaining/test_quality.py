import numpy as np
import pytest

from mri_tumor.errors import ArgumentError
from mri_tumor.models.explaining.quality import SHARES, deletion, energy, order, overlap, pointing


def box(size: int = 10, *, rows: slice = slice(2, 5), columns: slice = slice(3, 7)) -> np.ndarray:
    mask = np.zeros((size, size), bool)
    mask[rows, columns] = True
    return mask


def test_a_map_that_is_the_outline_is_perfect() -> None:
    mask = box()
    assert pointing(mask.astype(float), mask)
    assert energy(mask.astype(float), mask) == 1
    assert overlap(mask.astype(float), mask) == 1


def test_a_map_that_lies_elsewhere_is_worth_nothing() -> None:
    mask, heat = box(), box(rows=slice(6, 9)).astype(float)
    assert not pointing(heat, mask)
    assert energy(heat, mask) == 0
    assert overlap(heat, mask) == 0


def test_no_heat_points_nowhere() -> None:
    nothing = np.zeros((10, 10))
    everywhere = np.ones((10, 10), bool)
    assert not pointing(nothing, everywhere)
    assert energy(nothing, everywhere) == 0
    assert overlap(nothing, everywhere) == 0


def test_flat_heat_has_the_outlines_share_of_energy() -> None:
    assert energy(np.ones((10, 10)), box()) == pytest.approx(0.12)


def test_overlap_by_hand() -> None:
    mask = box()
    heat = box(columns=slice(5, 9)) * 1.0  # half of it inside: 6 of 12, and 18 in either
    assert overlap(heat, mask) == pytest.approx(6 / 18)
    # Less heat than the outline is large: nothing is added to it.
    small = box(rows=slice(2, 3), columns=slice(3, 5)) * 1.0
    assert overlap(small, mask) == pytest.approx(2 / 12)


def test_scale_counts_for_nothing() -> None:
    rng = np.random.default_rng(0)
    heat, mask = rng.random((10, 10)), box()
    for measure in (pointing, energy, overlap):
        assert measure(7 * heat, mask) == pytest.approx(measure(heat, mask))


def test_deletion_tells_a_map_of_what_counts_from_one_of_what_does_not() -> None:
    mask = box(20, rows=slice(5, 8), columns=slice(5, 8))
    picture, instead = np.full((20, 20), 200, np.uint8), np.zeros((20, 20), np.uint8)

    def ask(shown: np.ndarray) -> np.ndarray:
        return shown[:, mask, 0].mean(axis=1) / 200

    rng = np.random.default_rng(0)
    best = deletion(ask, picture, mask * 1.0, instead)
    worst = deletion(ask, picture, 1.0 - mask, instead)
    middle = deletion(ask, picture, rng.random((20, 20)), instead)
    assert best < 0.03
    assert worst > 0.8
    assert middle == pytest.approx(0.5, abs=0.15)


def test_deletion_shows_the_picture_first_and_the_other_last() -> None:
    picture = np.arange(16, dtype=np.uint8).reshape(4, 4)
    instead = picture + 100
    seen = []

    def ask(shown: np.ndarray) -> np.ndarray:
        seen.append(shown)
        return np.ones(len(shown))

    assert deletion(ask, picture, np.zeros((4, 4)), instead) == pytest.approx(1)
    (shown,) = seen
    assert shown.shape == (len(SHARES), 4, 4, 1)
    np.testing.assert_array_equal(shown[0, ..., 0], picture)
    np.testing.assert_array_equal(shown[-1, ..., 0], instead)
    np.testing.assert_array_equal(np.sort(picture, axis=None), np.arange(16))


def test_the_order_is_that_of_the_heat_and_equals_do_not_go_row_by_row() -> None:
    heat = np.array([[0.0, 3.0], [1.0, 2.0]])
    assert order(heat).tolist() == [1, 3, 2, 0]
    flat = order(np.zeros((30, 30)))
    assert sorted(flat) == list(range(900))
    assert abs(np.mean(flat[:100]) - 450) < 100
    np.testing.assert_array_equal(flat, order(np.zeros((30, 30))))


@pytest.mark.parametrize("shares", [(0, 0.5), (0.1, 1), (0, 0.5, 0.4, 1), (0, 0, 1)])
def test_shares_go_from_0_to_1(shares: tuple) -> None:
    picture = np.zeros((4, 4), np.uint8)
    with pytest.raises(ArgumentError, match="ascending from 0 to 1"):
        deletion(lambda shown: np.ones(len(shown)), picture, np.ones((4, 4)), picture, shares=shares)


@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.float32])
def test_an_outline_that_is_not_bool_is_refused(kind: type) -> None:
    for measure in (pointing, energy, overlap):
        with pytest.raises(ArgumentError, match="pass outline > 0"):
            measure(np.ones((4, 4)), 255 * np.ones((4, 4), kind))


def test_an_outline_of_another_size_is_refused() -> None:
    for measure in (pointing, energy, overlap):
        with pytest.raises(ArgumentError, match=r"placement\(image\)\.carry"):
            measure(np.ones((4, 4)), np.ones((5, 4), bool))

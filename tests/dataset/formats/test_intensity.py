import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays, scalar_dtypes

from mri_tumor.dataset.formats.intensity import HIGH, LOW, percentile_window, to_grey

NUMBERS = scalar_dtypes().filter(lambda dtype: dtype.kind in "iuf" and dtype.itemsize <= 8)


def test_the_window_by_hand() -> None:
    values = np.arange(1001, dtype=np.int16)  # foreground 1..1000, ranks 0.5 % and 99.5 % of 999
    assert percentile_window(values) == (6, 995)
    assert percentile_window(values, low=0, high=100) == (1, 1000)
    assert (LOW, HIGH) == (0.5, 99.5)


def test_background_and_padding_do_not_count() -> None:
    brain = np.random.default_rng(0).normal(500, 80, 2000)
    padded = np.concatenate([np.full(100_000, -2000.0), brain])
    assert percentile_window(padded) == percentile_window(np.concatenate([[0.0], brain]))


def test_values_that_are_no_numbers_do_not_count() -> None:
    values = np.array([np.nan, -np.inf, 0, 1, 2, np.inf])
    assert percentile_window(values, low=0, high=100) == (1, 2)
    assert percentile_window(np.full(5, np.nan)) == (0, 0)
    assert percentile_window(np.zeros(0)) == (0, 0)


@pytest.mark.parametrize(("values", "window"), [([3, 3, 3], (3, 3)), ([0, 0, 7, 7], (0, 7))])
def test_masks_and_flat_pictures(values: list[int], window: tuple[float, float]) -> None:
    assert percentile_window(np.array(values)) == window


def test_the_values_are_left_as_they_were() -> None:
    values = np.arange(100)[::-1].copy()
    percentile_window(values)
    np.testing.assert_array_equal(values, np.arange(100)[::-1])


def test_greys_by_hand() -> None:
    greys = to_grey(np.array([[-5, 10, 20], [60, 110, 200]], np.int16), 10, 110)
    assert greys.dtype == np.uint8
    assert greys.tolist() == [[0, 0, 26], [128, 255, 255]]


@pytest.mark.parametrize("window", [(5, 5), (6, 5), (np.nan, 5), (0, 5e-324)])
def test_a_window_without_width_is_black(window: tuple[float, float]) -> None:
    assert not to_grey(np.arange(10.0), *window).any()


@given(arrays(NUMBERS, array_shapes(min_dims=1, max_dims=3)))
def test_any_values_give_greys_in_their_order(values: np.ndarray) -> None:
    black, white = percentile_window(values)
    assert black <= white
    greys = to_grey(values, black, white)
    assert greys.dtype == np.uint8
    assert greys.shape == values.shape
    order = np.argsort(values, axis=None)
    known = order[~np.isnan(values.ravel()[order])]
    assert (np.diff(greys.ravel()[known].astype(int)) >= 0).all()


@given(st.integers(-1000, 1000), st.integers(1, 4000))
def test_scale_and_offset_of_the_values_do_not_matter(offset: int, factor: int) -> None:
    values = np.random.default_rng(1).integers(0, 5000, 500)
    moved = values * factor + offset
    np.testing.assert_array_equal(
        to_grey(values, *percentile_window(values)), to_grey(moved, *percentile_window(moved))
    )

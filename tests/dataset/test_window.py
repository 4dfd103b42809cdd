import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mri_tumor.dataset.window import (
    WINDOW_FLOOR,
    WINDOW_TOP,
    histogram,
    level_before,
    window_level,
    windowed,
)

LEVELS = np.arange(256, dtype=np.uint8)


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)


PICTURES = st.builds(noise, st.integers(1, 80), st.integers(1, 80), st.integers(0, 999))


def test_window_level_by_hand() -> None:
    counts = np.zeros(256, np.int64)
    counts[10] = 1_000_000  # background: does not count
    counts[100], counts[115], counts[200] = 50, 49, 1
    assert [window_level(counts, percentile) for percentile in (50, 51, 99, 100)] == [100, 115, 115, 200]
    found = windowed(LEVELS[None], 115)[0, [0, 23, 115, 127, 200]]
    assert found.tolist() == [0, 46, WINDOW_TOP, 254, 255]


def test_window_of_a_dark_picture_is_the_identity() -> None:
    level = window_level(histogram(np.full((5, 5), 10, np.uint8)), 99)
    np.testing.assert_array_equal(windowed(LEVELS[None], level)[0], LEVELS)


@pytest.mark.parametrize("width", [256, 256 + 1, 256 + 31])  # OpenCV has other code for the ends of rows
def test_windowed_is_what_whole_numbers_give_for_every_level_and_grey(width: int) -> None:
    greys = np.resize(LEVELS, (1, width))
    for level in range(WINDOW_FLOOR + 1, 256):
        expected = np.minimum(255, (greys.astype(int) * WINDOW_TOP + level // 2) // level)
        np.testing.assert_array_equal(windowed(greys, level), expected)


def test_the_cut_before_the_window_is_the_cut_after_it() -> None:
    for level in range(WINDOW_FLOOR + 1, 256):
        after = windowed(LEVELS[None], level)[0]
        for grey in range(255):
            np.testing.assert_array_equal(after > grey, level_before(grey, level) < LEVELS)


@given(PICTURES, st.integers(1, 100))
def test_window_keeps_the_order_of_grey_levels(image: np.ndarray, percentile: int) -> None:
    after = windowed(LEVELS[None], window_level(histogram(image), percentile))[0].astype(int)
    assert (np.diff(after) >= 0).all()
    assert after[0] == 0


@given(PICTURES)
def test_histogram(image: np.ndarray) -> None:
    np.testing.assert_array_equal(histogram(image), np.bincount(image.ravel(), minlength=256))


def test_histogram_counts_exactly_beyond_float32() -> None:
    image = np.zeros((4097, 4097), np.uint8)
    image[0, 0] = 50
    counts = histogram(image)
    assert (counts[0], counts[50]) == (4097**2 - 1, 1)

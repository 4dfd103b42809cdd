import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mri_tumor.dataset.window import WINDOW_TOP, histogram, window_table


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)


PICTURES = st.builds(noise, st.integers(1, 80), st.integers(1, 80), st.integers(0, 999))


def test_window_table_by_hand() -> None:
    counts = np.zeros(256, np.int64)
    counts[10] = 1_000_000  # background: does not count
    counts[100], counts[115], counts[200] = 50, 49, 1
    table = window_table(counts, 99)
    assert [table[level] for level in (0, 23, 115, 127, 200)] == [0, 46, WINDOW_TOP, 254, 255]
    assert window_table(counts, 100)[200] == WINDOW_TOP
    assert window_table(counts, 50)[100] == WINDOW_TOP


def test_window_of_a_dark_picture_is_the_identity() -> None:
    np.testing.assert_array_equal(window_table(histogram(np.full((5, 5), 10, np.uint8)), 99), np.arange(256))


@given(PICTURES, st.integers(1, 100))
def test_window_keeps_the_order_of_grey_levels(image: np.ndarray, percentile: int) -> None:
    table = window_table(histogram(image), percentile).astype(int)
    assert (np.diff(table) >= 0).all()
    assert table[0] == 0


@given(PICTURES)
def test_histogram(image: np.ndarray) -> None:
    np.testing.assert_array_equal(histogram(image), np.bincount(image.ravel(), minlength=256))


def test_histogram_counts_exactly_beyond_float32() -> None:
    image = np.zeros((4097, 4097), np.uint8)
    image[0, 0] = 50
    counts = histogram(image)
    assert (counts[0], counts[50]) == (4097**2 - 1, 1)

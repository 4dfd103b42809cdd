"""Values of any depth or scale to grey levels: the upper 8 bits, or a window between two percentiles."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

LOW, HIGH = 0.5, 99.5
"""The percentiles of the foreground that become black and white, as nnU-Net clips (Isensee et al. 2021)."""

Values = NDArray[np.number[Any]]


def percentile_window(values: Values, *, low: float = LOW, high: float = HIGH) -> tuple[float, float]:
    """Return the values that become black and white where a file says nothing about it.

    The foreground is every finite value above the lowest: air set to 0, and padding, do not count. Each end
    is a value that occurs (the nearest rank). Where both ends are one value, black is the lowest of all.

    Args:
        values: of any shape; of a volume or series all of it, so that its slices stay comparable.
        low: the percentile that becomes black, 0-100.
        high: the percentile that becomes white, 0-100.

    Returns:
        Black and white; they are equal where all values are.

    >>> percentile_window(np.array([-2000, 0, 5, 10, 900]), low=0, high=50)
    (0.0, 10.0)
    """
    finite = values[np.isfinite(values)]
    if not finite.size:
        return 0.0, 0.0
    lowest = finite.min()
    foreground = finite[finite > lowest]
    if not foreground.size:
        return float(lowest), float(lowest)
    ranks = [round(share / 100 * (foreground.size - 1)) for share in (low, high)]
    foreground.partition(ranks)
    black, white = (foreground[rank] for rank in ranks)
    return float(black if black < white else lowest), float(white)


def whole_range(values: Values) -> tuple[float, float]:
    """Return the lowest and the highest finite value; 0 and 0 if there is none.

    >>> whole_range(np.array([3, -1, 8]))
    (-1.0, 8.0)
    """
    finite = values[np.isfinite(values)]
    return (float(finite.min()), float(finite.max())) if finite.size else (0.0, 0.0)


def to_grey(values: Values, black: float, white: float) -> NDArray[np.uint8]:
    """Return values as grey levels: `black` and below 0, `white` and above 255, linear and rounded between.

    NaN becomes 0; so does everything where `black` is not below `white`.

    >>> to_grey(np.array([-3.0, 0.0, 50.0, 100.0, np.inf, np.nan]), 0, 100)
    array([  0,   0, 128, 255, 255,   0], dtype=uint8)
    """
    # Halves, because the width itself may be more than the largest float.
    half_width = white / 2 - black / 2
    if not half_width > 0:
        return np.zeros(values.shape, np.uint8)
    inside = np.clip(values.astype(np.float64), black, white)
    shares = np.nan_to_num((inside / 2 - black / 2) / half_width, nan=0.0)
    return np.asarray(np.rint(shares * 255), np.uint8)


def to_8_bits(image: Values) -> NDArray[np.uint8]:
    """Keep the upper 8 of the bits that the highest value needs, so 12-bit MR in 16-bit files is not black.

    Args:
        image: uint8, which stays as it is, or uint16.

    >>> to_8_bits(np.array([[0, 16, 4095]], np.uint16))
    array([[  0,   1, 255]], dtype=uint8)
    """
    if image.dtype == np.uint8:
        return np.asarray(image, np.uint8)
    shift = max(0, int(image.max()).bit_length() - 8)
    return np.right_shift(image, shift).astype(np.uint8)

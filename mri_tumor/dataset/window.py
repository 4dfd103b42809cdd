"""The window: one grey level for another, so that pictures of unlike brightness look alike."""

import cv2
import numpy as np
import numpy.typing as npt

Grey = npt.NDArray[np.uint8]

WINDOW_FLOOR = 10
"""Pixels up to this grey level are background and do not count for the window."""

WINDOW_TOP = 230
"""The grey level that the window's percentile is brought to; what lies above runs on, clipped at 255."""

# Added before rounding half to even, so that halves go up as in whole numbers. For no level is another value
# as near to a half as twice this, and float32 is many times as exact.
_HALVES_UP = 1 / 1024
# Above this many pixels OpenCV's float32 histogram can no longer count exactly.
_EXACT_HISTOGRAM = 2**24


def histogram(image: Grey) -> npt.NDArray[np.int64]:
    """Return how often each grey level occurs, int64 (256,)."""
    if image.size > _EXACT_HISTOGRAM:
        return np.bincount(image.ravel(), minlength=256)
    counts = cv2.calcHist([image], [0], None, [256], [0, 256]).ravel()
    return np.asarray(counts, np.int64)


def window_level(counts: npt.NDArray[np.int64], percentile: int) -> int:
    """Return the grey level that is brought to `WINDOW_TOP`; that level itself if all is background.

    Args:
        counts: how often each grey level occurs, int64 (256,).
        percentile: of the pixels above `WINDOW_FLOOR`, 1-100.
    """
    up_to = np.cumsum(counts[WINDOW_FLOOR + 1 :])
    if up_to[-1] == 0:
        return WINDOW_TOP
    return WINDOW_FLOOR + 1 + int(np.searchsorted(up_to * 100, percentile * up_to[-1]))


def windowed(image: Grey, level: int) -> Grey:
    """Return the picture with `level` brought to `WINDOW_TOP`, the others in proportion, clipped at 255.

    Rounded half up: (grey * WINDOW_TOP + level // 2) // level in whole numbers, without a table to look up.

    >>> windowed(np.array([[0, 23, 115, 200]], np.uint8), 115)
    array([[  0,  46, 230, 255]], dtype=uint8)
    """
    if level == WINDOW_TOP:
        return image
    return np.asarray(cv2.convertScaleAbs(image, alpha=WINDOW_TOP / level, beta=_HALVES_UP), np.uint8)


def level_before(grey: int, level: int) -> int:
    """Return the highest grey level that `windowed` brings to `grey` or below: the same cut, before it.

    >>> level_before(46, 115), level_before(25, WINDOW_TOP)
    (23, 25)
    """
    return min(255, ((grey + 1) * level - level // 2 - 1) // WINDOW_TOP)

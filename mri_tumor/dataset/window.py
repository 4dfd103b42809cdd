"""The window: one grey level for another, so that pictures of unlike brightness look alike."""

import cv2
import numpy as np
import numpy.typing as npt

Grey = npt.NDArray[np.uint8]

WINDOW_FLOOR = 10
"""Pixels up to this grey level are background and do not count for the window."""

WINDOW_TOP = 230
"""The grey level that the window's percentile is brought to; what lies above runs on, clipped at 255."""

IDENTITY: Grey = np.arange(256, dtype=np.uint8)
"""The table that leaves every grey level as it is."""

_SCALED_LEVELS = np.arange(256) * WINDOW_TOP
# Above this many pixels OpenCV's float32 histogram can no longer count exactly.
_EXACT_HISTOGRAM = 2**24


def histogram(image: Grey) -> npt.NDArray[np.int64]:
    """Return how often each grey level occurs, int64 (256,)."""
    if image.size > _EXACT_HISTOGRAM:
        return np.bincount(image.ravel(), minlength=256)
    counts = cv2.calcHist([image], [0], None, [256], [0, 256]).ravel()
    return np.asarray(counts, np.int64)


def window_table(counts: npt.NDArray[np.int64], percentile: int) -> Grey:
    """Return the new grey level of each old one, uint8 (256,).

    Args:
        counts: how often each grey level occurs, int64 (256,).
        percentile: of the pixels above `WINDOW_FLOOR`, 1-100; that level becomes `WINDOW_TOP`.
    """
    up_to = np.cumsum(counts[WINDOW_FLOOR + 1 :])
    if up_to[-1] == 0:
        return IDENTITY
    level = WINDOW_FLOOR + 1 + int(np.searchsorted(up_to * 100, percentile * up_to[-1]))
    return np.minimum(255, (_SCALED_LEVELS + level // 2) // level).astype(np.uint8)


def level_before(table: Grey, level: int) -> int:
    """Return the highest grey level that `table` brings to `level` or below: the same cut, before windowing.

    >>> table = np.minimum(255, np.arange(256) * 2).astype(np.uint8)
    >>> level_before(table, 41)
    20
    """
    return int(np.searchsorted(table, level, side="right")) - 1

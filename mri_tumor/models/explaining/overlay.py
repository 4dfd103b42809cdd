"""A heat map laid over its picture, as pixels."""

import numpy as np
from numpy.typing import NDArray

COLOURS = "inferno"
"""The colour map, one whose steps look equal; where there is no heat the picture stays as it is."""

_MOST = 0.65  # the picture shows through where the heat is greatest


def overlaid(picture: NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return a picture in colour, with its heat over it: uint8 (size, size, 3), red, green, blue.

    Args:
        picture: uint8 (size, size), 0-255.
        heat: float32 (size, size), 0-1.

    >>> overlaid(np.full((1, 2), 100, np.uint8), np.array([[0, 1]], np.float32)).tolist()
    [[[100, 100, 100], [199, 200, 142]]]
    """
    from matplotlib import colormaps  # seconds to import, and only drawing needs it

    colour = colormaps[COLOURS](np.clip(heat, 0, 1))[..., :3] * 255
    share = _MOST * np.clip(heat, 0, 1)[..., np.newaxis]
    mixed = picture[..., np.newaxis] * (1 - share) + colour * share
    return np.asarray(np.rint(mixed), np.uint8)

"""Mirror, updown, shear, zoom, rotation and translation: one matrix, one interpolation."""

import math
from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from mri_tumor.dataset.augment.values import Picture, Step, Values

_FLAGS = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
_CODES = {1: 0, 2: 1, 3: -1}
"""What `cv2.flip` calls upside down, left-right, and both."""


def plan(images: NDArray[np.uint8], values: Values) -> Step | None:
    """Return the step that moves each picture, None if none of them moves.

    About the picture's centre, in this order: mirrored left-right, mirrored upside down, sheared, zoomed,
    turned, then shifted. Bilinear; what comes in from outside is 0.
    """
    size, flips = images.shape[1], (2 * values["mirror"] + values["updown"]).tolist()
    warped = _warped(values).tolist()
    if not any(flips) and not any(warped):
        return None
    matrices = inverse(values, size) if any(warped) else None

    def move(place: int, picture: Picture, into: Picture) -> Picture:
        if matrices is not None and warped[place]:
            cv2.warpAffine(picture, matrices[place], (size, size), dst=into, flags=_FLAGS)
        elif flips[place]:
            cv2.flip(picture, _CODES[flips[place]], dst=into)
        else:
            return picture
        return into

    return move


def _warped(values: Values) -> NDArray[np.bool_]:
    """Return which pictures take more than a mirror."""
    shaped: NDArray[np.bool_] = (values["rotation"] != 0) | (values["shear"] != 0) | (values["zoom"] != 1)
    return shaped | values["translation"].any(axis=1)


def inverse(values: Values, size: int) -> NDArray[np.float64]:
    """Return where each output pixel (x, y, 1) is read in the input: float64 (N, 2, 3), in pixels.

    >>> from mri_tumor.dataset.augment.values import checked
    >>> inverse(checked(1, translation=[0.25, 0.0]), 8).tolist()
    [[[1.0, 0.0, -2.0], [0.0, 1.0, 0.0]]]
    """
    cos, sin = _each(math.cos, values["rotation"]), _each(math.sin, values["rotation"])
    lean = _each(math.tan, values["shear"])
    across = np.where(values["mirror"], -1.0, 1.0) / values["zoom"]
    down = np.where(values["updown"], -1.0, 1.0) / values["zoom"]
    turned = [[(cos + lean * sin) * across, (lean * cos - sin) * across], [sin * down, cos * down]]
    linear = np.moveaxis(np.array(turned), 2, 0)
    centre = (size - 1) / 2
    shifted = centre + values["translation"] * size
    offset = centre - linear[:, :, 0] * shifted[:, :1] - linear[:, :, 1] * shifted[:, 1:]
    return np.concatenate([linear, offset[:, :, None]], axis=2)


def _each(function: Callable[[float], float], degrees: NDArray[np.float64]) -> NDArray[np.float64]:
    # One at a time: NumPy's own may round otherwise in an array of another length.
    return np.array([function(angle) for angle in (degrees * (math.pi / 180)).tolist()])

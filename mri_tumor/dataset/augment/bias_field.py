"""Bias field: the slow change of gain over the picture that a receiver coil leaves.

The gain is a polynomial of degree 3, the model of Van Leemput, Maes, Vandermeulen and Suetens ("Automated
model-based bias field correction of MR images of the brain", IEEE TMI 18, 1999), written in Legendre's basis:
none of its members exceeds 1, so the coefficients bound the gain.
"""

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from mri_tumor.dataset.augment.values import TERMS, Picture, Step, Values


def plan(images: NDArray[np.uint8], values: Values) -> Step | None:
    """Return the step that multiplies each picture by its gain, None if all gains are 1."""
    coefficients, size = values["bias_field"], images.shape[1]
    wanted = [any(row) for row in coefficients.tolist()]
    if not any(wanted):
        return None

    def vary(place: int, picture: Picture, into: Picture) -> Picture:
        if not wanted[place]:
            return picture
        cv2.multiply(picture, gain(coefficients[place], size), dst=into, dtype=cv2.CV_8U)
        return into

    return vary


def gain(coefficients: NDArray[np.float64], size: int) -> NDArray[np.float32]:
    """Return the factor of every pixel, float32 (size, size): 1 plus the sum of the nine terms.

    >>> gain(np.array([0.5, 0, 0, 0, 0, 0, 0, 0, 0]), 3).tolist()
    [[0.5, 1.0, 1.5], [0.5, 1.0, 1.5], [0.5, 1.0, 1.5]]
    """
    table = np.zeros((4, 4))
    table[0, 0] = 1
    for (across, down), value in zip(TERMS, coefficients, strict=True):
        table[down, across] = value
    basis = _legendre(size)
    # Summed in double: what the order of adding changes is then lost in single.
    return (basis @ table @ basis.T).astype(np.float32)


@lru_cache(maxsize=8)
def _legendre(size: int) -> NDArray[np.float64]:
    """Return Legendre's polynomials of degree 0 to 3 over the side, which runs from -1 to 1: (size, 4)."""
    return np.asarray(np.polynomial.legendre.legvander(np.linspace(-1, 1, size), 3), np.float64)

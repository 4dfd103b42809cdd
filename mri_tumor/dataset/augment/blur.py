"""Gaussian blur."""

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from mri_tumor.dataset.augment.values import Picture, Step, Values


def plan(images: NDArray[np.uint8], values: Values) -> Step | None:
    """Return the step that blurs each picture, None if none is blurred; the border is reflected."""
    sigmas = values["blur"].tolist()
    if not any(sigmas):
        return None

    def soften(place: int, picture: Picture, into: Picture) -> Picture:
        if sigmas[place] == 0:
            return picture
        weights = kernel(sigmas[place])
        cv2.sepFilter2D(picture, -1, weights, weights, dst=into)
        return into

    return soften


def kernel(sigma: float) -> NDArray[np.float64]:
    """Return the weights, float64 (K, 1), sum 1: a Gaussian cut off at the pixel beyond three sigma.

    >>> kernel(0.5).round(3).ravel().tolist()
    [0.0, 0.106, 0.787, 0.106, 0.0]
    """
    return cv2.getGaussianKernel(2 * math.ceil(3 * sigma) + 1, sigma)  # type: ignore[no-any-return]

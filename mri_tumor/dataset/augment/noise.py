"""Gaussian noise from a seed: the same on any machine and in any version of NumPy.

NumPy promises the bits of SFC64 for ever, but not the normal numbers it makes of them: those are made here.
"""

import math
from functools import lru_cache
from statistics import NormalDist

import cv2
import numpy as np
from numpy.typing import NDArray

from mri_tumor.dataset.augment.values import Picture, Step, Values


def plan(images: NDArray[np.uint8], values: Values) -> Step | None:
    """Return the step that adds noise to each picture, None if none gets any."""
    sigmas, seeds = values["noise"].tolist(), values["noise_seed"].tolist()
    if not any(sigmas):
        return None

    def spoil(place: int, picture: Picture, into: Picture) -> Picture:
        if sigmas[place] == 0:
            return picture
        added = normal(seeds[place], picture.shape) * np.float32(sigmas[place])
        cv2.add(picture, added, dst=into, dtype=cv2.CV_8U)
        return into

    return spoil


def normal(seed: int, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return standard normal numbers, float32 of this shape, each from 16 random bits: up to 4.3 sigma.

    >>> found = normal(3, (100, 100))
    >>> bool((found == normal(3, (100, 100))).all()), float(abs(found.std() - 1)) < 0.02
    (True, True)
    """
    count = math.prod(shape)
    # One call that lets other threads go on; the generator of `draws` would be many.
    words = np.random.SFC64(seed).random_raw(-(-count // 4))
    bits = words.astype("<u8", copy=False).view("<u2")[:count].reshape(shape)
    found: NDArray[np.float32] = np.take(_quantiles(), bits, mode="wrap")
    return found


@lru_cache(maxsize=1)
def _quantiles() -> NDArray[np.float32]:
    """Return the middle of each of 65 536 equally likely parts of the normal distribution."""
    inverse = NormalDist().inv_cdf
    upper = np.array([inverse((place + 0.5) / 65536) for place in range(32768, 65536)])
    found = np.concatenate([-upper[::-1], upper])
    scaled: NDArray[np.float32] = (found / found.std()).astype(np.float32)
    return scaled

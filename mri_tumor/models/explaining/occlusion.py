"""Heat maps from occlusion: what the score loses when a patch of the picture is blurred away.

After Zeiler and Fergus 2014 (arXiv:1311.2901), who put grey patches there. A patch of one grey is itself
something to see, so here the picture's own blurred copy is shown in its place, which keeps the patch's
brightness and loses its structure. Nothing is drawn at random, and the network is only asked, never opened.
"""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mri_tumor.models.explaining.gradients import Heat

Ask = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
"""From pictures, uint8 (n, size, size, 1), to logits, float32 (n, K)."""

_PARTS = 7
"""A patch is as wide as one part of so many: one cell of the last map of most networks."""

_AT_ONCE = 256
"""Pictures that the network is asked about at once: it splits them further as suits it."""


class OcclusionHeat:
    """The heat of patches that are blurred away one by one, each half over the next.

    Args:
        ask: what answers, such as a classifier's engine.
        size: height and width of the pictures.
    """

    def __init__(self, ask: Ask, size: int) -> None:
        self._ask, self._size = ask, size
        self._patches = patches(size)

    def __call__(self, images: NDArray[np.uint8], targets: NDArray[np.int32]) -> Heat:
        """Return the heat of pictures, uint8 (n, size, size, 1), for a class each, int32 (n,), n from 1."""
        return np.stack([self._of(image, int(target)) for image, target in zip(images, targets, strict=True)])

    def _of(self, image: NDArray[np.uint8], target: int) -> Heat:
        blurred = blur(image[..., 0])[..., np.newaxis]
        shown = [image]
        for patch in self._patches:
            changed = image.copy()
            changed[patch] = blurred[patch]
            shown.append(changed)
        whole, *without = self._scores(np.stack(shown), target)
        lost, times = np.zeros((2, self._size, self._size), np.float32)
        for patch, left in zip(self._patches, without, strict=True):
            lost[patch] += whole - left
            times[patch] += 1
        return np.asarray(lost / times, np.float32)

    def _scores(self, images: NDArray[np.uint8], target: int) -> list[float]:
        parts = [self._ask(images[start : start + _AT_ONCE]) for start in range(0, len(images), _AT_ONCE)]
        # The score that gradients go by too. A probability would be 1 with and without the patch, where the
        # network is sure enough.
        logits = np.concatenate(parts)
        return [float(one) for one in logits[:, target] - logits.mean(axis=1)]


def patches(size: int) -> list[Any]:
    """Return the patches, each as two slices: every pixel lies in four of them, at the edges too.

    >>> len(patches(224)), patches(224)[0]
    (225, (slice(0, 16, None), slice(0, 16, None)))
    """
    side = max(2, size // _PARTS)
    starts = range(-(side // 2), size, max(1, side // 2))
    spans = [slice(max(0, start), min(size, start + side)) for start in starts]
    return [(rows, columns) for rows in spans for columns in spans if rows.stop and columns.stop]


def blur(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture, uint8 (size, size), without what is smaller than a patch."""
    return np.asarray(cv2.GaussianBlur(image, (0, 0), max(1.0, image.shape[0] / _PARTS / 2)), np.uint8)

"""Copies of known origin: what the benchmarks of the search for copies plant among real pictures."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

Picture = np.ndarray
Change = Callable[[Picture, np.random.Generator], Picture]

PART = 0.95
"""What is left of height and width where 5 % is cropped away in total."""


def jpeg(image: Picture, quality: int) -> Picture:
    data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)


def resized(image: Picture, factor: float) -> Picture:
    return cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)


def brighter(image: Picture, by: int) -> Picture:
    return np.clip(image.astype(int) + by, 0, 255).astype(np.uint8)


def gained(image: Picture, factor: float) -> Picture:
    return np.clip(image * factor, 0, 255).astype(np.uint8)


def cropped(image: Picture, top: float = 0.5, left: float = 0.5) -> Picture:
    """Leave out 5 % of the height and of the width; `top` and `left` say which part of it on that side."""
    height, width = image.shape
    y, x = (round(side * (1 - PART) * share) for side, share in ((height, top), (width, left)))
    return image[y : y + round(height * PART), x : x + round(width * PART)]


def anywhere(image: Picture, rng: np.random.Generator) -> Picture:
    return cropped(image, *rng.uniform(0, 1, 2))


def padded(image: Picture, rng: np.random.Generator) -> Picture:
    most = max(1, max(image.shape) // 8)
    return np.pad(image, rng.integers(0, most, (2, 2)))


SINGLE: dict[str, Change] = {
    "mirrored": lambda image, rng: image[:, ::-1],
    "rotated by 90 degrees": lambda image, rng: np.rot90(image),
    "JPEG quality 40": lambda image, rng: jpeg(image, 40),
    "half size": lambda image, rng: resized(image, 0.5),
    "5 % cropped, centred": lambda image, rng: cropped(image),
    "5 % cropped, anywhere": anywhere,
    "brighter by 40": lambda image, rng: brighter(image, 40),
    "contrast x 1.3": lambda image, rng: gained(image, 1.3),
}

MIXED: dict[str, Change] = {
    "cropped + quality 40": lambda image, rng: jpeg(anywhere(image, rng), 40),
    "cropped + half size": lambda image, rng: resized(anywhere(image, rng), 0.5),
    "cropped + mirrored + contrast": lambda image, rng: gained(anywhere(image, rng)[:, ::-1], 1.2),
    "cropped + rotated + quality 60": lambda image, rng: jpeg(np.rot90(anywhere(image, rng), 3), 60),
    "half size + quality 40": lambda image, rng: jpeg(resized(image, 0.5), 40),
    "brighter + cropped": lambda image, rng: brighter(anywhere(image, rng), 30),
    "padded + quality 60": lambda image, rng: jpeg(padded(image, rng), 60),
}

MORE: dict[str, Change] = {
    "as it is": lambda image, rng: image,
    "upside down": lambda image, rng: image[::-1],
    "rotated by 270 degrees": lambda image, rng: np.rot90(image, 3),
    "darker": lambda image, rng: gained(image, 0.8),
    "three quarters": lambda image, rng: resized(image, 0.75),
}

TWENTY: dict[str, Change] = {**MORE, **SINGLE, **MIXED}


def changed(image: Picture, change: Change, *seeds: Any) -> Picture:
    """Return the changed picture, the same for the same seeds."""
    return np.ascontiguousarray(change(image, np.random.default_rng(seeds)))

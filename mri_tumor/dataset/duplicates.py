"""Which pictures are the same: pixel-identical, or near-duplicates under flips, rotations and cropping.

*Near-duplicate*: the Pearson correlation of grey thumbnails of 32x32 is at least .99, of the whole pictures
or of what `content_box` leaves of both, for the best of the 8 flips and rotations by 90 degrees.
"""

import hashlib
import itertools
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mri_tumor.errors import ReadError
from mri_tumor.progress import track

SIDE = 32
"""Height and width of a thumbnail in pixels."""

CORRELATION = 0.99
"""Thumbnails that correlate at least this much belong to near-duplicates."""

RELATIONS = (
    "same",
    "rotated by 90 degrees",
    "rotated by 180 degrees",
    "rotated by 270 degrees",
    "mirrored left-right",
    "mirrored and rotated by 90 degrees",
    "mirrored top-bottom",
    "mirrored and rotated by 270 degrees",
)
"""The 8 ways to get one picture from another; rotations are counter-clockwise, after the mirror."""

_BACK = {RELATIONS[1]: RELATIONS[3], RELATIONS[3]: RELATIONS[1]}

PIXEL_IDENTICAL, NEAR_DUPLICATE = "pixel-identical", "near-duplicate"

# Fixed here, whatever Preprocess uses: what counts as a duplicate must not follow a training choice.
_CROP = {"threshold": 30, "coverage": 2}
# Thumbnails flatter than this standard deviation (grey levels) hold rounding errors rather than a picture.
_FLAT = 1.0
_ROWS, _COLUMNS = 256, 2048


@dataclass(frozen=True)
class Fingerprint:
    """What is kept of a picture to compare it: 2 KB, whatever its size.

    Args:
        pixels: SHA-256 of height, width and grey pixels.
        thumbnails: uint8 `(2, 32, 32)`: the whole picture, and its content.
    """

    pixels: str
    thumbnails: NDArray[np.uint8]


class Match(NamedTuple):
    """Two pictures that are near-duplicates.

    Args:
        first: place of one picture.
        second: place of the other, a higher number.
        correlation: Pearson's, at most 1.
        relation: how the second is got from the first, one of `RELATIONS`.
    """

    first: int
    second: int
    correlation: float
    relation: str


def back(relation: str) -> str:
    """Return how the first is got from the second, where `relation` is how the second is got from the first.

    >>> back("rotated by 90 degrees"), back("mirrored and rotated by 90 degrees")
    ('rotated by 270 degrees', 'mirrored and rotated by 90 degrees')
    """
    return _BACK.get(relation, relation)


def fingerprint(image: NDArray[np.uint8]) -> Fingerprint:
    """Return the fingerprint of a uint8 `(H, W)` picture."""
    import cv2

    from mri_tumor.dataset.framing import content_box

    top, bottom, left, right = content_box(image, **_CROP)
    views = (image, image[top:bottom, left:right])
    thumbnails = [cv2.resize(view, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for view in views]
    content = hashlib.sha256(f"{image.shape}".encode())
    content.update(np.ascontiguousarray(image).data)
    return Fingerprint(content.hexdigest(), np.stack(thumbnails))


def fingerprints(paths: Sequence[Path]) -> Iterator[Fingerprint | ReadError]:
    """Read pictures in threads and yield their fingerprints in order, or the error that reading gave."""
    pool = ThreadPoolExecutor(min(8, os.cpu_count() or 1))
    try:
        yield from track(pool.map(_read, paths), "reading pictures", total=len(paths))
    finally:
        # Whoever stops at the first error does not wait for the rest.
        pool.shutdown(cancel_futures=True)


def near_duplicates(pictures: Sequence[Fingerprint]) -> Iterator[Match]:
    """Yield a match, the lower place first, for every pair of near-duplicates.

    Every picture is compared with every other, by matrix products over tiles: time grows with the square of
    the number of pictures, memory does not (about 60 MB beside the fingerprints).
    """
    starts = itertools.product(range(0, len(pictures), _ROWS), range(0, len(pictures), _COLUMNS))
    tiles = [(row, column) for row, column in starts if row < column + _COLUMNS]
    for row, column in track(tiles, "comparing pictures"):
        first, second = pictures[row : row + _ROWS], pictures[column : column + _COLUMNS]
        turned = np.maximum(*(_correlations(_views(first, view), _views(second, view)) for view in (0, 1)))
        for i, j in np.argwhere(turned.max(axis=0) >= CORRELATION):
            if row + i < column + j:
                way = int(turned[:, i, j].argmax())
                correlation = min(1.0, round(float(turned[way, i, j]), 4))
                yield Match(int(row + i), int(column + j), correlation, RELATIONS[way])


def _read(path: Path) -> Fingerprint | ReadError:
    from mri_tumor.dataset.reader import read_image

    try:
        return fingerprint(read_image(path))
    except ReadError as error:
        return error


def _views(pictures: Sequence[Fingerprint], view: int) -> NDArray[np.float32]:
    """Return one thumbnail of each as `(n, 32, 32)` of mean 0 and length 1; flat ones are 0, like nothing."""
    stack = np.stack([picture.thumbnails[view] for picture in pictures]).astype(np.float32)
    stack -= stack.mean(axis=(1, 2), keepdims=True)
    length = np.linalg.norm(stack, axis=(1, 2), keepdims=True)
    return np.where(length >= _FLAT * SIDE, stack / np.maximum(length, 1e-6), 0).astype(np.float32)


def _correlations(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the `(8, n, m)` correlations, the first turned in each of the ways of `RELATIONS`."""
    turned = [
        np.rot90(flipped, turns, (1, 2)) for flipped in (first, first[:, :, ::-1]) for turns in range(4)
    ]
    flat = np.stack(turned).reshape(8 * len(first), -1)
    result: NDArray[np.float32] = (flat @ second.reshape(len(second), -1).T).reshape(8, len(first), -1)
    return result

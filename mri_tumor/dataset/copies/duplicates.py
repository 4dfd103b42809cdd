"""Which pictures are the same: pixel-identical, or copies turned, cropped, resized, brightened, stored anew.

Two looks find near-duplicates. The first is cheap and takes in all pictures: which thumbnails correlate,
whole or cropped to the content, for the best of 8 flips and rotations by 90 degrees, and which are each
other's nearest besides. The second lays the pictures of such a pair over each other and compares their
details, because thumbnails cannot tell a copy from the next slice of the same head.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mri_tumor.dataset.copies.candidates import THUMBNAIL
from mri_tumor.dataset.copies.found_so_far import Keys
from mri_tumor.dataset.copies.search import CopySearch
from mri_tumor.dataset.copies.turns import Fractions

PIXEL_IDENTICAL, NEAR_DUPLICATE = "pixel-identical", "near-duplicate"

# Fixed here, whatever Preprocess uses: what counts as a duplicate must not follow a training choice.
_CROP = {"threshold": 30, "coverage": 2}


class Match(NamedTuple):
    """Two pictures that are near-duplicates.

    Args:
        first: place of one picture.
        second: place of the other, a higher number.
        correlation: Pearson's, at most 1: of the thumbnails, or of the pictures once they are laid over each
            other where that is higher.
        relation: how the second is got from the first, one of `turns.RELATIONS`.
    """

    first: int
    second: int
    correlation: float
    relation: str


@dataclass(frozen=True)
class Fingerprint:
    """What is kept of a picture to compare it: 11 KB, whatever its size.

    Args:
        pixels: SHA-256 of height, width and grey pixels.
        thumbnails: uint8 `(2, 32, 32)`: the whole picture, and its content.
        content: uint8 `(96, 96)`: its content, for the second look.
        box: where the content lies in the picture.
    """

    pixels: str
    thumbnails: NDArray[np.uint8]
    content: NDArray[np.uint8]
    box: Fractions


def fingerprint(image: NDArray[np.uint8]) -> Fingerprint:
    """Return the fingerprint of a uint8 `(H, W)` picture.

    >>> fingerprint(np.zeros((200, 100), np.uint8)).box
    (0.0, 1.0, 0.0, 1.0)
    """
    from mri_tumor.dataset.copies.aligned import SIDE
    from mri_tumor.dataset.framing import content_box

    height, width = image.shape
    top, bottom, left, right = content_box(image, **_CROP)
    content = _small(image[top:bottom, left:right], SIDE)
    pixels = hashlib.sha256(f"{image.shape}".encode())
    pixels.update(np.ascontiguousarray(image).data)
    return Fingerprint(
        pixels=pixels.hexdigest(),
        thumbnails=np.stack([_small(image, THUMBNAIL), _small(content, THUMBNAIL)]),
        content=content,
        box=(top / height, bottom / height, left / width, right / width),
    )


def _small(image: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    import cv2

    return np.asarray(cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA), np.uint8)


def near_duplicates(pictures: Sequence[Fingerprint], keys: Keys | None = None) -> Iterator[Match]:
    """Yield pairs of near-duplicates: so many that they tie every set of copies together.

    Besides, each picture comes with one of every other key that its set holds, if one of the 8 nearest that
    have it is a copy of the picture. Time grows little faster than the number of pictures
    (`benchmarks/results/duplicates_scale.csv`). The same pictures give the same pairs, however many threads
    there are.

    Args:
        pictures: what is compared.
        keys: for each picture what it counts as, such as its side and label; None where that is all the same.
    """
    for found in CopySearch(pictures, keys or [(None,)] * len(pictures)).pairs():
        yield Match(*found)

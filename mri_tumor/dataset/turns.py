"""The 8 ways to flip and rotate a square picture by steps of 90 degrees."""

from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

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
"""The 8 ways in words; rotations are counter-clockwise, after the mirror."""

Level = TypeVar("Level", np.uint8, np.float32, np.int64)

WAYS = range(len(RELATIONS))

_BACK = {RELATIONS[1]: RELATIONS[3], RELATIONS[3]: RELATIONS[1]}


def back(relation: str) -> str:
    """Return how the first is got from the second, where `relation` is how the second is got from the first.

    >>> back("rotated by 90 degrees"), back("mirrored and rotated by 90 degrees")
    ('rotated by 270 degrees', 'mirrored and rotated by 90 degrees')
    """
    return _BACK.get(relation, relation)


def turned(pictures: NDArray[Level], way: int) -> NDArray[Level]:
    """Return a view of `(..., side, side)` pictures, turned in the way of that place in `RELATIONS`.

    >>> turned(np.array([[1, 2], [3, 4]]), RELATIONS.index("rotated by 90 degrees"))
    array([[2, 4],
           [1, 3]])
    """
    mirrored = pictures[..., ::-1] if way >= 4 else pictures
    return np.rot90(mirrored, way % 4, (-2, -1))


Fractions = tuple[float, float, float, float]
"""(top, bottom, left, right) of a box as parts of the picture's height and width."""


def turned_box(box: Fractions, way: int) -> Fractions:
    """Return where a box lies once the picture is turned.

    >>> turned_box((0.0, 0.25, 0.0, 0.5), RELATIONS.index("rotated by 90 degrees"))
    (0.5, 1.0, 0.0, 0.25)
    """
    top, bottom, left, right = box
    if way >= 4:
        left, right = 1 - right, 1 - left
    for _ in range(way % 4):
        top, bottom, left, right = 1 - right, 1 - left, top, bottom
    return top, bottom, left, right


def correlations(first: NDArray[np.float32], second: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return `(n, 8)`: how the n pictures of both correlate, the first of each pair turned in each way.

    Args:
        first: `(n, side, side)`, each of mean 0 and length 1.
        second: likewise.
    """
    ways = [np.einsum("nij,nij->n", turned(first, way), second) for way in WAYS]
    return np.stack(ways, axis=1).astype(np.float32)

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

Level = TypeVar("Level", np.uint8, np.float64, np.int64)

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


def correlations(first: NDArray[np.int64], second: NDArray[np.int64], flat: float) -> NDArray[np.float64]:
    """Return `(n, 8)`: Pearson's correlation of each pair of pictures, the first turned in each way.

    All sums are of whole numbers below 2**53 and so exact, in whatever order they are added up.

    Args:
        first: `(n, side, side)`, whole numbers.
        second: likewise.
        flat: a picture with a smaller standard deviation correlates by 0 with everything.
    """
    size = first.shape[-1] ** 2
    one, other = first.astype(np.float64), second.astype(np.float64)
    ways = [np.einsum("nij,nij->n", turned(one, way), other) for way in WAYS]
    products = np.stack(ways, axis=1)
    axes = (1, 2)
    sums = [(pictures.sum(axis=axes), np.square(pictures).sum(axis=axes)) for pictures in (one, other)]
    spreads = [size * squares - np.square(total) for total, squares in sums]
    shown = np.minimum(*spreads) >= (flat * size) ** 2
    shared = size * products - (sums[0][0] * sums[1][0])[:, None]
    length = np.sqrt(np.where(shown, spreads[0], 1)) * np.sqrt(np.where(shown, spreads[1], 1))
    return np.where(shown[:, None], shared / length[:, None], 0.0)

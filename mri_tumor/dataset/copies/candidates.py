"""Which pairs of many pictures may show the same: found without comparing every picture with every other.

A thumbnail becomes numbers that no flip and no rotation by 90 degrees changes: the sizes of its low
frequencies, those of rows and columns as a larger and a smaller one. Two thumbnails lie at least as far apart
as their numbers do, so that a search among these for all within a distance misses nothing: thumbnails of mean
0 and length 1 whose correlation is c lie sqrt(2 - 2 c) apart. The first 16 or 24 are few enough for a k-d
tree (Bentley, "Multidimensional binary search trees used for associative searching", 1975); all 144 then sort
what it finds.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

THUMBNAIL = 32
"""Height and width of a thumbnail in pixels."""

MOST = 64
"""How many pictures within reach of one are looked at: the nearest; a set of more copies is still linked."""

NEAREST = 8
"""How many neighbours of a picture are looked at though they lie further away."""

FLAT = 1.0
"""Thumbnails flatter than this standard deviation (grey levels) hold rounding errors, not a picture."""

_FREQUENCIES = 12
# Larger leaves than scipy's own make a tree of so many numbers faster.
_LEAF = 32
_BLOCK = 1024
# Rounding in float32 must not put a pair just out of reach.
_SLACK = 1e-3

Numbers = NDArray[np.float32]
"""`(n, 144)`: what `invariants` gives."""

Pairs = NDArray[np.intp]
"""`(m, 2)`: places of two pictures, the lower first."""


def normalised(thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return `(n, side, side)` pictures with mean 0 and length 1; flat ones are 0, like nothing."""
    stack = thumbnails.astype(np.float32)
    stack -= stack.mean(axis=(1, 2), keepdims=True)
    length = np.linalg.norm(stack, axis=(1, 2), keepdims=True)
    flat = length < FLAT * stack.shape[-1]
    return np.where(flat, 0, stack / np.maximum(length, 1e-6)).astype(np.float32)


def invariants(thumbnails: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return `(n, 144)` numbers, the lowest frequencies first, that no flip and no rotation changes.

    Args:
        thumbnails: `(n, 32, 32)`.
    """
    from scipy.fft import dctn

    kept = range(_FREQUENCIES)
    sizes = np.abs(dctn(normalised(thumbnails), axes=(1, 2), norm="ortho")[:, : kept.stop, : kept.stop])
    rows, columns = np.triu_indices(_FREQUENCIES, 1)
    upper, lower = sizes[:, rows, columns], sizes[:, columns, rows]
    parts = [sizes[:, kept, kept], np.maximum(upper, lower), np.minimum(upper, lower)]
    squares = np.square(rows) + np.square(columns)
    order = np.argsort(np.concatenate([2 * np.square(kept), squares, squares]), kind="stable")
    return np.asarray(np.concatenate(parts, axis=1)[:, order], np.float32)


class _Sought(NamedTuple):
    """What is sought for each picture: at most so many others within reach, in a tree of so many numbers.

    A tree of more numbers misses less where it finds more than `MOST`, and takes longer.
    """

    most: int
    reach: float
    axes: int


class Neighbourhood:
    """Pictures as points: what looks alike lies close together, however it is turned.

    Args:
        thumbnails: one uint8 `(n, 32, 32)` for each view of the n pictures.
    """

    def __init__(self, thumbnails: Sequence[Sequence[NDArray[np.uint8]]]) -> None:
        self._numbers = [_in_blocks(view) for view in thumbnails]

    def within(self, correlation: float) -> Pairs:
        """Return the pairs that can correlate by `correlation` or more in some view, the closest first.

        All of them, unless the tree finds more than `MOST` others within reach of a picture.
        """
        reach = float(np.sqrt(2 - 2 * correlation)) + _SLACK
        return self._pairs(np.arange(len(self._numbers[0])), _Sought(MOST, reach, axes=16))

    def nearest(self, places: NDArray[np.intp]) -> Pairs:
        """Return each picture at `places` with its `NEAREST` among them in every view, the closest first."""
        return self._pairs(places, _Sought(NEAREST, np.inf, axes=24))

    def nearest_of(self, place: int, others: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return the `NEAREST` of `others` to the picture at `place`, the closest first."""
        apart = self._apart(np.full(len(others), place), others)
        return others[np.argsort(apart, kind="stable")[:NEAREST]]

    def _pairs(self, places: NDArray[np.intp], sought: _Sought) -> Pairs:
        found = np.concatenate([_others(numbers, places, sought) for numbers in self._numbers])
        low, high = np.sort(found, axis=1).T
        # As one number each they are told apart in a tenth of the time.
        count = len(self._numbers[0])
        pairs = np.stack(np.divmod(np.unique(low * count + high), count), axis=1)
        return pairs[np.argsort(self._apart(pairs[:, 0], pairs[:, 1]), kind="stable")]

    def _apart(self, first: NDArray[np.intp], second: NDArray[np.intp]) -> NDArray[np.float32]:
        """Return how far apart pictures lie in the view in which they are closer; flat ones are far away."""
        result = np.full(len(first), np.inf, np.float32)
        for start in range(0, len(first), _BLOCK):
            part = slice(start, start + _BLOCK)
            for numbers in self._numbers:
                one, other = numbers[first[part]], numbers[second[part]]
                apart = np.sqrt(np.square(one - other).sum(axis=1))
                apart[~(one.any(axis=1) & other.any(axis=1))] = np.inf
                np.minimum(result[part], apart, out=result[part])
        return result


def _others(numbers: Numbers, places: NDArray[np.intp], sought: _Sought) -> Pairs:
    """Return each picture at `places` with what is sought for it among them."""
    from scipy.spatial import cKDTree

    from mri_tumor.dataset.decoding import thread_count

    shown = places[numbers[places].any(axis=1)]
    if len(shown) < 2:
        return np.empty((0, 2), np.intp)
    near = numbers[shown]
    points = near[:, : sought.axes]
    count = min(MOST + 1, len(shown))
    tree = cKDTree(points, leafsize=_LEAF)
    found = tree.query(points, k=count, distance_upper_bound=sought.reach, workers=thread_count())[1]
    blocks = range(0, len(shown), _BLOCK)
    kept = [_closest(near, at, found[at : at + _BLOCK], sought) for at in blocks]
    return np.asarray(shown[np.concatenate(kept)], np.intp)


def _closest(numbers: Numbers, start: int, found: NDArray[np.intp], sought: _Sought) -> Pairs:
    """Return the pictures from `start` on, each with the closest of those found for it."""
    own = np.repeat(np.arange(start, start + len(found)), found.shape[1]).reshape(found.shape)
    # A missing neighbour has the number of pictures as its place.
    real = (found < len(numbers)) & (found != own)
    others = np.where(real, found, own)
    apart = np.square(numbers[own[:, :1]] - numbers[others]).sum(axis=2)
    real &= apart <= sought.reach**2
    apart[~real] = np.inf
    nearest = np.argsort(apart, axis=1, kind="stable")[:, : sought.most]
    chosen = np.take_along_axis(real, nearest, axis=1)
    pairs = np.stack([own[:, : nearest.shape[1]], np.take_along_axis(others, nearest, axis=1)], axis=2)
    return np.asarray(pairs[chosen], np.intp)


def _in_blocks(thumbnails: Sequence[NDArray[np.uint8]]) -> Numbers:
    starts = range(0, len(thumbnails), _BLOCK)
    blocks = [invariants(np.stack(thumbnails[at : at + _BLOCK])) for at in starts]
    return np.asarray(np.concatenate(blocks), np.float32)

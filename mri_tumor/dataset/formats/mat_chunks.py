"""Arrays that HDF5 keeps in chunks, each deflated for itself."""

from collections.abc import Sequence
from itertools import product
from math import prod
from typing import Any

import numpy as np

from mri_tumor.dataset.formats.codecs import deflate
from mri_tumor.dataset.formats.hdf5 import CHUNK_TREE, Hdf5, leaves
from mri_tumor.dataset.formats.intensity import Values

DEFLATE, SHUFFLE = 1, 2
"""HDF5's numbers of the filters that are undone."""

_KEY_BYTES = 16  # and 8 for each axis
_LONGEST = 1 << 20  # no side of a chunk is longer
_MOST_PADDING = 8  # chunks at the ends reach beyond the array: so many times its size, and some more


def from_chunks(
    file: Hdf5, tree: int, chunk: tuple[int, ...], filters: Sequence[int], values: Values
) -> Values:
    """Fill an array with its chunks, and return it.

    Args:
        file: where they lie.
        tree: where the tree that leads to them is.
        chunk: the shape of each; those at the end reach beyond the array.
        filters: what was done to each, in order.
        values: the array, of the right shape and type.

    Raises:
        ReadError: a chunk is missing or damaged, or does not fit.
    """
    fits = len(chunk) == values.ndim and all(map(range(1, _LONGEST).__contains__, chunk))
    if not fits or prod(chunk) > 2 * values.size + _LONGEST:
        raise file.damaged("has chunks that do not fit their array")
    steps = [range(0, side, part) for side, part in zip(values.shape, chunk, strict=True)]
    count = prod(map(len, steps))
    if count * prod(chunk) > _MOST_PADDING * values.size + 4 * _LONGEST:
        raise file.damaged("has chunks that are much larger than their array")
    if count * _KEY_BYTES > file.size:
        raise file.damaged("does not hold all of its numbers")
    missing = set(product(*steps))
    key_bytes = _KEY_BYTES + 8 * values.ndim
    for key, place in leaves(file, tree, CHUNK_TREE, key_bytes, len(missing)):
        corner = tuple(file.within(key, 8 + 8 * axis, 8) for axis in range(values.ndim))
        if corner not in missing:
            raise file.damaged("has chunks that do not fit their array")
        missing.remove(corner)
        left_out = file.within(key, 4, 4)
        used = [number for bit, number in enumerate(filters) if not left_out >> bit & 1]
        coded = file.at(place, file.within(key, 0, 4))
        window = values[tuple(slice(start, start + part) for start, part in zip(corner, chunk, strict=True))]
        window[...] = _decoded(file, coded, used, chunk, values.dtype)[tuple(map(slice, window.shape))]
    if missing:
        raise file.damaged("does not hold all of its numbers")
    return values


def _decoded(
    file: Hdf5, coded: bytes, filters: Sequence[int], shape: tuple[int, ...], dtype: np.dtype[Any]
) -> Values:
    length = prod(shape) * dtype.itemsize
    for number in reversed(filters):
        try:
            coded = (
                deflate(coded, length, length) if number == DEFLATE else _unshuffled(coded, dtype.itemsize)
            )
        except ValueError as error:
            raise file.damaged(f"has a chunk that {error}") from error
    if len(coded) < length:
        raise file.damaged("has a chunk that is cut off")
    return np.frombuffer(coded, dtype, prod(shape)).reshape(shape)


def _unshuffled(coded: bytes, size: int) -> bytes:
    """Undo the order in which the first bytes of all numbers come first, then the second ones, ..."""
    if len(coded) % size:
        raise ValueError("is cut off")
    return np.frombuffer(coded, np.uint8).reshape(size, -1).T.tobytes()

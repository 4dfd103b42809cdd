"""Fields of plain numbers from MATLAB v7.3 files, their size known before they are read."""

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from mri_tumor.dataset.formats.hdf5 import SIGNATURE, START, Hdf5, find
from mri_tumor.dataset.formats.intensity import Values
from mri_tumor.dataset.formats.mat_chunks import DEFLATE, SHUFFLE, from_chunks

# Kinds of messages in an object's header.
_SPACE, _TYPE, _OUTSIDE, _LAYOUT, _FILTERS = 0x01, 0x03, 0x07, 0x08, 0x0B
_READ = (_SPACE, _TYPE, _LAYOUT, _FILTERS)
_COMPACT, _CONTIGUOUS, _CHUNKED, _VERSIONS = 0, 1, 2, (1, 2, 3)
_MOST_AXES = 8


def matches(data: bytes) -> bool:
    """Whether bytes are those of a MATLAB v7.3 file."""
    return data[START : START + len(SIGNATURE)] == SIGNATURE


def shape_of(data: bytes, field: str, name: str) -> tuple[int, ...]:
    """Return the shape that MATLAB shows of a field, such as `"cjdata/image"`.

    Raises:
        ReadError: the file is damaged, or holds no such field of plain numbers.
    """
    return _array(Hdf5(data, name), field).shape[::-1]


def numbers_of(data: bytes, field: str, name: str, *, most: int) -> Values:
    """Return a field as MATLAB shows it: HDF5 holds its axes in reverse order.

    Args:
        data: the file.
        field: as in `shape_of`.
        name: what errors call the file.
        most: how many numbers it may have.

    Raises:
        ReadError: as in `shape_of`, or it has more numbers than `most`, or some are missing.
    """
    file = Hdf5(data, name)
    array = _array(file, field)
    if prod(array.shape) > most:
        raise file.rare(f"has {prod(array.shape):,} numbers in {field}, of at most {most:,}")
    return _read(file, array).T


@dataclass(frozen=True)
class _Array:
    """An array that is not yet read.

    Args:
        shape: its sides, the slowest first.
        dtype: of its numbers.
        filters: what was done to its chunks, in order.
        layout: the message that says where it lies.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    filters: tuple[int, ...]
    layout: bytes


def _array(file: Hdf5, field: str) -> _Array:
    header = find(file, field)
    first = {message.kind: message for message in reversed(header)}
    if not {_SPACE, _TYPE, _LAYOUT} <= set(first):
        raise file.rare(f"holds no numbers in {field}")
    if _OUTSIDE in first or any(message.shared for message in first.values() if message.kind in _READ):
        raise file.rare(f"does not hold {field} itself")
    filters = _filters(file, first[_FILTERS].body) if _FILTERS in first else ()
    shape, dtype = _shape(file, first[_SPACE].body), _dtype(file, first[_TYPE].body)
    return _Array(shape, dtype, filters, first[_LAYOUT].body)


def _shape(file: Hdf5, body: bytes) -> tuple[int, ...]:
    version, axes = file.within(body, 0, 1), file.within(body, 1, 1)
    if version not in (1, 2) or axes > _MOST_AXES:
        raise file.rare(f"holds an array of {axes} axes")
    start = 8 if version == 1 else 4
    return tuple(file.within(body, start + 8 * axis, 8) for axis in range(axes))


def _dtype(file: Hdf5, body: bytes) -> np.dtype[Any]:
    kind, flags, size = file.within(body, 0, 1) & 15, file.within(body, 1, 3), file.within(body, 4, 4)
    whole = kind == 0 and size in (1, 2, 4, 8)
    if not (whole or (kind == 1 and size in (4, 8))) or file.within(body, 8, 4) != size << 19:
        raise file.rare("holds something else than numbers of 8 to 64 bits")
    letter = ("i" if flags & 8 else "u") if whole else "f"
    return np.dtype(f"{'>' if flags & 1 else '<'}{letter}{size}")


def _filters(file: Hdf5, body: bytes) -> tuple[int, ...]:
    """Return the filters' numbers; MATLAB deflates, and some programs shuffle before that."""
    version, count = file.within(body, 0, 1), file.within(body, 1, 1)
    place, numbers = 8, []
    for _ in range(count if version == 1 else 0):
        name_bytes, settings = file.within(body, place + 2, 2), file.within(body, place + 6, 2)
        numbers.append(file.within(body, place, 2))
        place += 8 + name_bytes + 4 * (settings + settings % 2)
    if version != 1 or not set(numbers) <= {DEFLATE, SHUFFLE}:
        raise file.rare("holds an array compressed in a rare way")
    return tuple(numbers)


def _read(file: Hdf5, array: _Array) -> Values:
    count = prod(array.shape)
    length = count * array.dtype.itemsize
    body, version = array.layout, file.within(array.layout, 0, 1)
    # The third version has other places; before it (MATLAB up to 2008) nothing is compact.
    kind = file.within(body, *((1, 1) if version == 3 else (2, 1)))
    if kind == _CHUNKED and version in _VERSIONS and count:
        tree, chunk = _chunks(file, body, version)
        return from_chunks(file, tree, chunk, array.filters, np.empty(array.shape, array.dtype))
    if kind == _CONTIGUOUS and version in _VERSIONS:
        stored = file.at(file.within(body, 2 if version == 3 else 8, 8), length)
    elif kind == _COMPACT and version == 3:
        stored = body[4 : 4 + file.within(body, 2, 2)]
    else:
        raise file.rare("holds an array laid out in a rare way")
    if len(stored) < length:
        raise file.damaged("does not hold all of its numbers")
    return np.frombuffer(stored, array.dtype, count).reshape(array.shape)


def _chunks(file: Hdf5, body: bytes, version: int) -> tuple[int, tuple[int, ...]]:
    """Return where the tree of the chunks is, and the shape of a chunk."""
    tree_at, axes_at, sides_at = (3, 2, 11) if version == 3 else (8, 1, 16)
    axes = file.within(body, axes_at, 1) - 1  # the last one is the bytes of a number
    chunk = tuple(file.within(body, sides_at + 4 * axis, 4) for axis in range(axes))
    return file.within(body, tree_at, 8), chunk

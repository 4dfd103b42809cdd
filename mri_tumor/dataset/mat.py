"""MATLAB v7.3 files: HDF5 behind 512 bytes, of which plain numbers are read, their size known first.

HDF5 can lead to other files, load filters that others installed, and inflate a few bytes without end. None of
that is followed here: chunks are taken as they are stored, and inflated in this package.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mri_tumor.dataset.intensity import Values
from mri_tumor.dataset.tiff_codecs import deflate
from mri_tumor.errors import MriTumorError, ReadError

if TYPE_CHECKING:
    import h5py

_SIGNATURE, _SIGNATURE_AT = b"\x89HDF\r\n\x1a\n", 512
_DEFLATE, _SHUFFLE = 1, 2  # HDF5's numbers of the filters that MATLAB uses


def matches(data: bytes) -> bool:
    """Whether bytes are those of a MATLAB v7.3 file."""
    return data[_SIGNATURE_AT : _SIGNATURE_AT + len(_SIGNATURE)] == _SIGNATURE


def shape_of(data: bytes, field: str, name: str) -> tuple[int, ...]:
    """Return the shape that MATLAB shows of a field, such as `"cjdata/image"`.

    Raises:
        ReadError: the file is damaged, or holds no such field of plain numbers.
    """
    with _opened(data, field, name) as stored:
        return tuple(map(int, reversed(stored.shape)))


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
    with _opened(data, field, name) as stored:
        if stored.size > most:
            found = f"{name}: the field {field} has {stored.size:,} numbers"
            raise ReadError(found, f"at most {most:,}", "check the file, or leave it out")
        chunked = stored.chunks is not None
        values = _from_chunks(stored, len(data), name) if chunked else _at_once(stored, name)
        return values.T


def damaged(name: str, what: str) -> ReadError:
    """Return the error for a file that is not whole or not sound."""
    fix = "fetch the file again, or leave it out"
    return ReadError(f"{name}: the MATLAB file {what}", "a complete MATLAB v7.3 file", fix)


@contextmanager
def _opened(data: bytes, field: str, name: str) -> Iterator["h5py.Dataset"]:
    """Yield a field's dataset; whatever HDF5 raises becomes a ReadError."""
    import h5py

    try:
        with h5py.File(h5py.h5f.open_file_image(data)) as file:
            yield _found(file, field, name)
    except MriTumorError:
        raise
    except Exception as error:  # damaged bytes raise anything at all
        raise damaged(name, f"is cut off or damaged ({type(error).__name__})") from error


def _found(file: "h5py.File", field: str, name: str) -> "h5py.Dataset":
    import h5py

    place: Any = file
    for part in field.split("/"):
        link = place.get(part, getlink=True) if isinstance(place, h5py.Group) else None
        if not isinstance(link, h5py.HardLink):  # others lead elsewhere, even into other files
            expected = f"the field {field}, as in figshare's brain tumour files"
            raise ReadError(f"{name}: the MATLAB file has no {part}", expected, "leave it out")
        place = place[part]
    plain = isinstance(place, h5py.Dataset) and place.dtype.kind in "iuf" and place.dtype.itemsize <= 8
    if not plain or place.shape is None or place.is_virtual or place.external:
        raise ReadError(f"{name}: the field {field} is of a rare kind", "plain numbers", "leave it out")
    return place


def _at_once(stored: "h5py.Dataset", name: str) -> Values:
    if stored.id.get_storage_size() < stored.nbytes:
        raise damaged(name, f"does not hold all of {stored.name}")
    return np.asarray(stored[()])


def _from_chunks(stored: "h5py.Dataset", file_bytes: int, name: str) -> Values:
    settings = stored.id.get_create_plist()
    filters = [settings.get_filter(place)[0] for place in range(settings.get_nfilters())]
    if not set(filters) <= {_DEFLATE, _SHUFFLE} or prod(stored.chunks) > stored.size:
        raise ReadError(f"{name}: {stored.name} is stored in a rare way", "deflated chunks", "leave it out")
    values = np.empty(stored.shape, stored.dtype)
    steps = zip(stored.shape, stored.chunks, strict=True)
    for corner in product(*(range(0, side, step) for side, step in steps)):
        length = stored.id.get_chunk_info_by_coord(corner).size
        if not length or length > file_bytes:
            raise damaged(name, f"does not hold all of {stored.name}")
        left_out, coded = stored.id.read_direct_chunk(corner)
        used = [number for place, number in enumerate(filters) if not left_out >> place & 1]
        chunk = _decoded(coded, used, stored.chunks, stored.dtype)
        window = tuple(slice(start, start + step) for start, step in zip(corner, stored.chunks, strict=True))
        part = values[window]
        part[...] = chunk[tuple(map(slice, part.shape))]
    return values


def _decoded(
    coded: bytes, filters: list[int], shape: tuple[int, ...], dtype: np.dtype[Any]
) -> NDArray[np.number[Any]]:
    length = prod(shape) * dtype.itemsize
    for number in reversed(filters):
        if number == _DEFLATE:
            coded = deflate(coded, length, length)
        else:  # the first bytes of all numbers, then the second ones, ...
            coded = np.frombuffer(coded, np.uint8).reshape(dtype.itemsize, -1).T.tobytes()
    return np.frombuffer(coded, dtype).reshape(shape)

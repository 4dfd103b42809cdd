"""The header of a NIfTI file: how large its volumes are, where they lie and how, before one is loaded."""

import math
import zlib
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mri_tumor._lazy import load_extra
from mri_tumor.errors import ReadError

GZIP = b"\x1f\x8b"

_LENGTH_1, _LENGTH_2 = 348, 540
_HEAD = _LENGTH_2 + 4
_SINGLE, _PAIR = (b"n+1\0", b"n+2\0"), (b"ni1\0", b"ni2\0")
_RAS_TO_LPS = np.array([-1.0, -1.0, 1.0])
_FLAT = 1e-3  # axes whose box has less than this share of a cube's volume are none
_LATEST_START = 10_000_000  # between header and voxels there may be notes
_SAVE_ANEW = "save it again as one .nii or .nii.gz file of plain numbers"


@dataclass(frozen=True)
class Header:
    """What a header says.

    Args:
        shape: of one volume, as stored: `(I, J, K)`, the first axis the fastest.
        volumes: how many there are.
        dtype: of a voxel, in the file's byte order.
        start: where the first voxel lies.
        slope: what stored values are multiplied by; 1 if the file says nothing.
        intercept: what is added then.
        directions: where the axes I, J and K point: three unit vectors `(3, 3)` in DICOM's axes.
        oriented: whether the file says that; else it is only NIfTI's oldest habit.
    """

    shape: tuple[int, int, int]
    volumes: int
    dtype: np.dtype[Any]
    start: int
    slope: float
    intercept: float
    directions: NDArray[np.float64]
    oriented: bool

    @property
    def length(self) -> int:
        """How many bytes the whole file has, not compressed."""
        return self.start + self.voxels * self.dtype.itemsize

    @property
    def voxels(self) -> int:
        """How many voxels all volumes have."""
        return math.prod(self.shape) * self.volumes


def is_nifti(data: bytes) -> bool:
    """Whether bytes, compressed or not, begin as a NIfTI file or the header of a pair of files does."""
    return _kind(head_of(data)) is not None


def head_of(data: bytes) -> bytes:
    """Return the first bytes of a file, not compressed; none if it is compressed and damaged."""
    if not data.startswith(GZIP):
        return data[:_HEAD]
    try:
        return zlib.decompressobj(wbits=31).decompress(data, _HEAD)
    except zlib.error:
        return b""


def read_header(head: bytes, name: str) -> Header:
    """Return what a header says, by nibabel, and checked.

    Raises:
        ReadError: it is damaged, or of a kind that is not read.
        MissingExtra: nibabel is not installed.
    """
    nibabel = load_extra("nibabel", "nifti", "reading NIfTI files")
    kind = _kind(head)
    if kind is None:
        raise damaged(name, "does not begin with a whole header")
    length, order = kind
    if _magic(head, length) in _PAIR:
        raise ReadError(f"{name}: this is one of a pair of NIfTI files", "one file", _SAVE_ANEW)
    form = nibabel.Nifti1Header if length == _LENGTH_1 else nibabel.Nifti2Header
    try:
        with np.errstate(all="ignore"):
            return _header(form(head[:length], order, check=False), length, name)
    except ReadError:
        raise
    except Exception as error:  # what nibabel and numpy raise on damaged fields is not theirs to promise
        raise damaged(name, f"has a header that makes no sense ({type(error).__name__})") from error


def damaged(name: str, what: str) -> ReadError:
    """Return the error for a file that is not whole or not sound."""
    fix = "fetch or export the file again, or leave it out"
    return ReadError(f"{name}: the NIfTI file {what}", "a complete NIfTI file", fix)


def _kind(head: bytes) -> tuple[int, Literal["<", ">"]] | None:
    """Return a header's length and byte order."""
    orders: tuple[tuple[Literal["<", ">"], Literal["little", "big"]], ...] = (("<", "little"), (">", "big"))
    for order, word in orders:
        length = int.from_bytes(head[:4], word)
        if length in (_LENGTH_1, _LENGTH_2) and len(head) >= length:
            return (length, order) if _magic(head, length) in _SINGLE + _PAIR else None
    return None


def _magic(head: bytes, length: int) -> bytes:
    return head[344:348] if length == _LENGTH_1 else head[4:8]


def _header(header: Any, length: int, name: str) -> Header:
    if not 1 <= header["dim"][0] <= 7:
        raise damaged(name, f"says that it has {header['dim'][0]} axes")
    *shape, volumes = _shape(tuple(map(int, header.get_data_shape())), name)
    dtype = header.get_data_dtype()
    if dtype.kind not in "iuf" or dtype.itemsize > 8:
        found = f"{name}: the NIfTI file holds values of the type {dtype}"
        raise ReadError(found, "whole or floating-point numbers of up to 64 bits", _SAVE_ANEW)
    start = int(header["vox_offset"])
    if start < length + 4:
        raise damaged(name, f"says that its voxels begin at byte {start}, inside its header")
    if start > _LATEST_START:
        found = f"{name}: the NIfTI file says that its voxels begin at byte {start:,}"
        raise ReadError(found, f"at most {_LATEST_START:,}", _SAVE_ANEW)
    slope, intercept = header.get_slope_inter()
    return Header(
        (shape[0], shape[1], shape[2]),
        volumes,
        dtype,
        start,
        1.0 if slope is None else float(slope),
        0.0 if intercept is None else float(intercept),
        _directions(np.asarray(header.get_best_affine(), np.float64), name),
        bool(header["sform_code"] > 0 or header["qform_code"] > 0),
    )


def _directions(affine: NDArray[np.float64], name: str) -> NDArray[np.float64]:
    axes: NDArray[np.float64] = affine[:3, :3].T * _RAS_TO_LPS
    axes /= abs(axes).max(axis=1, keepdims=True)  # the squares of huge voxels are no numbers any more
    axes /= np.linalg.norm(axes, axis=1, keepdims=True)
    if not abs(np.linalg.det(axes)) > _FLAT:
        raise damaged(name, "has an orientation that makes no sense")
    return axes


def _shape(shape: tuple[int, ...], name: str) -> tuple[int, int, int, int]:
    """Return the three sides of a volume and the number of volumes; a single slice is a volume of one."""
    found = f"{name}: the NIfTI file has the shape {' x '.join(map(str, shape)) or '(none)'}"
    if len(shape) < 2 or min(shape) < 1:
        raise damaged(name, f"has the shape {' x '.join(map(str, shape)) or '(none)'}")
    if any(side > 1 for side in shape[4:]):
        raise ReadError(found, "volumes of one value a voxel: 3 or 4 axes", _SAVE_ANEW)
    sides = (*shape, 1, 1)[:4]
    return sides[0], sides[1], sides[2], sides[3]

"""NIfTI volumes to slices that lie as radiologists look at them, in one window."""

import gzip
import io
import logging
import math
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mri_tumor.dataset.formats.intensity import Values, percentile_window, to_grey
from mri_tumor.dataset.formats.nifti_header import GZIP, Header, damaged, head_of, read_header
from mri_tumor.dataset.reader import MAX_BYTES, MAX_PIXELS, MAX_SIDE, check_limit, load_bytes
from mri_tumor.dataset.volumes.axes import Axis, check_axis, turn_to
from mri_tumor.errors import ArgumentError, ReadError

logger = logging.getLogger(__name__)

_PIECE = 1 << 20
_MORE = 1_000_000  # bytes behind the last voxel that are read to find out whether the file is whole


def read_nifti(
    source: str | Path | bytes,
    *,
    axis: Axis = "axial",
    volume: int | None = None,
    max_pixels: int = MAX_PIXELS,
    max_bytes: int = MAX_BYTES,
) -> NDArray[np.uint8]:
    """Read one volume of a NIfTI-1 or NIfTI-2 file (`.nii`, `.nii.gz`) as slices.

    Slices lie as `axes.turn_to` says; in axial and coronal ones the patient's right is on the left. Voxels
    stay as they are: an oblique volume is turned to the nearest axes, never resampled. Stored values are
    scaled by the file's slope and intercept; the volume's `formats.intensity.percentile_window` shows them.

    Args:
        source: a path, or the bytes of a file.
        axis: what the slices are perpendicular to: `"axial"`, `"coronal"` or `"sagittal"`.
        volume: which one, from 0, of a file with several.
        max_pixels: the greatest number of voxels of all volumes, known before one is loaded.
        max_bytes: the greatest length of the file, as stored.

    Returns:
        uint8 `(N, H, W)`, 0-255, black to white.

    Raises:
        ReadError: the file is missing, damaged, cut off or too large, holds colours or complex numbers, or
            has several volumes and `volume` does not say which.
        ArgumentError: an argument is of the wrong type, or `volume` is not one of the file's.
        MissingExtra: nibabel is not installed.

    >>> import nibabel
    >>> image = nibabel.Nifti1Image(np.arange(24, dtype=np.int16).reshape(2, 3, 4), np.eye(4))
    >>> read_nifti(image.to_bytes()).shape, read_nifti(image.to_bytes(), axis="coronal").shape
    ((4, 3, 2), (3, 4, 2))
    """
    check_axis(axis)
    check_limit("max_pixels", max_pixels)
    check_limit("max_bytes", max_bytes)
    data, name = load_bytes(source, max_bytes)
    return slices_of(data, name, axis, volume, max_pixels)


def slices_of(data: bytes, name: str, axis: Axis, volume: int | None, max_pixels: int) -> NDArray[np.uint8]:
    """Return what `read_nifti` does, from the bytes of a file; its other arguments were checked.

    Raises:
        ReadError: as in `read_nifti`.
        ArgumentError: as in `read_nifti`.
        MissingExtra: nibabel is not installed.
    """
    header = read_header(head_of(data), name)
    number = _which(header, volume, name)
    if header.voxels > max_pixels:
        fix = "pass a larger max_pixels if you trust the file"
        raise ReadError(f"{name}: the header says {header.voxels:,} voxels", f"at most {max_pixels:,}", fix)
    if max(header.shape) > MAX_SIDE:
        found = f"{name}: the header says {' x '.join(map(str, header.shape))} voxels"
        raise ReadError(found, f"at most {MAX_SIDE:,} a side", "cut the volume into smaller ones")
    if not header.oriented:
        logger.warning("%s does not say how it lies: left and right, or the axes, may be others", name)
    values = _scaled(_volume(_whole(data, header, name), header, number), header)
    window = percentile_window(values)
    slices = np.stack([to_grey(plane, *window) for plane in values])
    return turn_to(axis, header.directions[::-1]).apply(slices)


def _which(header: Header, volume: int | None, name: str) -> int:
    if volume is None:
        if header.volumes == 1:
            return 0
        found = f"{name}: the file holds {header.volumes} volumes"
        raise ReadError(found, "one, or the number of one", f"pass volume=0 to {header.volumes - 1}")
    whole_number = isinstance(volume, int | np.integer) and not isinstance(volume, bool)
    if not whole_number or not 0 <= volume < header.volumes:
        expected = f"0 to {header.volumes - 1}, as {name} has {header.volumes} volumes"
        raise ArgumentError(f"volume is {volume!r}", expected, "pass one of them")
    return int(volume)


def _whole(data: bytes, header: Header, name: str) -> bytes | bytearray:
    """Return the file up to its last voxel, not compressed, once its end is known to be there."""
    whole = _inflated(data, header.length, name) if data.startswith(GZIP) else data
    if len(whole) < header.length:
        raise damaged(name, f"is cut off: {len(whole):,} of {header.length:,} bytes are there")
    return whole


def _inflated(data: bytes, length: int, name: str) -> bytearray:
    inflated = bytearray()
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as file:
            # In pieces: Python reserves all that is asked for, and a damaged header asks for anything.
            while piece := file.read(min(_PIECE, length - len(inflated))):
                inflated += piece
            if len(file.read(_MORE)) == _MORE:
                raise damaged(name, f"goes on and on behind its last voxel, at byte {length:,}")
    except (OSError, EOFError, zlib.error) as error:
        raise damaged(name, f"is cut off or damaged inside its gzip stream ({error})") from error
    return inflated


def _volume(data: bytes | bytearray, header: Header, number: int) -> Values:
    """Return one volume as stored, the slowest axis first: (K, J, I)."""
    count = math.prod(header.shape)
    start = header.start + number * count * header.dtype.itemsize
    return np.frombuffer(data, header.dtype, count, start).reshape(header.shape[::-1])


def _scaled(values: Values, header: Header) -> Values:
    if (header.slope, header.intercept) == (1, 0):
        return values
    with np.errstate(over="ignore", invalid="ignore"):
        return values.astype(np.float64) * header.slope + header.intercept

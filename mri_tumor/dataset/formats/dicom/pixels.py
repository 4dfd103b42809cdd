"""The stored values of a DICOM file's frames, decoded one at a time."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mri_tumor.dataset.formats.dicom import rle
from mri_tumor.dataset.formats.dicom.codestream import check_frame
from mri_tumor.dataset.formats.dicom.file import damaged, guarded
from mri_tumor.dataset.formats.dicom.header import PIXEL_KEYWORDS, Header

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_UNDEFINED = 0xFFFFFFFF
_ITEM_BYTES = 8  # in front of each coded frame

Stored = NDArray[np.integer[Any]] | NDArray[np.floating[Any]]


def stored_frames(dataset: "Dataset", header: Header, name: str) -> Iterator[Stored]:
    """Yield each frame's stored values, `(rows, columns)`: unused bits cleared, signs kept, nothing rescaled.

    The caller has compared rows, columns and frames with its limits.

    Raises:
        ReadError: the pixels are cut off or damaged, or their coding is not one that is read.
    """
    with guarded(name):
        _complete(dataset, header, name)
        frames = _decoded(dataset, header)
    for number in range(header.frames):
        with guarded(name):
            frame = next(frames, None)
            if frame is None:
                raise damaged(name, f"holds {number} of the {header.frames} frames that its header says")
            if frame.shape != (header.rows, header.columns):
                raise damaged(name, f"decodes to {frame.shape}, not to {header.rows, header.columns}")
            stored = _counting_bits(frame, header)
        yield stored


def padding_of(stored: Stored, header: Header) -> NDArray[np.bool_] | None:
    """Return where there is no picture, bool `(rows, columns)`, or None if the header names no such value."""
    if header.padding is None:
        return None
    low, high = header.padding
    return np.asarray((stored >= low) & (stored <= high))


def check_bytes(dataset: "Dataset", header: Header, name: str) -> None:
    """Refuse a header that says more frames than the bytes of the pixels can hold.

    Raises:
        ReadError: it does, or these bytes are cut off.
    """
    with guarded(name):
        length = len(_bytes_of(dataset, name))
        if _is_encapsulated(dataset):
            enough = header.frames * _ITEM_BYTES <= length
        else:
            enough = header.frames * header.rows * header.columns * header.allocated_bits <= 8 * length
        if not enough:
            raise damaged(name, f"holds {length:,} bytes of pixels, too few for {header.frames:,} frames")


def _bytes_of(dataset: "Dataset", name: str) -> bytes:
    keyword = next(keyword for keyword in PIXEL_KEYWORDS if keyword in dataset)
    element = dataset.get_item(keyword)
    value: bytes = getattr(element, "value", None) or b""
    length = getattr(element, "length", len(value))
    if not value or (length != _UNDEFINED and len(value) < length):
        raise damaged(name, "is cut off in its pixels")
    return value


def _complete(dataset: "Dataset", header: Header, name: str) -> None:
    """Refuse pixels that end early; and coded frames that would decode to more than the header says."""
    value = _bytes_of(dataset, name)
    if not _is_encapsulated(dataset):
        return
    from pydicom.encaps import generate_frames

    count = 0
    for frame in generate_frames(value, number_of_frames=header.frames):
        if not _in_runs(dataset):
            check_frame(frame, header, name)
        count += 1
    if count < header.frames:
        raise damaged(name, f"holds {count} of the {header.frames} frames that its header says")


def _decoded(dataset: "Dataset", header: Header) -> Iterator[NDArray[Any]]:
    from pydicom.encaps import generate_frames
    from pydicom.pixels.utils import iter_pixels

    if not _in_runs(dataset):
        return iter_pixels(dataset, raw=True, correct_unused_bits=_is_encapsulated(dataset))
    shape, coded = (
        (header.rows, header.columns),
        generate_frames(dataset.PixelData, number_of_frames=header.frames),
    )
    return (rle.decode(frame, shape, header.allocated_bits) for frame in coded)


def _is_encapsulated(dataset: "Dataset") -> bool:
    return bool(dataset.file_meta.TransferSyntaxUID.is_encapsulated)


def _in_runs(dataset: "Dataset") -> bool:
    from pydicom.uid import RLELossless

    return bool(dataset.file_meta.TransferSyntaxUID == RLELossless)


def _counting_bits(frame: NDArray[Any], header: Header) -> Stored:
    if frame.dtype.kind == "f" or not header.stored_bits:
        return frame.astype(np.float64)
    bits = header.stored_bits
    levels = (frame.astype(np.int64) >> (header.high_bit + 1 - bits)) & ((1 << bits) - 1)
    if header.signed:
        levels -= (levels >> (bits - 1)) << bits
    return levels

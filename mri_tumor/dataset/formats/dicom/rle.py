"""Run lengths in DICOM (PS3.5, annex G), decoded no further than the picture goes."""

import struct

import numpy as np
from numpy.typing import NDArray

from mri_tumor.dataset.formats.codecs import packbits

_HEADER = struct.Struct("<16I")


def decode(frame: bytes, shape: tuple[int, int], allocated_bits: int) -> NDArray[np.uint64]:
    """Return the values of one grey frame, their signs not yet looked at.

    Each segment holds one byte of every value, the highest bytes first.

    Args:
        frame: the coded frame.
        shape: rows and columns.
        allocated_bits: of each value: 8, 16, 32 or 64.

    Raises:
        ValueError: it is cut off, or made of other segments than the values need.
        struct.error: its header is cut off.

    >>> frame = struct.pack("<16I", 2, 64, 66, *[0] * 13) + bytes([256 - 2, 1]) + bytes([2, 10, 20, 30])
    >>> decode(frame, (1, 3), 16)
    array([[266, 276, 286]], dtype=uint64)
    """
    count, *offsets = _HEADER.unpack_from(frame)
    if count * 8 != allocated_bits:
        raise ValueError(f"{count} segments for {allocated_bits} bits")
    ends = [*offsets[1:count], len(frame)]
    decoded = np.zeros(shape, np.uint64)
    for start, end in zip(offsets[:count], ends, strict=True):
        part = packbits(frame[start:end], shape[0] * shape[1])
        decoded = (decoded << np.uint64(8)) | np.frombuffer(part, np.uint8).reshape(shape)
    return decoded

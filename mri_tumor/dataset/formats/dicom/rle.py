"""Run lengths in DICOM (PS3.5, annex G), decoded no further than the picture goes."""

import struct

import numpy as np
from numpy.typing import NDArray

_HEADER = struct.Struct("<16I")
_NOTHING = 128  # below it, so many bytes follow, and one more; above it, one byte is repeated


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
        part = _segment(frame[start:end], shape[0] * shape[1])
        decoded = (decoded << np.uint64(8)) | np.frombuffer(part, np.uint8).reshape(shape)
    return decoded


def _segment(coded: bytes, length: int) -> bytearray:
    decoded = bytearray()
    place = 0
    while len(decoded) < length:
        if place >= len(coded):
            raise ValueError("a segment is cut off")
        code = coded[place]
        if code < _NOTHING:
            decoded += coded[place + 1 : place + 2 + code]
            place += 2 + code
        elif code == _NOTHING:
            place += 1
        else:
            decoded += coded[place + 1 : place + 2] * (257 - code)
            place += 2
    return decoded[:length]

"""Pixels that share a byte."""

import numpy as np
from numpy.typing import NDArray


def unpacked(rows: NDArray[np.uint8], bits: int) -> NDArray[np.uint8]:
    """Return the pixels of rows of bytes, one a byte, the highest bits first.

    Args:
        rows: uint8 (H, bytes).
        bits: of one pixel: 1, 2, 4 or 8.

    >>> unpacked(np.array([[0x1F, 0xA0]], np.uint8), 4)
    array([[ 1, 15, 10,  0]], dtype=uint8)
    """
    if bits == 8:
        return rows
    single = np.unpackbits(rows, axis=1).reshape(len(rows), -1, bits)
    return np.asarray(single @ (1 << np.arange(bits, dtype=np.uint8)[::-1]), np.uint8)

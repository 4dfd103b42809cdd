"""The header of a BMP file: what it holds and where, before any pixel is touched."""

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mri_tumor.errors import ReadError

PLAIN, RUNS_OF_8, RUNS_OF_4, MASKS = 0, 1, 2, 3
"""The compressions that are read, by their numbers."""

_FILE_HEADER = 14
_CORE, _OS2 = 12, 64  # OS/2's headers: the first has 16-bit sides, the second compressions of its own
_LENGTHS = (_CORE, 40, 52, 56, _OS2, 108, 124)
_DEPTHS = {PLAIN: (1, 4, 8, 16, 24, 32), RUNS_OF_8: (8,), RUNS_OF_4: (4,), MASKS: (16, 32)}
_USUAL_MASKS = {16: (0x7C00, 0x03E0, 0x001F), 32: (0xFF0000, 0x00FF00, 0x0000FF)}
_SAVE_ANEW = "save it again as an 8-bit or 24-bit BMP without compression, or as PNG"


@dataclass(frozen=True)
class Header:
    """What a header says.

    Args:
        height: in pixels.
        width: in pixels.
        top_down: whether the upper row is the first.
        bits: a pixel.
        compression: one of those above.
        masks: which bits are red, green and blue, for 16 and 32 bits a pixel.
        palette: the colours as uint8 RGB (number, 3); none above 8 bits.
        start: where the pixels begin.
    """

    height: int
    width: int
    top_down: bool
    bits: int
    compression: int
    masks: tuple[int, ...]
    palette: NDArray[np.uint8]
    start: int


def read_header(data: bytes, name: str) -> Header:
    """Return what the header says.

    Raises:
        ReadError: it is cut off or damaged, or of a kind that is not read.
    """
    (start, length) = _numbers("<II", data, 10, name)
    if length not in _LENGTHS:
        found = f"{name}: the BMP has a header of {length} bytes"
        raise ReadError(found, f"one of {', '.join(map(str, _LENGTHS))}", _SAVE_ANEW)
    if length == _CORE:
        width, height, planes, bits = _numbers("<HHHH", data, _FILE_HEADER + 4, name)
        compression, used = PLAIN, 0
    else:
        width, height, planes, bits, compression = _numbers("<iiHHI", data, _FILE_HEADER + 4, name)
        (used,) = _numbers("<I", data, _FILE_HEADER + 32, name)
    if planes != 1 or not _is_read(length, bits, compression, height):
        found = f"{name}: the BMP has {planes} planes of {bits} bits in compression {compression}"
        raise ReadError(found, "a usual grey, palette or RGB BMP", _SAVE_ANEW)
    masks = _numbers("<III", data, 54, name) if compression == MASKS else _USUAL_MASKS.get(bits, ())
    palette = _palette(data[:start], _FILE_HEADER + length, bits, used, 3 if length == _CORE else 4)
    header = Header(abs(height), width, height < 0, bits, compression, masks, palette, start)
    if (
        start < _FILE_HEADER + length
        or not all(_is_mask(mask, bits) for mask in masks)
        or (bits <= 8 and not len(palette))
    ):
        raise damaged(name, "has a header that contradicts itself")
    return header


def damaged(name: str, what: str) -> ReadError:
    """Return the error for a BMP that is not whole."""
    fix = "fetch or export the file again, or leave it out"
    return ReadError(f"{name}: the BMP {what}", "a complete BMP", fix)


def _numbers(form: str, data: bytes, place: int, name: str) -> tuple[int, ...]:
    if place + struct.calcsize(form) > len(data):
        raise damaged(name, "is cut off in its header")
    return struct.unpack_from(form, data, place)


def _is_read(length: int, bits: int, compression: int, height: int) -> bool:
    if length == _OS2 and compression == MASKS:
        return False  # it means Huffman coding there
    in_runs = compression in (RUNS_OF_8, RUNS_OF_4)
    return bits in _DEPTHS.get(compression, ()) and not (in_runs and height < 0)


def _is_mask(mask: int, bits: int) -> bool:
    """Whether a mask's bits stand side by side, inside a pixel."""
    lowest = mask & -mask
    return 0 < mask < 1 << bits and (mask // lowest) & (mask // lowest + 1) == 0


def _palette(head: bytes, place: int, bits: int, used: int, length: int) -> NDArray[np.uint8]:
    """Return the colours between header and pixels, stored as blue, green, red."""
    most = 1 << bits if bits <= 8 else 0
    count = max(0, min(used or most, most, (len(head) - place) // length))
    colours = np.frombuffer(head, np.uint8, count * length, place if count else 0)
    return colours.reshape(count, length)[:, 2::-1]

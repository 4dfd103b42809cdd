"""BMP: size from the header, then the rows, which must all be there, to one grey channel of 8 bits.

Decoded here rather than by OpenCV, which takes run lengths that leave rows out for a whole picture, and logs
every damaged file to the terminal.
"""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mri_tumor.dataset.formats.bits import unpacked
from mri_tumor.dataset.formats.bmp_header import RUNS_OF_4, RUNS_OF_8, Header, damaged, read_header

MAGIC = b"BM"

# What follows a zero in run-length coding; a greater number starts pixels that are no run.
_END_OF_ROW, _END, _MOVE = 0, 1, 2
_UNEVEN = "leaves pixels out or has too many"
_ALONE = [bytes([octet]) for octet in range(256)]
_HALVES = [bytes([octet >> 4, octet & 15]) for octet in range(256)]


def size_of(data: bytes, name: str) -> tuple[int, int]:
    """Return (height, width) from the header.

    Raises:
        ReadError: the header is cut off or damaged, or of a kind that is not read.
    """
    header = read_header(data, name)
    return header.height, header.width


def decode(data: bytes, name: str) -> NDArray[np.uint8]:
    """Return uint8 (H, W): colour as luma, alpha dropped.

    Raises:
        ReadError: pixels are missing or damaged.
    """
    return np.asarray(cv2.cvtColor(colours(data, name), cv2.COLOR_RGB2GRAY), np.uint8)


def colours(data: bytes, name: str) -> NDArray[np.uint8]:
    """Return the picture in RGB, uint8 (H, W, 3), grey ones too.

    Raises:
        ReadError: as in `decode`.
    """
    header = read_header(data, name)
    if header.compression in (RUNS_OF_8, RUNS_OF_4):
        rows = _rows_of_runs(header, data, name)
    else:
        rows = _rows(header, data, name)
    picture = _in_colour(header, rows, name)
    return np.ascontiguousarray(picture if header.top_down else picture[::-1])


def _rows(header: Header, data: bytes, name: str) -> NDArray[np.uint8]:
    """Return the bytes of every row, or its pixels where these have 8 bits or fewer."""
    stride = (header.width * header.bits + 31) // 32 * 4  # rows are filled up to 4 bytes
    there = (len(data) - header.start) // stride
    if there < header.height:
        raise damaged(name, f"is cut off: {max(0, there)} of {header.height} rows are there")
    rows = np.frombuffer(data, np.uint8, stride * header.height, header.start).reshape(-1, stride)
    if header.bits <= 8:
        return unpacked(rows, header.bits)[:, : header.width]
    return rows[:, : header.width * header.bits // 8]


def _in_colour(header: Header, rows: NDArray[np.uint8], name: str) -> NDArray[np.uint8]:
    if header.bits <= 8:
        highest = int(rows.max())
        if highest >= len(header.palette):
            raise damaged(name, f"has a pixel of colour {highest} of a palette of {len(header.palette)}")
        return np.asarray(header.palette[rows], np.uint8)
    if header.bits == 24:
        return rows.reshape(header.height, header.width, 3)[..., ::-1]
    pixels = np.ascontiguousarray(rows).view(f"<u{header.bits // 8}")
    return np.stack([_channel(pixels, mask) for mask in header.masks], axis=-1)


def _channel(pixels: NDArray[np.unsignedinteger[Any]], mask: int) -> NDArray[np.uint8]:
    lowest = mask & -mask
    highest = mask // lowest
    levels = (pixels & pixels.dtype.type(mask)) // pixels.dtype.type(lowest)
    return np.asarray(levels if highest == 255 else levels.astype(np.uint64) * 255 // highest, np.uint8)


def _rows_of_runs(header: Header, data: bytes, name: str) -> NDArray[np.uint8]:
    rows = list(islice(_coded_rows(header, data, name), header.height + 1))
    if [len(row) for row in rows] != [header.width] * header.height:
        raise damaged(name, _UNEVEN)
    return np.frombuffer(b"".join(rows), np.uint8).reshape(header.height, header.width)


def _coded_rows(header: Header, data: bytes, name: str) -> Iterator[bytes]:
    """Yield the pixels of each row of run-length coding, up to the mark that ends the picture."""
    row = bytearray()
    place = header.start
    while place + 2 <= len(data) and len(row) <= header.width:
        count, value = data[place], data[place + 1]
        place += 2
        if count:
            row += _pixels(_ALONE[value] * count, header.bits)[:count]
        elif value > _MOVE:
            coded = data[place : place + (value * header.bits + 7) // 8]
            row += _pixels(coded, header.bits)[:value]
            place += len(coded) + len(coded) % 2
        else:
            if row or value == _END_OF_ROW:
                yield bytes(row)
                row.clear()
            if value == _END:
                return
            if value == _MOVE:
                break
    what = "is cut off: its pixels do not end" if place + 2 > len(data) else _UNEVEN
    raise damaged(name, what)


def _pixels(coded: bytes, bits: int) -> bytes:
    return coded if bits == 8 else b"".join([_HALVES[octet] for octet in coded])

"""The codecs of TIFF blocks, each stopped at the length that the tags give: no block can grow without end.

After the specification: TIFF revision 6.0, section 13 (LZW). Those of other formats too are in `codecs`.
"""

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from mri_tumor.dataset.formats.codecs import whole

Codec = Callable[[bytes, int, int], bytes]
"""Coded bytes, how many bytes they must give and how many they may (a last strip may be filled up) -> the
former; ValueError if they do not."""

_CLEAR, _END = 256, 257
_LETTERS = [bytes([value]) for value in range(256)] + [b"", b""]
# Bits a code -> how many codes have that many after a clear; the first of them adds nothing to the table.
_WIDTHS = ((9, 254), (10, 512), (11, 1024), (12, 2050))
_BYTES_A_CLEAR = 64  # encoders clear a full table of some 4,000 entries; more often means nothing good


def plain(coded: bytes, length: int, _most: int) -> bytes:
    """Return bytes that are not coded."""
    return whole(coded, length)


def lzw(coded: bytes, length: int, _most: int) -> bytes:
    """Return what a table spells out that grows with every code, and is cleared when it is full."""
    runs = _runs(coded)
    if next(runs):
        raise ValueError("is damaged")  # it must begin with a clear
    decoded = bytearray()
    for number, run in enumerate(runs):
        if number > 1 + length // _BYTES_A_CLEAR:
            raise ValueError("is damaged")
        decoded += b"".join(_words(run))
        if len(decoded) >= length:
            break
    return whole(bytes(decoded), length)


def _runs(coded: bytes) -> Iterator[list[int]]:
    """Yield the codes between one clear and the next."""
    place, ended = 0, False
    while not ended:
        run: list[int] = []
        ended = True
        for width, count in _WIDTHS:
            codes = _codes(coded, place, width, count)
            stops = np.flatnonzero((codes == _CLEAR) | (codes == _END))
            if stops.size:
                ended = bool(codes[stops[0]] == _END)
                place += (int(stops[0]) + 1) * width
                run += codes[: stops[0]].tolist()
                break
            place += codes.size * width
            run += codes.tolist()
        yield run


def _codes(coded: bytes, place: int, width: int, count: int) -> NDArray[np.int64]:
    """Return up to `count` codes of `width` bits, from bit `place` on."""
    count = min(count, (8 * len(coded) - place) // width)
    window = coded[place >> 3 : ((place + count * width) >> 3) + 1] + bytes(2)
    octets = np.frombuffer(window, np.uint8).astype(np.int64)
    bits = (place & 7) + width * np.arange(count)
    first = bits >> 3
    three = octets[first] << 16 | octets[first + 1] << 8 | octets[first + 2]
    return np.asarray(three >> (24 - width - (bits & 7)) & ((1 << width) - 1), np.int64)


def _words(codes: list[int]) -> Iterator[bytes]:
    table = list(_LETTERS)
    before = b""
    for code in codes:
        if code < len(table):
            word = table[code]
        elif code == len(table) and before:
            word = before + before[:1]
        else:
            raise ValueError("is damaged")
        if before:
            table.append(before + word[:1])
        yield word
        before = word

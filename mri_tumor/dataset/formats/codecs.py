"""Codecs that several formats share, each stopped at the length expected: no bytes can grow without end.

Deflate is in TIFF (Adobe's Technical Note 2) and MATLAB files, PackBits in TIFF (section 9) and,
as run lengths, in DICOM (PS3.5, annex G).
"""

import zlib


def deflate(coded: bytes, length: int, most: int) -> bytes:
    """Return what zlib's stream holds, whose end and checksum must be there."""
    stream = zlib.decompressobj()
    try:
        decoded = stream.decompress(coded, most + 1)
    except zlib.error as error:
        raise ValueError("is damaged") from error
    if len(decoded) > most:
        raise ValueError("is damaged")
    return whole(decoded if stream.eof else b"", length)


def packbits(coded: bytes, length: int, _most: int = 0) -> bytes:
    """Return what runs of equal and of different bytes spell out, decoded hardly further than `length`."""
    decoded = bytearray()
    place = 0
    while len(decoded) < length and place < len(coded):
        count = coded[place]
        if count < 128:
            decoded += coded[place + 1 : place + 2 + count]
            place += 2 + count
        elif count > 128:
            decoded += coded[place + 1 : place + 2] * (257 - count)
            place += 2
        else:
            place += 1
    return whole(bytes(decoded), length)


def whole(decoded: bytes, length: int) -> bytes:
    """Return the first bytes; ValueError if there are not so many."""
    if len(decoded) < length:
        raise ValueError("is cut off")
    return decoded[:length]

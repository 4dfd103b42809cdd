"""JPEG: size and completeness from the markers, then the grey picture that libjpeg itself gives."""

import re
from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

from mri_tumor.errors import ReadError

MAGIC = b"\xff\xd8\xff"

# Two bytes that are neither stuffing (00), fill (FF), a restart (D0-D7) nor the parameterless TEM (01).
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd7\xff]")
_START_OF_SCAN, _END = 0xDA, 0xD9
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# Baseline, extended and progressive Huffman coding: what every decoder reads, TensorFlow's too.
_PROGRESSIVE = 0xC2
_READABLE_FRAMES = frozenset({0xC0, 0xC1, _PROGRESSIVE})
_MOST_SCANS = 100  # each scan costs a pass over all pixels
_SAVE_ANEW = "save the picture again as an 8-bit grey or RGB JPEG, or as PNG"


def size_of(data: bytes, name: str) -> tuple[int, int]:
    """Return (height, width) from the frame header, once the markers run through to the end of the picture.

    Raises:
        ReadError: the file is cut off or damaged, or of a kind that no common decoder reads.
    """
    size = None
    scans = channels = 0
    quick = data.endswith(bytes([0xFF, _END]))
    for marker, body in _segments(data, name):
        if marker in _FRAMES and size is None:
            size, channels = _frame(marker, body, name)
            quick = quick and marker != _PROGRESSIVE
        scans += marker == _START_OF_SCAN
        if quick and scans and body[:1] == bytes([channels]):
            # The end is there, and this scan holds all channels: no need to search its pixels for others.
            break
    if size is None or not scans:
        raise _damaged(name, "has no picture in it")
    if scans > _MOST_SCANS:
        raise ReadError(f"{name}: the JPEG has {scans} scans", f"at most {_MOST_SCANS}", _SAVE_ANEW)
    return size


def decode(data: bytes, name: str) -> npt.NDArray[np.uint8]:
    """Return the luma plane as uint8 (H, W); EXIF orientation is ignored.

    Raises:
        ReadError: OpenCV cannot decode the bytes.
    """
    return _decoded(data, cv2.IMREAD_GRAYSCALE, name)


def colours(data: bytes, name: str) -> npt.NDArray[np.uint8]:
    """Return the RGB picture as uint8 (H, W, 3); EXIF orientation is ignored.

    Raises:
        ReadError: OpenCV cannot decode the bytes.
    """
    return _decoded(data, cv2.IMREAD_COLOR, name)[..., ::-1]


def _decoded(data: bytes, flags: int, name: str) -> npt.NDArray[np.uint8]:
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        image = None
    if image is None:
        raise _damaged(name, "cannot be decoded")
    return np.asarray(image, np.uint8)


def _segments(data: bytes, name: str) -> Iterator[tuple[int, bytes]]:
    """Yield (marker, body) up to the end of the picture, the coded pixels of the scans left out."""
    position = 2
    while match := _MARKER.search(data, position):
        marker = data[match.start() + 1]
        if marker == _END:
            return
        start = match.end()
        length = int.from_bytes(data[start : start + 2], "big")
        if length < 2:
            raise _damaged(name, "has a segment without a length")
        position = start + length
        yield marker, data[start + 2 : position]
    raise _damaged(name, "is cut off: it has no end-of-image marker")


def _frame(marker: int, body: bytes, name: str) -> tuple[tuple[int, int], int]:
    """Return (height, width), and the number of channels."""
    if len(body) < 6:
        raise _damaged(name, "has an incomplete frame header")
    precision, components = body[0], body[5]
    height, width = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
    if marker not in _READABLE_FRAMES or precision != 8:
        found = f"{name}: the JPEG is of a rare kind (frame type {marker:#x}, {precision} bits)"
        raise ReadError(found, "baseline or progressive Huffman coding of 8 bits", _SAVE_ANEW)
    if components not in (1, 3):
        kind = "CMYK" if components == 4 else f"{components} channels"
        raise ReadError(f"{name}: the JPEG holds {kind}", "a grey or RGB picture", _SAVE_ANEW)
    return (height, width), components


def _damaged(name: str, what: str) -> ReadError:
    fix = "fetch or export the file again, or leave it out"
    return ReadError(f"{name}: the JPEG {what}", "a complete JPEG", fix)

"""PNG: size and soundness from the chunks and their checksums, then one grey channel of 8 bits."""

import struct
import zlib
from collections.abc import Iterator

import cv2
import numpy as np
import numpy.typing as npt

from mri_tumor.dataset.formats.intensity import to_8_bits
from mri_tumor.errors import ReadError

MAGIC = b"\x89PNG\r\n\x1a\n"

_GREY_KINDS = (0, 4)  # colour types of the header: grey, and grey with alpha


def size_of(data: bytes, name: str) -> tuple[int, int]:
    """Return (height, width) from the header, once every chunk's checksum holds up to the end of the picture.

    Raises:
        ReadError: the file is cut off, damaged or animated.
    """
    chunks = _chunks(data, name)
    kind, header = next(chunks)
    if kind != b"IHDR" or len(header) != 13:
        raise _damaged(name, "does not begin with its header")
    kinds = {kind for kind, _ in chunks}
    if b"acTL" in kinds:
        raise ReadError(f"{name}: the PNG is animated", "one still picture", "export a single frame")
    if b"IDAT" not in kinds:
        raise _damaged(name, "has no picture in it")
    width, height = struct.unpack_from(">II", header)
    return height, width


def decode(data: bytes, name: str) -> npt.NDArray[np.uint8]:
    """Return uint8 (H, W): colour as luma, as in JPEG; alpha dropped; 16 bits by `to_8_bits`.

    Raises:
        ReadError: OpenCV cannot decode the bytes.
    """
    colour = cv2.IMREAD_GRAYSCALE if data[25] in _GREY_KINDS else cv2.IMREAD_COLOR
    flags = colour | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        image = None
    if image is None:
        raise _damaged(name, "cannot be decoded")
    if image.ndim == 3:
        image = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    return to_8_bits(image)


def _chunks(data: bytes, name: str) -> Iterator[tuple[bytes, memoryview]]:
    """Yield (type, body) of every chunk up to IEND."""
    view = memoryview(data)
    position = len(MAGIC)
    while position + 12 <= len(data):
        length = int.from_bytes(view[position : position + 4], "big")
        kind, end = bytes(view[position + 4 : position + 8]), position + 8 + length
        if zlib.crc32(view[position + 4 : end]) != int.from_bytes(view[end : end + 4], "big"):
            break
        yield kind, view[position + 8 : end]
        if kind == b"IEND":
            return
        position = end + 4
    raise _damaged(name, f"is cut off or damaged at byte {position}")


def _damaged(name: str, what: str) -> ReadError:
    fix = "fetch or export the file again, or leave it out"
    return ReadError(f"{name}: the PNG {what}", "a complete PNG", fix)

"""What requests hold: read, checked and bounded before the model sees it.

It uses the standard library and numpy only: a package carries a copy in `code/`, beside the handler.
"""

import binascii
import io
import json
import math
import struct
from base64 import b64decode
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

MAX_BODY = 6 * 1024 * 1024
"""The largest request in bytes: SageMaker's limit for an endpoint that answers at once."""

MAX_PIXELS = 64_000_000
MAX_PIXELS_A_REQUEST = 256_000_000

_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


class RequestError(Exception):
    """A request that is refused; its text is the JSON body that the caller gets.

    Behind AWS's handler service every exception becomes HTTP 500 with the text inside `{"error": ...}`; the
    local server answers with `code` as the status. In both worlds the caller finds `code` in the body.

    Args:
        code: the error's number, as in HTTP.
        found: what is wrong.
        expected: what would have been right.
        fix: what to do now.

    >>> str(RequestError(400, "the body is empty", "a picture", "send one"))
    '{"code": 400, "error": "the body is empty. Expected: a picture. To do: send one."}'
    """

    def __init__(self, code: int, found: str, expected: str, fix: str) -> None:
        text = f"{found}. Expected: {expected}. To do: {fix}."
        super().__init__(json.dumps({"code": code, "error": text}))
        self.code = code


def bad(found: str, expected: str, fix: str = "send it as the documentation shows") -> RequestError:
    """Return the error for a request that cannot be understood."""
    return RequestError(400, found, expected, fix)


def too_large(limit: int) -> RequestError:
    """Return the error for a body above the limit in bytes."""
    return RequestError(
        413, f"the request is larger than {limit} bytes", "a smaller one", "send fewer pictures a request"
    )


def batch_of(data: bytes, size: int) -> np.ndarray:
    """Return the uint8 pictures (N, size, size, 1) of an npy file in memory.

    Its header is checked before anything is allocated for it, and nothing in it can run: the pixels are taken
    as they lie in the body.

    Raises:
        RequestError: it is no npy file, or holds something else.
    """
    wanted = f"an npy file of uint8 (N, {size}, {size}, 1), N at least 1"
    stream = io.BytesIO(data)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        shape, fortran, dtype = readers[np.lib.format.read_magic(stream)](stream)
    except Exception as error:  # numpy raises many kinds here, and each means a damaged header
        raise bad(f"the body is not an npy file ({type(error).__name__})", wanted) from error
    _check_batch(shape, dtype, size, wanted)
    pixels = len(data) - stream.tell()
    if fortran or pixels != math.prod(shape):
        order = "Fortran" if fortran else "C"
        raise bad(f"the npy file says {shape} in {order} order and holds {pixels} bytes of pixels", wanted)
    return np.frombuffer(data, np.uint8, offset=stream.tell()).reshape(shape)


def pixels_of(rows: list[Any], size: int) -> np.ndarray:
    """Return the uint8 pictures (N, size, size, 1) of nested JSON lists.

    Raises:
        RequestError: the lists hold something else.
    """
    wanted = f"whole numbers 0-255 in the shape (N, {size}, {size}, 1)"
    try:
        values = np.array(rows)
    except (ValueError, TypeError, OverflowError) as error:
        raise bad("instances is not an array of numbers", wanted) from error
    if values.dtype.kind not in "iu" or values.size == 0 or values.min() < 0 or values.max() > 255:
        raise bad(f"instances holds {values.dtype} {values.shape} outside of that", wanted)
    _check_batch(values.shape, np.dtype(np.uint8), size, wanted)
    return values.astype(np.uint8)


def _check_batch(shape: Sequence[int], dtype: np.dtype[Any], size: int, wanted: str) -> None:
    if dtype != np.uint8 or tuple(shape[1:]) != (size, size, 1) or shape[0] < 1:
        raise bad(f"the pictures are {dtype} {tuple(shape)}", wanted)


def encoded_of(row: Any) -> bytes:
    """Return the bytes of a picture in TensorFlow Serving's form, `{"b64": ...}`.

    Raises:
        RequestError: it has another form, or is not base64.
    """
    if not isinstance(row, dict) or row.keys() != {"b64"} or not isinstance(row["b64"], str):
        raise bad("an entry of instances is not a picture", '{"b64": "<a JPEG or PNG in base64>"}')
    try:
        return b64decode(row["b64"], validate=True)
    except (binascii.Error, ValueError) as error:
        raise bad(f"b64 is not base64 ({error})", "a JPEG or PNG in base64") from error


def check_pictures(pictures: Sequence[bytes]) -> None:
    """Refuse what is no JPEG or PNG, and pictures that are small as files and huge once decoded.

    Raises:
        RequestError: 400 for the first, 413 for the second.
    """
    total = 0
    for picture in pictures:
        height, width = _dimensions(picture)
        total += height * width
        if height * width > MAX_PIXELS or total > MAX_PIXELS_A_REQUEST:
            raise RequestError(
                413,
                f"a picture has {width}x{height} pixels ({total} with those before it)",
                f"at most {MAX_PIXELS} pixels a picture and {MAX_PIXELS_A_REQUEST} a request",
                "send smaller pictures, or fewer a request",
            )


def _dimensions(data: bytes) -> tuple[int, int]:
    """Return (height, width) from the header of a JPEG or PNG."""
    found = None
    if data.startswith(b"\x89PNG\r\n\x1a\n") and data[12:16] == b"IHDR" and len(data) > 24:
        width, height = struct.unpack(">II", data[16:24])
        found = height, width
    elif data.startswith(b"\xff\xd8"):
        found = next(_frames(data), None)
    if found is None or 0 in found:
        raise bad("the picture is no JPEG or PNG, or its header is damaged", "a whole JPEG or PNG file")
    return found


def _frames(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield (height, width) of a JPEG's frame headers, from marker to marker up to the pixels."""
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        marker = data[at + 1]
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack(">HH", data[at + 5 : at + 9])
            yield height, width
        # 0xFF is a fill byte before a marker; every other segment says its length.
        at += 1 if marker == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4], "big")

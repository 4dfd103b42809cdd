"""What a coded DICOM frame says of its own size: it must be the header's, or decoding takes any memory."""

import re
import struct
from collections.abc import Iterator

from mri_tumor.dataset.formats.dicom.file import damaged
from mri_tumor.dataset.formats.dicom.header import Header

_JPEG, _JPEG_2000 = b"\xff\xd8", b"\xff\x4f\xff\x51"
_JP2, _CODESTREAM_BOX = b"\x00\x00\x00\x0cjP  ", b"jp2c"
# The markers that carry the size: SOF0 to SOF15 without the three that are no frames, and JPEG-LS's own.
_JPEG_FRAME = re.compile(rb"\xff[\xc0-\xc3\xc5-\xc7\xc9-\xcb\xcd-\xcf\xf7]")
_JPEG_MARKER = re.compile(rb"\xff[\xc0-\xfe]")


def check_frame(frame: bytes, header: Header, name: str) -> None:
    """Raise a ReadError unless the frame decodes to what the header says, and to one channel.

    Args:
        frame: one coded frame: JPEG of any kind, JPEG-LS or JPEG 2000. Run lengths are not asked: they are
            decoded no further than the picture goes.
        header: what the file says.
        name: what errors call the file.
    """
    found = _jpeg_size(frame) if frame.startswith(_JPEG) else _jpeg_2000_size(frame)
    if found != (header.rows, header.columns, 1):
        raise damaged(
            name, f"has a frame of {found or 'no size'}, not of {header.rows, header.columns, 1} as it says"
        )


def _jpeg_size(frame: bytes) -> tuple[int, int, int] | None:
    """Return rows, columns and channels."""
    position = 2
    while match := _JPEG_MARKER.match(frame, position):
        start = match.end()
        if _JPEG_FRAME.match(match.group()):
            body = frame[start + 2 : start + 8]
            if len(body) < 6:
                return None
            rows, columns, channels = struct.unpack(">xHHB", body)
            return rows, columns, channels
        position = start + max(2, int.from_bytes(frame[start : start + 2], "big"))
    return None


def _jpeg_2000_size(frame: bytes) -> tuple[int, int, int] | None:
    """Return rows, columns and channels."""
    place = next(_codestreams(frame), 0) if frame.startswith(_JP2) else 0
    start = place + len(_JPEG_2000)
    body = frame[start : start + 38]
    if not frame.startswith(_JPEG_2000, place) or len(body) < 38:
        return None
    right, bottom, left, top = struct.unpack(">4x4I", body[:20])
    return bottom - top, right - left, int.from_bytes(body[36:38], "big")


def _codestreams(frame: bytes) -> Iterator[int]:
    """Yield where the codestreams of a JP2 file begin; other boxes are passed over, whatever they hold."""
    place = 0
    while place + 8 <= len(frame):
        length, head = int.from_bytes(frame[place : place + 4], "big"), 8
        if length == 1:
            length, head = int.from_bytes(frame[place + 8 : place + 16], "big"), 16
        if frame[place + 4 : place + 8] == _CODESTREAM_BOX:
            yield place + head
        if length < head:  # 0: the last box, which goes on to the end
            return
        place += length

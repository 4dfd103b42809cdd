"""What a coded DICOM frame says of its own size: it must be the header's, or decoding takes any memory."""

import re
import struct

from mri_tumor.dataset.formats.dicom.file import damaged
from mri_tumor.dataset.formats.dicom.header import Header

_JPEG, _JPEG_2000 = b"\xff\xd8", b"\xff\x4f\xff\x51"
# The markers that carry the size: SOF0 to SOF15 without the three that are no frames, and JPEG-LS's own.
_JPEG_FRAME = re.compile(rb"\xff[\xc0-\xc3\xc5-\xc7\xc9-\xcb\xcd-\xcf\xf7]")
_JPEG_MARKER = re.compile(rb"\xff[\xc0-\xfe]")


def check_frame(frame: bytes, header: Header, name: str) -> None:
    """Raise a ReadError unless the frame decodes to what the header says, and to one channel.

    Args:
        frame: one coded frame: JPEG of any kind, JPEG-LS, JPEG 2000, or run lengths.
        header: what the file says.
        name: what errors call the file.
    """
    if frame.startswith(_JPEG):
        found = _jpeg_size(frame)
    elif _JPEG_2000 in frame[:1024]:  # in front of it there may be the boxes of a JP2 file
        found = _jpeg_2000_size(frame)
    else:
        return  # run lengths, which are decoded no further than the picture goes
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
    start = frame.index(_JPEG_2000) + len(_JPEG_2000)
    body = frame[start : start + 38]
    if len(body) < 38:
        return None
    right, bottom, left, top = struct.unpack(">4x4I", body[:20])
    return bottom - top, right - left, int.from_bytes(body[36:38], "big")

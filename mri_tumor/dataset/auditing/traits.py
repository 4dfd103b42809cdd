"""What can be said of a picture without looking at the brain: size, bytes, borders, brightness, colour."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mri_tumor.errors import ReadError

BLACK = 20
"""Grey levels up to this count as black border: JPEG leaves some noise in it."""

COLOURFUL = 24
"""Channels that differ by at least this many levels are colour; JPEG's rounding alone stays far below."""

# How the bytes of each format that is read begin, or what stands further on.
_MAGIC = (
    ("DICOM", 128, b"DICM"),  # first: what stands in front of it may be the beginning of a TIFF
    ("JPEG", 0, b"\xff\xd8\xff"),
    ("PNG", 0, b"\x89PNG\r\n\x1a\n"),
    ("BMP", 0, b"BM"),
    ("TIFF", 0, b"II*\x00"),
    ("TIFF", 0, b"MM\x00*"),
    ("MATLAB", 512, b"\x89HDF\r\n\x1a\n"),
)
FORMATS = ("", *dict.fromkeys(name for name, _, _ in _MAGIC))
"""Every value of `Traits.format`; the empty one stands for bytes of no known kind."""

_HEAD = 520
_WITH_COLOUR = frozenset({"JPEG", "PNG", "BMP", "TIFF"})
_REDUCED = 64  # OpenCV refuses an eighth of a side below 8, and an eighth of a small one says little
_PNG_GREY = (0, 4)


@dataclass(frozen=True)
class Traits:
    """A picture's outward traits: what a classifier could cheat with.

    Args:
        width: in pixels.
        height: in pixels.
        file_bytes: the length of the file.
        format: what its bytes say, as in `"JPEG"`; empty if they are of no known kind.
        margins: shares of height (top, bottom) and width (left, right) that are black border, 0-1.
        frame: mean grey level of the outermost pixels, 0-255, and the share of them that is black, 0-1.
        brightness: mean, standard deviation and 99th percentile of the grey levels, 0-255.
        colour: share of the picture where the channels differ noticeably, 0-1.
    """

    width: int
    height: int
    file_bytes: int
    format: str
    margins: tuple[float, float, float, float]
    frame: tuple[float, float]
    brightness: tuple[float, float, float]
    colour: float


def format_of(head: bytes) -> str:
    """Return the format that a file's first bytes say, or an empty text for a kind that is not read.

    >>> format_of(b"BM1234"), format_of(b"hello")
    ('BMP', '')
    """
    return next((name for name, start, magic in _MAGIC if head[start:].startswith(magic)), "")


def traits_of(path: Path, image: NDArray[np.uint8]) -> Traits:
    """Measure a picture that was read.

    Args:
        path: its file; of a file in colour an eighth of each side is decoded once more, all of a small one.
        image: uint8 `(H, W)`, as read.

    Raises:
        OSError: the file is gone.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
        kind = format_of(head)
        data = head + file.read() if _may_have_colour(kind, head) else b""
    height, width = image.shape
    edge = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    return Traits(
        width=width,
        height=height,
        file_bytes=path.stat().st_size,
        format=kind,
        margins=_margins(image),
        frame=(float(edge.mean()), float((edge <= BLACK).mean())),
        brightness=_brightness(image),
        colour=_colour(kind, data, small=min(image.shape) < _REDUCED) if data else 0.0,
    )


def bright_box(image: NDArray[np.uint8]) -> tuple[int, int, int, int]:
    """Return (top, bottom, left, right) of what is brighter than black, ends exclusive; zeros if nothing is.

    >>> picture = np.zeros((4, 6), np.uint8)
    >>> picture[1, 2:5] = BLACK + 1
    >>> bright_box(picture), bright_box(picture[:1])
    ((1, 2, 2, 5), (0, 0, 0, 0))
    """
    import cv2

    left, top, across, down = cv2.boundingRect((image > BLACK).view(np.uint8))
    return top, top + down, left, left + across


def _may_have_colour(kind: str, head: bytes) -> bool:
    return kind in _WITH_COLOUR and not (kind == "PNG" and head[25] in _PNG_GREY)


def _colour(kind: str, data: bytes, *, small: bool) -> float:
    import cv2

    picture = _in_colour(kind, data, small=small)
    if picture is None or picture.ndim == 2:
        return 0.0
    blue, green, red = cv2.split(picture)
    highest, lowest = (reach(reach(blue, green), red) for reach in (cv2.max, cv2.min))
    return float(((highest - lowest) >= COLOURFUL).mean())


def _in_colour(kind: str, data: bytes, *, small: bool) -> NDArray[np.uint8] | None:
    """Return a small picture, or an eighth of each side, in colour; None if it cannot be decoded."""
    import cv2

    from mri_tumor.dataset.formats import bmp, tiff

    decode = {"BMP": bmp.colours, "TIFF": tiff.colours}.get(kind)
    if decode is None:
        size = cv2.IMREAD_COLOR if small else cv2.IMREAD_REDUCED_COLOR_8
        return _by_opencv(data, size | cv2.IMREAD_IGNORE_ORIENTATION)
    try:
        picture = decode(data, "")
    except ReadError:
        return None
    if small:
        return picture
    sides = [max(1, side // 8) for side in picture.shape[1::-1]]
    return np.asarray(cv2.resize(picture, sides, interpolation=cv2.INTER_AREA), np.uint8)


def _by_opencv(data: bytes, flags: int) -> NDArray[np.uint8] | None:
    import cv2

    try:
        found: NDArray[np.uint8] | None = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        return None
    return found


def _margins(image: NDArray[np.uint8]) -> tuple[float, float, float, float]:
    top, bottom, left, right = bright_box(image)
    if not bottom:
        return 1.0, 1.0, 1.0, 1.0
    height, width = image.shape
    return top / height, 1 - bottom / height, left / width, 1 - right / width


def _brightness(image: NDArray[np.uint8]) -> tuple[float, float, float]:
    import cv2

    mean, deviation = (float(value[0, 0]) for value in cv2.meanStdDev(image))
    counts = cv2.calcHist([image], [0], None, [256], [0, 256]).ravel()
    high = int(np.searchsorted(np.cumsum(counts, dtype=np.float64), 0.99 * image.size))
    return mean, deviation, float(high)

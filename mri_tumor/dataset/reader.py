"""A file or its bytes to one grey picture, with the size known before anything is decoded."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from mri_tumor.dataset.formats import bmp, dicom, figshare_file, jpeg, mat, png, tiff
from mri_tumor.dataset.formats.nifti_header import is_nifti
from mri_tumor.errors import ArgumentError, ReadError

MAX_PIXELS = 64_000_000
"""How many pixels a picture may have unless the caller says otherwise."""

MAX_BYTES = 50_000_000
"""How many bytes a file may have unless the caller says otherwise."""

MAX_SIDE = 65_535
"""The greatest height or width: what JPEG can hold; the in-graph preprocessing has the same limit."""


def _as_it_is(data: bytes, _name: str) -> bytes:
    """Return the file: reading its header twice costs nothing."""
    return data


def _check_nothing(_opened: Any, _name: str, _modality: str | None, _burned_in: bool) -> None:
    """Accept the file: its kind says nothing of modality and burned-in text."""


class _Format(NamedTuple):
    name: str
    matches: Callable[[bytes], bool]
    size_of: Callable[[Any, str], tuple[int, int]]
    decode: Callable[[Any, str], npt.NDArray[np.uint8]]
    open: Callable[[bytes, str], Any] = _as_it_is  # from bytes to what the other functions take
    check: Callable[[Any, str, str | None, bool], None] = _check_nothing


def _starts_with(*magics: bytes) -> Callable[[bytes], bool]:
    return lambda data: data.startswith(magics)


# A further format is a module beside jpeg.py with the same two functions, and a row here. DICOM comes first:
# its preamble may be the beginning of a TIFF, so that programs for either find a picture.
_FORMATS = (
    _Format("DICOM", dicom.matches, dicom.size_of, dicom.decode, dicom.parse, dicom.check),
    _Format("JPEG", _starts_with(jpeg.MAGIC), jpeg.size_of, jpeg.decode),
    _Format("PNG", _starts_with(png.MAGIC), png.size_of, png.decode),
    _Format("TIFF", _starts_with(*tiff.MAGICS), tiff.size_of, tiff.decode),
    _Format("BMP", _starts_with(bmp.MAGIC), bmp.size_of, bmp.decode),
    _Format("MATLAB v7.3", mat.matches, figshare_file.size_of, figshare_file.decode),
)
*_FIRST_NAMES, _LAST_NAME = (kind.name for kind in _FORMATS)
_READABLE = f"{', '.join(_FIRST_NAMES)} or {_LAST_NAME}"

# Only so that the error can say what the file is.
_OTHER_KINDS = {
    b"GIF8": "GIF",
    b"II+\x00": "BigTIFF",
    b"MM\x00+": "BigTIFF",
    b"MATLAB 5": "MATLAB 5",
    b"RIFF": "WebP",
    b"PK\x03\x04": "ZIP",
    b"\x1f\x8b": "gzip",
    b"%PDF": "PDF",
}


def read_image(
    source: str | Path | bytes,
    *,
    max_pixels: int = MAX_PIXELS,
    max_bytes: int = MAX_BYTES,
    modality: str | None = "MR",
    burned_in: bool = False,
) -> npt.NDArray[np.uint8]:
    """Read one JPEG, PNG, TIFF, BMP, DICOM or figshare MATLAB file as a grey picture.

    The type is taken from the bytes, never from the suffix. Colour becomes luma (.299 R + .587 G + .114 B),
    alpha is dropped, 16-bit values keep the upper 8 of the bits they need, orientation tags are ignored. A
    file that is cut off is an error, not half a picture.

    TIFF holds one page of grey, palette or RGB, in strips or tiles, plain or coded by LZW, deflate, PackBits
    or JPEG; signed, 32-bit and float values are shown in the window of `formats.intensity.percentile_window`.

    MATLAB v7.3 files are those of figshare's brain tumour set (`scan_figshare`): each slice's lowest value is
    black and its highest white.

    DICOM (extra `dicom`) is rescaled and shown in the file's own window or table, the first if there are
    several, else in that of `formats.intensity.percentile_window`; MONOCHROME1 is inverted, padding is black.

    Args:
        source: a path, or the encoded bytes themselves (errors then call them `<bytes>`).
        max_pixels: the greatest height x width, read from the header before anything is decoded.
        max_bytes: the greatest length of the file.
        modality: the only modality of DICOM files that is taken; None takes all.
        burned_in: whether DICOM files are taken that say that text is burned into their picture.

    Returns:
        uint8 (H, W), 0-255, black to white.

    Raises:
        ReadError: the file is missing, damaged, cut off, too large, or not of a kind that is read; or it is
            DICOM with several frames, without a picture, of another modality, in colour or a mosaic.
        ArgumentError: an argument is of the wrong type, or a limit is below 1.
        MissingExtra: it is DICOM, and pydicom is not installed.

    >>> import cv2
    >>> encoded = cv2.imencode(".png", np.full((2, 3), 7, np.uint8))[1].tobytes()
    >>> read_image(encoded)
    array([[7, 7, 7],
           [7, 7, 7]], dtype=uint8)
    """
    check_limit("max_pixels", max_pixels)
    check_limit("max_bytes", max_bytes)
    check_modality(modality)
    data, name = load_bytes(source, max_bytes)
    kind = _format_of(data, name)
    opened = kind.open(data, name)
    kind.check(opened, name, modality, burned_in)
    size = kind.size_of(opened, name)
    _check_size(size, max_pixels, name)
    image = kind.decode(opened, name)
    if image.shape != size:
        raise ReadError(
            f"{name}: decoded to {image.shape}", f"{size}, as its header says", "fetch the file again"
        )
    return image


def check_limit(argument: str, value: int) -> None:
    """Raise an ArgumentError unless the argument is a whole number from 1."""
    if not isinstance(value, int | np.integer) or isinstance(value, bool) or value < 1:
        raise ArgumentError(f"{argument} is {value!r}", "a whole number from 1", f"leave {argument} out")


def check_modality(modality: str | None) -> None:
    """Raise an ArgumentError unless the argument is a text or None."""
    if modality is not None and not isinstance(modality, str):
        raise ArgumentError(f"modality is {modality!r}", "a text such as 'MR', or None", "leave it out")


def shown_name(path: str | Path) -> str:
    """Return a path as errors show it: one that is not Unicode must not break the message that names it."""
    return str(path).encode("utf-8", "backslashreplace").decode()


@contextmanager
def opening(name: str) -> Iterator[None]:
    """Make a ReadError of whatever the system says when a file or folder is opened."""
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: a NUL or a lone surrogate in the path
        raise ReadError(
            f"{name!r}: cannot be opened ({error})", "a readable file", "check path and rights"
        ) from error


def load_bytes(source: str | Path | bytes, max_bytes: int) -> tuple[bytes, str]:
    """Return the bytes of a file, at most `max_bytes`, and the name that errors give it."""
    if isinstance(source, bytes | bytearray | memoryview):
        data, name = bytes(source), "<bytes>"
    elif isinstance(source, str | Path):
        name = shown_name(source)
        path = source if isinstance(source, Path) else Path(source)
        data = _load_file(path, name, max_bytes)
    else:
        found = f"source is of type {type(source).__name__}"
        raise ArgumentError(found, "a path or the bytes of a picture file", "pass str, Path or bytes")
    if not data:
        raise ReadError(
            f"{name}: the file is empty", f"a {_READABLE} file", "fetch it again, or leave it out"
        )
    if len(data) > max_bytes:
        raise _too_long(name, len(data), max_bytes)
    return data, name


def _load_file(path: Path, name: str, max_bytes: int) -> bytes:
    with opening(name):
        if not path.is_file():
            raise _no_file(path, name)
        length = path.stat().st_size
        if length > max_bytes:
            raise _too_long(name, length, max_bytes)
        with path.open("rb") as file:
            return file.read(length + 1)  # Python reserves all that is asked for


def _no_file(path: Path, name: str) -> ReadError:
    if path.is_dir():
        return ReadError(
            f"{name}: this is a folder", "one picture file", "use scan() for folders of pictures"
        )
    return ReadError(f"{name}: there is no such file", "one picture file", "check the path")


def _too_long(name: str, length: int, max_bytes: int) -> ReadError:
    fix = "pass a larger max_bytes if you trust the file"
    return ReadError(f"{name}: the file has {length:,} bytes", f"at most {max_bytes:,}", fix)


def _format_of(data: bytes, name: str) -> _Format:
    for kind in _FORMATS:
        if kind.matches(data):
            return kind
    if is_nifti(data):
        raise ReadError(f"{name}: this is a NIfTI volume", "one picture", "use dataset.read_slices()")
    found = f"{name}: this is {_describe(data)}, whatever its name says"
    raise ReadError(found, f"a {_READABLE} file", "convert it to PNG, or leave it out")


def _describe(data: bytes) -> str:
    for magic, kind in _OTHER_KINDS.items():
        if data.startswith(magic):
            return f"a {kind} file"
    head = data[:256]
    return "text" if head.isascii() and b"\x00" not in head else "not a picture that is known here"


def _check_size(size: tuple[int, int], max_pixels: int, name: str) -> None:
    height, width = size
    found = f"{name}: the header says {width} x {height} pixels"
    if height < 1 or width < 1:
        raise ReadError(found, "at least 1 x 1", "fetch or export the file again, or leave it out")
    if height * width > max_pixels:
        fix = "pass a larger max_pixels if you trust the file"
        raise ReadError(found, f"at most {max_pixels:,} pixels in all", fix)
    if max(height, width) > MAX_SIDE:
        raise ReadError(found, f"at most {MAX_SIDE:,} a side", "cut the picture into smaller ones")

"""The pixels of a TIFF page: its strips or tiles decoded, each checked for being whole, and put together."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from mri_tumor.dataset.formats import codecs, jpeg, tiff_codecs
from mri_tumor.dataset.formats.bits import unpacked
from mri_tumor.dataset.formats.intensity import Values
from mri_tumor.dataset.formats.tiff_tags import Page, damaged

JPEG = 7
CODECS: dict[int, tiff_codecs.Codec] = {
    1: tiff_codecs.plain,
    5: tiff_codecs.lzw,
    8: codecs.deflate,
    32946: codecs.deflate,
    32773: codecs.packbits,
}
"""The specification's number of a compression -> its codec; JPEG blocks are pictures of their own."""

UNSIGNED, SIGNED, FLOAT = 1, 2, 3
DTYPES = {
    **{(UNSIGNED, bits): "u1" for bits in (1, 2, 4, 8)},
    **{(UNSIGNED, bits): f"u{bits // 8}" for bits in (16, 32)},
    **{(SIGNED, bits): f"i{bits // 8}" for bits in (8, 16, 32)},
    **{(FLOAT, bits): f"f{bits // 8}" for bits in (16, 32, 64)},
}
"""(sample format, bits) -> type of the values; fewer than 8 bits come one in a byte."""

_TILE_SIDES = range(16, 4097, 16)
_LARGEST_TILE = 4096 * 4096
# Tiles reach beyond the picture's edges; but if each is nearly empty, small files take hours.
_MOST_PADDING = 4
_RGB = 2
_JPEG_START, _JPEG_END = b"\xff\xd8", b"\xff\xd9"
# Adobe's marker says how three JPEG channels are meant, by its last byte: 0 for RGB, 1 for YCbCr.
_ADOBE = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00"


def values_of(page: Page, data: bytes, name: str) -> Values:
    """Return every sample of every pixel: (H, W, samples).

    Raises:
        ReadError: a block of pixels is missing, cut off or damaged.
    """
    if page.tiled and not all(side in _TILE_SIDES for side in page.block):
        found = f"tiles of {page.block[1]} x {page.block[0]} pixels"
        raise damaged(name, f"is damaged: {found} instead of multiples of 16 up to 4,096")
    blocks = len(page.starts) // (page.samples if page.separate else 1)
    most = _MOST_PADDING * page.height * page.width + _LARGEST_TILE
    if blocks * page.block[0] * page.block[1] > most:
        raise damaged(name, f"is damaged: its {blocks:,} blocks are much larger than its picture")
    values = np.zeros((page.height, page.width, page.samples), DTYPES[page.sample_format, page.bits])
    windows = list(_windows(page, values))
    if not len(windows) == len(page.starts) == len(page.lengths):
        found = f"{len(page.starts)} blocks of {len(page.lengths)} lengths"
        raise damaged(name, f"is damaged: it has {found} instead of {len(windows)}")
    for number, (window, start, length) in enumerate(zip(windows, page.starts, page.lengths, strict=True)):
        place = f"block {number + 1} of {len(windows)}"
        coded = data[start : start + length]
        if len(coded) < length:
            raise damaged(name, f"is cut off in {place}")
        shape = (*page.block, window.shape[2]) if page.tiled else window.shape
        block = _block(page, coded, shape, f"{name}, {place}")
        window[...] = block[: window.shape[0], : window.shape[1]]
    return values


def _windows(page: Page, values: Values) -> Iterator[Values]:
    """Yield the part of the picture that each block fills, in the file's order."""
    if not min(page.block):
        return
    planes = np.split(values, page.samples, axis=2) if page.separate else [values]
    for plane in planes:
        for top in range(0, page.height, page.block[0]):
            for left in range(0, page.width, page.block[1]):
                yield plane[top : top + page.block[0], left : left + page.block[1]]


def _block(page: Page, coded: bytes, shape: tuple[int, ...], name: str) -> Values:
    if page.compression == JPEG:
        return _jpeg_block(page, coded, shape, name)
    rows, columns, samples = shape
    row_bytes = (columns * samples * page.bits + 7) // 8
    try:
        decoded = CODECS[page.compression](coded, rows * row_bytes, page.block[0] * row_bytes)
    except ValueError as error:
        raise damaged(name, str(error)) from error
    if page.bits < 8:
        return unpacked(np.frombuffer(decoded, np.uint8).reshape(rows, row_bytes), page.bits)[..., None]
    native = np.dtype(DTYPES[page.sample_format, page.bits])
    values = np.frombuffer(decoded, native.newbyteorder(page.byte_order)).reshape(shape)
    # Whole numbers wrap around, as the differences did.
    return values if page.predictor == 1 else np.cumsum(values, axis=1, dtype=native)


def _jpeg_block(page: Page, coded: bytes, shape: tuple[int, ...], name: str) -> NDArray[np.uint8]:
    if not coded.startswith(_JPEG_START):
        raise damaged(name, "is no JPEG")
    tables = page.jpeg_tables.removeprefix(_JPEG_START).removesuffix(_JPEG_END)
    meaning = _ADOBE + bytes([page.photometric != _RGB]) if page.samples == 3 else b""
    picture = _JPEG_START + tables + meaning + coded.removeprefix(_JPEG_START)
    height, width = jpeg.size_of(picture, name)
    if width != shape[1] or not shape[0] <= height <= page.block[0]:
        raise damaged(name, f"is damaged: {width} x {height} pixels instead of {shape[1]} x {shape[0]}")
    return jpeg.colours(picture, name) if page.samples == 3 else jpeg.decode(picture, name)[..., None]

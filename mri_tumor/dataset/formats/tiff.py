"""TIFF: one page, grey, palette or RGB, to one grey channel of 8 bits.

Decoded here rather than by OpenCV, which leaves 16-bit negatives as they are, reads 16-bit grey with alpha
and separate 16-bit planes wrong, and logs every damaged file to the terminal.
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from mri_tumor.dataset.formats.intensity import Values, percentile_window, to_8_bits, to_grey
from mri_tumor.dataset.formats.tiff_blocks import CODECS, DTYPES, FLOAT, JPEG, UNSIGNED, values_of
from mri_tumor.dataset.formats.tiff_tags import BIG, LITTLE, SAVE_ANEW, Page, read_page
from mri_tumor.errors import ReadError

MAGICS = (LITTLE, BIG)

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _YCBCR = 0, 1, 2, 3, 6
_GREYS, _COLOURS = (_WHITE_IS_ZERO, _BLACK_IS_ZERO), (_RGB, _YCBCR)


def size_of(data: bytes, name: str) -> tuple[int, int]:
    """Return (height, width) from the tags.

    Raises:
        ReadError: they are cut off or damaged, there are several pages, or the page is of a kind not read.
    """
    page = read_page(data, name)
    for what, refused in _kinds(page).items():
        if refused:
            raise ReadError(f"{name}: the TIFF {what}", "a usual grey, palette or RGB TIFF", SAVE_ANEW)
    return page.height, page.width


def decode(data: bytes, name: str) -> NDArray[np.uint8]:
    """Return uint8 (H, W): colour as luma, alpha dropped, negatives turned positive, orientation ignored.

    16 bits become 8 by `to_8_bits`; signed, 32-bit and float values by `percentile_window`.

    Raises:
        ReadError: a block of pixels is missing, cut off or damaged.
    """
    picture = _picture(data, name)
    return to_8_bits(picture if picture.ndim == 2 else cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY))


def colours(data: bytes, name: str) -> NDArray[np.uint8]:
    """Return uint8: a grey picture (H, W), one in colour as RGB (H, W, 3).

    Raises:
        ReadError: as in `decode`.
    """
    return to_8_bits(_picture(data, name))


def _picture(data: bytes, name: str) -> Values:
    """Return a grey picture (H, W) in uint8, or one in colour (H, W, 3) in uint8 or uint16."""
    page = read_page(data, name)
    values = values_of(page, data, name)
    if page.photometric == _PALETTE:
        return np.asarray(_palette(page)[values[..., 0]], np.uint8)
    if page.photometric in _COLOURS:
        return np.ascontiguousarray(values[..., :3])
    return _grey(page, np.ascontiguousarray(values[..., 0]))


def _kinds(page: Page) -> dict[str, bool]:
    """Return what is not read -> whether the page is that."""
    is_jpeg = page.compression == JPEG
    coloured, indexed = page.photometric in _COLOURS, page.photometric == _PALETTE
    samples = range(3 if coloured else 1, 2 if indexed or page.bits < 8 else 5)
    return {
        f"is compressed in a way that is not read (number {page.compression})": (
            page.compression not in (*CODECS, JPEG)
        ),
        f"is neither grey, palette nor RGB (photometric interpretation {page.photometric})": (
            page.photometric not in (*_GREYS, _RGB, _PALETTE, *([_YCBCR] if is_jpeg else []))
        ),
        f"has values of {page.bits} bits (sample format {page.sample_format})": not _fits(page),
        f"has {page.samples} values of {page.bits} bits a pixel": page.samples not in samples,
        f"has a predictor that is not read (number {page.predictor})": (
            page.predictor != 1 and not _has_differences(page)
        ),
        "has a palette that does not fit": indexed and len(page.palette) != 3 << page.bits,
        "holds JPEG of a rare kind": (
            is_jpeg and (page.bits, page.separate, page.samples) != (8, False, samples.start)
        ),
    }


def _fits(page: Page) -> bool:
    """Whether values of this depth are read for pixels of this meaning."""
    if page.photometric in _COLOURS:
        return page.sample_format == UNSIGNED and page.bits in (8, 16)
    if page.photometric == _PALETTE or page.compression == JPEG:
        return page.sample_format == UNSIGNED and page.bits in (1, 2, 4, 8)
    return (page.sample_format, page.bits) in DTYPES


def _has_differences(page: Page) -> bool:
    whole_numbers = page.sample_format != FLOAT and page.bits >= 8
    return page.predictor == 2 and whole_numbers and page.compression != JPEG


def _palette(page: Page) -> NDArray[np.uint8]:
    """Return the colours of a palette: (number, 3)."""
    levels = np.array(page.palette, np.uint16).reshape(3, -1).T
    # Some programs write 8-bit colours where the specification has 16 bits.
    return (levels >> (8 if levels.max() > 255 else 0)).astype(np.uint8)


def _grey(page: Page, values: Values) -> NDArray[np.uint8]:
    negative = page.photometric == _WHITE_IS_ZERO
    if page.sample_format != UNSIGNED or page.bits > 16:
        # Turned before the window is taken, so that air is the lowest value, and NaN stays black.
        measured = -values.astype(np.float64) if negative else values
        return to_grey(measured, *percentile_window(measured))
    if page.bits < 8:
        values = values * np.uint8(255 // ((1 << page.bits) - 1))
    levels = to_8_bits(values)
    return 255 - levels if negative else levels

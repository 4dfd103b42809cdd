"""The second look at two pictures: laid over each other, is it the same picture in its details too?

Neighbouring slices of one head have the same outline and other details, so what is compared is what lies
between two blurs: the weaker takes out what storing and resizing change, the stronger keeps the outline out.
A copy that was cropped or resized is moved, stretched and sheared over the other first (Evangelidis and
Psarakis, "Parametric image alignment using enhanced correlation coefficient maximization", 2008).
"""

import math
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from mri_tumor.dataset.copies.turns import Fractions

SIDE = 96
"""Height and width in pixels at which details are compared."""

CORRELATION = 0.95
"""Copies that lie over each other correlate at least this much."""

DETAIL = 0.98
"""Details of copies correlate at least this much, those of neighbouring slices less."""

_COARSE = 32
_COARSE_STEPS, _FINE_STEPS = 8, 10
# Below this correlation at the coarse size it is another picture, and no closer look is needed.
_HOPELESS = 0.92
# Height and width in pixels of the blur that keeps noise from leading the way.
_NOISE = 3
# The weaker blur in pixels; the stronger one is of about 4, made at a quarter of the size, which is faster.
_WEAK = 1.0
_QUARTER, _QUARTER_BLUR = SIDE // 4, 0.7
# The part of the pictures that must lie over each other.
_OVERLAP = 0.6

Grey = NDArray[np.uint8]
Shift = NDArray[np.float32]
"""`(2, 3)`: from a place (x, y, 1) of one picture to that of the other, in pixels."""


class Aligned(NamedTuple):
    """How alike two pictures are where they lie over each other.

    Args:
        correlation: Pearson's, of the pictures.
        detail: Pearson's, of what lies between a blur of 1 and one of 4 pixels.
    """

    correlation: float
    detail: float

    @property
    def same(self) -> bool:
        """It is the same picture."""
        return self.correlation >= CORRELATION and self.detail >= DETAIL


UNLIKE = Aligned(0.0, 0.0)


def lay_over(first: Grey, second: Grey, start: Shift) -> Shift | None:
    """Return how a picture lies on another, found coarsely and then finely; None if it does not.

    Args:
        first: uint8 `(96, 96)`.
        second: likewise.
        start: about where the first's places lie in the second.
    """
    small = [cv2.resize(image, (_COARSE, _COARSE), interpolation=cv2.INTER_AREA) for image in (first, second)]
    alike, shift = _moved(small[0], small[1], _scaled(start, _COARSE / SIDE), steps=_COARSE_STEPS)
    if alike < _HOPELESS:
        return None
    return _moved(first, second, _scaled(shift, SIDE / _COARSE), steps=_FINE_STEPS)[1]


def compare(first: Grey, second: Grey, shift: Shift) -> Aligned:
    """Return how alike two pictures are where they lie over each other.

    Args:
        first: uint8 `(96, 96)`.
        second: likewise.
        shift: where the first's places lie in the second.
    """
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    one = first.astype(np.float32)
    laid = cv2.warpAffine(second.astype(np.float32), shift, (SIDE, SIDE), flags=flags, borderValue=-1e6)
    inside = laid >= 0
    shown = np.count_nonzero(inside)
    if shown < _OVERLAP * inside.size:
        return UNLIKE
    where: slice | NDArray[np.bool_] = slice(None)
    if shown < inside.size:
        laid, where = np.where(inside, laid, one), inside
    correlation = _correlation(one[where], laid[where])
    if correlation < CORRELATION:
        return UNLIKE
    return Aligned(correlation, _correlation(_details(one)[where], _details(laid)[where]))


def box_to_box(first: Fractions, second: Fractions) -> Shift:
    """Return where the places of one box's picture lie in another's, if both are cut from one picture."""
    columns = _line(first[2:], second[2:])
    rows = _line(first[:2], second[:2])
    return np.array([[columns[0], 0, columns[1]], [0, rows[0], rows[1]]], np.float32)


def _line(first: tuple[float, float], second: tuple[float, float]) -> tuple[float, float]:
    factor = (first[1] - first[0]) / (second[1] - second[0])
    offset = (first[0] - second[0]) / (second[1] - second[0]) * SIDE
    # Pixels are counted from their centres.
    return factor, offset + (factor - 1) / 2


def _scaled(shift: Shift, factor: float) -> Shift:
    result = shift.copy()
    result[:, 2] = factor * shift[:, 2] + (factor - 1) / 2 * (1 - shift[:, :2].sum(axis=1))
    return result


def _moved(first: Grey, second: Grey, start: Shift, *, steps: int) -> tuple[float, Shift]:
    """Return the correlation that aligning reaches, and the shift; 0 and the start where it goes astray."""
    stop = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, steps, 1e-3)
    one, other = first.astype(np.float32), second.astype(np.float32)
    try:
        alike, shift = cv2.findTransformECC(one, other, start.copy(), cv2.MOTION_AFFINE, stop, None, _NOISE)
    except cv2.error:
        return 0.0, start
    return float(alike), np.asarray(shift, np.float32)


def _details(image: NDArray[np.float32]) -> NDArray[np.float32]:
    weak = cv2.GaussianBlur(image, (0, 0), _WEAK)
    small = cv2.resize(image, (_QUARTER, _QUARTER), interpolation=cv2.INTER_AREA)
    strong = cv2.resize(cv2.GaussianBlur(small, (0, 0), _QUARTER_BLUR), (SIDE, SIDE))
    return np.asarray(cv2.subtract(weak, strong), np.float32)


def _correlation(first: NDArray[np.float32], second: NDArray[np.float32]) -> float:
    # einsum, because how BLAS sums up follows the number of threads.
    one, other = (image - np.einsum("n->", image) / len(image) for image in (first.ravel(), second.ravel()))
    squares = float(np.einsum("n,n->", one, one)) * float(np.einsum("n,n->", other, other))
    return float(np.einsum("n,n->", one, other)) / math.sqrt(squares) if squares > 0 else 0.0

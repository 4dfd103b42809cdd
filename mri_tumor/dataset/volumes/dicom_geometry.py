"""Where the slices of a DICOM series lie, and in which order they follow each other."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from mri_tumor.dataset.formats.dicom.header import numbers, whole_number
from mri_tumor.errors import ReadError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

logger = logging.getLogger(__name__)

# Slices nearer than this lie at one place, in mm.
_SAME_PLACE = 0.01
# Direction cosines that differ by more than this are no longer one stack.
_SAME_DIRECTION = 0.01
# A step of more than so many usual ones is a gap.
_GAP = 1.5


@dataclass(frozen=True)
class Place:
    """Where one slice lies, as far as the file says it.

    Args:
        position: of the first pixel, in mm in DICOM's patient axes.
        directions: unit vectors along a row and along a column.
        spacing: from row to row and from column to column, in mm.
        number: its place in the series by the scanner's count.
    """

    position: tuple[float, ...] | None
    directions: tuple[float, ...] | None
    spacing: tuple[float, ...] | None
    number: int | None


@dataclass(frozen=True)
class Stack:
    """Slices in order.

    Args:
        order: which slice comes first, second, ...
        positions: of each in that order, in mm along the normal; None where the files do not say it.
        directions: where slices, rows and columns point, `(3, 3)`; None likewise.
        spacing: from row to row and from column to column, in mm; None likewise.
        gaps: how many steps are longer than usual.
    """

    order: tuple[int, ...]
    positions: tuple[float, ...] | None = None
    directions: NDArray[np.float64] | None = None
    spacing: tuple[float, ...] | None = None
    gaps: int = 0


def place_of(places: Sequence["Dataset"]) -> Place:
    """Read where a slice lies.

    Args:
        places: the parts of the file that may say it, the most special one first. Used inside `guarded`.
    """
    count = (whole_number(place, "InstanceNumber") for place in places)
    return Place(
        _first(places, "ImagePositionPatient", 3),
        _first(places, "ImageOrientationPatient", 6),
        _first(places, "PixelSpacing", 2),
        next((value for value in count if value is not None), None),
    )


def stacked(slices: Sequence[Place], name: str, *, one_file: bool) -> Stack:
    """Put slices in order: by their position along the normal, else by their number.

    Args:
        slices: of one series.
        name: what errors call it.
        one_file: whether they are frames of one file, whose order counts where it says nothing else.

    Raises:
        ReadError: they are not parallel, two lie at one place, or nothing tells their order.
    """
    if all(place.position and place.directions for place in slices):
        return _by_position(slices, name)
    if one_file:
        return Stack(tuple(range(len(slices))))
    return _by_number(slices, name)


def _by_position(slices: Sequence[Place], name: str) -> Stack:
    directions = np.array([place.directions for place in slices])
    if np.abs(directions - directions[0]).max() > _SAME_DIRECTION:
        raise _no_stack(name, "the slices are not parallel")
    row, column = directions[0, :3], directions[0, 3:]
    normal = np.cross(row, column)
    length = np.linalg.norm(normal)
    if not 0.5 < length < 2:
        raise _no_stack(name, "the directions of rows and columns make no plane")
    along = np.array([place.position for place in slices]) @ (normal / length)
    order = np.argsort(along, kind="stable")
    steps = np.diff(along[order])
    if doubled := int((steps < _SAME_PLACE).sum()):
        raise _no_stack(name, f"{doubled} of {len(slices)} slices lie where another one lies")
    gaps = int((steps > _GAP * np.median(steps)).sum()) if len(steps) else 0
    if gaps:
        logger.warning("%s: %d gaps among %d slices: some may be missing", name, gaps, len(slices))
    return Stack(
        tuple(order.tolist()),
        tuple(along[order].tolist()),
        np.array([normal / length, column, row]),
        slices[0].spacing,
        gaps,
    )


def _by_number(slices: Sequence[Place], name: str) -> Stack:
    found = [place.number for place in slices]
    if None in found or len(set(found)) < len(found):
        raise _no_stack(name, "neither positions nor instance numbers tell the order of the slices")
    order = sorted(range(len(found)), key=lambda index: found[index] or 0)
    first, last = found[order[0]] or 0, found[order[-1]] or 0
    gaps = last - first + 1 - len(found)
    if gaps:
        logger.warning("%s: of the numbers %d to %d %d are missing", name, first, last, gaps)
    return Stack(tuple(order), gaps=gaps)


def _no_stack(name: str, what: str) -> ReadError:
    return ReadError(
        f"{name}: {what}",
        "one stack of parallel slices, each at a place of its own",
        "keep one time point, echo and direction, in a folder of its own",
    )


def _first(places: Sequence["Dataset"], keyword: str, count: int) -> tuple[float, ...] | None:
    found = (numbers(place, keyword) for place in places)
    return next((values for values in found if len(values) == count), None)

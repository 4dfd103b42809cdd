"""From a DICOM file's stored values to grey: rescale, window or table, percentiles where it names neither."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mri_tumor.dataset.formats.dicom.header import number, text, values
from mri_tumor.dataset.formats.dicom.pixels import Stored
from mri_tumor.dataset.formats.intensity import percentile_window, to_grey
from mri_tumor.errors import ReadError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

Grey = NDArray[np.uint8]
Measured = NDArray[np.float32]

_MOST_ENTRIES = 1 << 16  # written as 0
_FUNCTIONS = ("LINEAR", "LINEAR_EXACT", "SIGMOID")


@dataclass(frozen=True)
class Window:
    """A window of values that is spread over the grey levels (DICOM PS3.3, C.11.2.1.2).

    Args:
        centre: its middle.
        width: from black to white; above 0, and from 1 for LINEAR.
        function: `"LINEAR"`, `"LINEAR_EXACT"` or `"SIGMOID"`.

    >>> Window(128, 256, "LINEAR").grey(np.array([-5, 0, 51, 255], np.float32))
    array([  0,   0,  51, 255], dtype=uint8)
    """

    centre: float
    width: float
    function: str = "LINEAR"

    def grey(self, measured: Measured) -> Grey:
        """Return grey levels; NaN becomes 0."""
        if self.function == "SIGMOID":
            # 1 / (1 + exp(-4 x)) without overflow.
            shares = (1 + np.tanh(2 * (measured.astype(np.float64) - self.centre) / self.width)) / 2
            return to_grey(shares, 0.0, 1.0)
        less = self.function == "LINEAR"
        middle, half = self.centre - 0.5 * less, (self.width - less) / 2
        if not half:
            return np.where(measured > middle, 255, 0).astype(np.uint8)
        return to_grey(measured, middle - half, middle + half)


@dataclass(frozen=True)
class Table:
    """A table of values (DICOM PS3.3, C.11.1.1.1 and C.11.2.1.1).

    Args:
        first: the value that the first entry stands for; what lies below takes it too.
        entries: what becomes of each value; what lies above takes the last.
        highest: the entry that means white.
    """

    first: int
    entries: tuple[int, ...]
    highest: int

    def apply(self, measured: NDArray[np.floating]) -> Measured:
        """Return the entries of the values, float32; NaN stays NaN."""
        places = np.clip(np.rint(measured - self.first), 0, len(self.entries) - 1)
        found = np.asarray(self.entries, np.float32)[np.nan_to_num(places).astype(np.int64)]
        return np.where(np.isnan(measured), np.float32(np.nan), found)

    def grey(self, measured: Measured) -> Grey:
        """Return grey levels; NaN becomes 0."""
        return to_grey(self.apply(measured), 0.0, self.highest)


Shown: TypeAlias = Window | Table | None
"""How a file wants its values shown; None if it does not say."""


@dataclass(frozen=True)
class Rescale:
    """What a stored value measures: `slope * stored + intercept`, or a table's entry.

    Args:
        slope: not 0.
        intercept: the value of a stored 0.
        table: taken instead of both, where there is one.
    """

    slope: float = 1.0
    intercept: float = 0.0
    table: Table | None = None

    def apply(self, stored: Stored, padding: NDArray[np.bool_] | None = None) -> Measured:
        """Return the measured values, float32; NaN where padding is true."""
        with np.errstate(all="ignore"):  # a damaged slope may lead beyond float32
            exact = np.asarray(stored, np.float64)
            measured = (
                self.table.apply(exact)
                if self.table
                else (exact * self.slope + self.intercept).astype(np.float32)
            )
        if padding is not None:
            measured[padding] = np.nan
        return measured


class Tables:
    """The tables of one file, each built once, however many of its frames share it."""

    def __init__(self) -> None:
        self._built: dict[tuple[int, str], Table | None] = {}

    def of(self, place: "Dataset", keyword: str) -> Table | None:
        """Return the table that a part of the file has, if any; the caller holds the file."""
        key = id(place), keyword
        if key not in self._built:
            self._built[key] = _table(place, keyword)
        return self._built[key]


def rescale_of(places: Sequence["Dataset"], name: str, tables: Tables) -> Rescale:
    """Return how stored values are rescaled.

    Args:
        places: the parts of the file that may say it, the most special one first. Used inside `guarded`.
        name: what errors call the file.
        tables: those of the file.

    Raises:
        ReadError: the slope is 0.
    """
    for place in places:
        if table := tables.of(place, "ModalityLUTSequence"):
            return Rescale(table=table)
        slope, intercept = number(place, "RescaleSlope"), number(place, "RescaleIntercept")
        if slope is not None or intercept is not None:
            if slope == 0:
                raise ReadError(f"{name}: the rescale slope is 0", "another number", "export the file again")
            return Rescale(1.0 if slope is None else slope, intercept or 0.0)
    return Rescale()


def shown_by(places: Sequence["Dataset"], tables: Tables) -> Shown:
    """Return the first table or window that makes sense, or None.

    Args:
        places: the parts of the file that may say it, the most special one first. Used inside `guarded`.
        tables: those of the file.
    """
    for place in places:
        if shown := tables.of(place, "VOILUTSequence") or _window(place):
            return shown
    return None


def grey_of(measured: Measured, shown: Shown, *, inverted: bool) -> Grey:
    """Return the grey levels of slices that are shown alike; where a value is NaN, black.

    Args:
        measured: rescaled values, float32 `(N, H, W)`.
        shown: the window or table; None takes the percentiles of `percentile_window`, over all slices.
        inverted: whether the lowest value is white (MONOCHROME1).

    Returns:
        uint8 `(N, H, W)`.
    """
    if shown is None:
        if inverted:
            measured = -measured
        black, white = percentile_window(measured)
        return np.stack([to_grey(part, black, white) for part in measured])
    levels = np.stack([shown.grey(part) for part in measured])
    return np.where(np.isnan(measured), np.uint8(0), 255 - levels) if inverted else levels


def _window(place: "Dataset") -> Window | None:
    centre, width = number(place, "WindowCenter"), number(place, "WindowWidth")
    function = text(place, "VOILUTFunction").upper() or "LINEAR"
    if centre is None or width is None or function not in _FUNCTIONS:
        return None
    enough = width >= 1 if function == "LINEAR" else width > 0
    return Window(centre, width, function) if enough else None


def _table(place: "Dataset", keyword: str) -> Table | None:
    for item in values(place, keyword):
        descriptor = [int(value) for value in values(item, "LUTDescriptor")]
        entries = _entries(item, descriptor[0] or _MOST_ENTRIES) if len(descriptor) == 3 else ()
        if entries:
            return Table(descriptor[1], entries, (1 << min(descriptor[2], 16)) - 1 or 1)
    return None


def _entries(item: "Dataset", count: int) -> tuple[int, ...]:
    """Return a table's entries, or none if they are not as many as it says."""
    found = values(item, "LUTData")
    if len(found) == 1 and isinstance(found[0], bytes):
        little = item.original_encoding[1] is not False
        width = 1 if len(found[0]) < 2 * count else 2
        found = np.frombuffer(found[0][: width * count], f"{'<' if little else '>'}u{width}").tolist()
    return tuple(int(entry) for entry in found[:count]) if len(found) >= count else ()

"""DICOM: one file, one grey picture, with its size known from the header before anything is decoded."""

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mri_tumor.dataset.formats.dicom.file import guarded, matches, parsed
from mri_tumor.dataset.formats.dicom.frames import places_of
from mri_tumor.dataset.formats.dicom.header import Header, check_wanted, header_of
from mri_tumor.dataset.formats.dicom.pixels import padding_of, stored_frames
from mri_tumor.dataset.formats.dicom.window import Tables, grey_of, rescale_of, shown_by
from mri_tumor.errors import ReadError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

__all__ = ["check", "decode", "matches", "parse", "size_of"]


class Parsed(NamedTuple):
    """A file whose elements were read, its pixels not yet decoded."""

    dataset: "Dataset"
    header: Header


def parse(data: bytes, name: str) -> Parsed:
    """Return what the other functions take.

    Raises:
        ReadError: the file is damaged.
        MissingExtra: pydicom is not installed.
    """
    dataset = parsed(data, name)
    return Parsed(dataset, header_of(dataset, name))


def check(file: Parsed, name: str, modality: str | None, burned_in: bool) -> None:
    """Refuse what is no grey slice of the modality asked for; the arguments are those of `check_wanted`.

    Raises:
        ReadError: it is not wanted.
    """
    check_wanted(file.header, name, modality, burned_in)


def size_of(file: Parsed, name: str) -> tuple[int, int]:
    """Return (height, width) from the header.

    Raises:
        ReadError: the header says that there are several frames.
    """
    _check_single(file.header, name)
    return file.header.rows, file.header.columns


def decode(file: Parsed, name: str) -> NDArray[np.uint8]:
    """Return uint8 (H, W): rescaled, windowed as the file says, else by percentiles; padding black.

    Raises:
        ReadError: the pixels are damaged, cut off, or coded in a way that is not read.
    """
    dataset, header = file
    _check_single(header, name)
    stored = next(stored_frames(dataset, header, name))
    with guarded(name):
        places, tables = places_of(dataset, 0), Tables()
        rescale, shown = rescale_of(places, name, tables), shown_by(places, tables)
    measured = rescale.apply(stored, padding_of(stored, header))
    levels = grey_of(measured[None], shown, inverted=header.inverted)
    return np.asarray(levels[0], np.uint8)


def _check_single(header: Header, name: str) -> None:
    if header.frames != 1:
        raise ReadError(
            f"{name}: this DICOM file holds {header.frames:,} frames",
            "one picture a file",
            "read them with dataset.read_slices(), whose to_png() writes one picture a frame",
        )

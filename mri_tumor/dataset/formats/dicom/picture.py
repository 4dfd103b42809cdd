"""DICOM: one file, one grey picture, with its size known from the header before anything is decoded."""

import numpy as np
from numpy.typing import NDArray

from mri_tumor.dataset.formats.dicom.file import guarded, matches, parsed
from mri_tumor.dataset.formats.dicom.frames import places_of
from mri_tumor.dataset.formats.dicom.header import Header, check_wanted, header_of
from mri_tumor.dataset.formats.dicom.pixels import padding_of, stored_frames
from mri_tumor.dataset.formats.dicom.window import grey_of, rescale_of, shown_by
from mri_tumor.errors import ReadError

__all__ = ["check", "decode", "matches", "size_of"]


def check(data: bytes, name: str, modality: str | None, burned_in: bool) -> None:
    """Refuse what is no grey slice of the modality asked for; the arguments are those of `check_wanted`.

    Raises:
        ReadError: it is not wanted, or damaged.
        MissingExtra: pydicom is not installed.
    """
    check_wanted(header_of(parsed(data, name), name), name, modality, burned_in)


def size_of(data: bytes, name: str) -> tuple[int, int]:
    """Return (height, width) from the header.

    Raises:
        ReadError: the header is damaged, or says that there are several frames.
    """
    header = header_of(parsed(data, name), name)
    _check_single(header, name)
    return header.rows, header.columns


def decode(data: bytes, name: str) -> NDArray[np.uint8]:
    """Return uint8 (H, W): rescaled, windowed as the file says, else by percentiles; padding black.

    Raises:
        ReadError: the pixels are damaged, cut off, or coded in a way that is not read.
    """
    dataset = parsed(data, name)
    header = header_of(dataset, name)
    _check_single(header, name)
    stored = next(stored_frames(dataset, header, name))
    with guarded(name):
        places = places_of(dataset, 0)
        rescale, shown = rescale_of(places, name), shown_by(places)
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

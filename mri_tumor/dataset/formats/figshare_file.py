"""One file of figshare's brain tumour set (Cheng et al. 2015, doi 10.6084/m9.figshare.1512427).

MATLAB v7.3 with a struct `cjdata`: `image` (int16), `label` (1 meningioma, 2 glioma, 3 pituitary), `PID` (the
patient, as character codes), `tumorMask` and `tumorBorder` (x, y, x, y, ... from 1).
"""

import numpy as np
from numpy.typing import NDArray

from mri_tumor.dataset.formats import mat
from mri_tumor.dataset.formats.hdf5 import damaged
from mri_tumor.dataset.formats.intensity import to_grey, whole_range
from mri_tumor.errors import ReadError

LABELS = {1: "meningioma", 2: "glioma", 3: "pituitary"}
"""The set's number of a class -> its name here."""

_IMAGE, _LABEL, _PATIENT = "cjdata/image", "cjdata/label", "cjdata/PID"
_MASK, _BORDER = "cjdata/tumorMask", "cjdata/tumorBorder"
_MOST_LETTERS, _MOST_CORNERS = 64, 100_000


def size_of(data: bytes, name: str) -> tuple[int, int]:
    """Return (height, width) of the slice.

    Raises:
        ReadError: the file is damaged or holds no slice of this set.
    """
    return _size(data, _IMAGE, name)


def decode(data: bytes, name: str) -> NDArray[np.uint8]:
    """Return the slice as uint8 (H, W), its lowest value black and its highest white.

    So the set's 8-bit copies that go round are made: a window would clip the enhancing rim of a tumour.

    Raises:
        ReadError: as in `size_of`, or pixels are missing.
    """
    height, width = size_of(data, name)
    values = mat.numbers_of(data, _IMAGE, name, most=height * width)
    return to_grey(values, *whole_range(values))


def label_of(data: bytes, name: str) -> str:
    """Return the class.

    Raises:
        ReadError: the file is damaged, or the number means no class.
    """
    label = LABELS.get(_whole_numbers(data, _LABEL, name, 1)[0])
    if label is None:
        raise ReadError(f"{name}: cjdata.label means no class", "1, 2 or 3", "leave the file out")
    return label


def patient_of(data: bytes, name: str) -> str:
    """Return the patient's id.

    Raises:
        ReadError: the file is damaged, or the id is no text.
    """
    text = "".join(map(chr, _whole_numbers(data, _PATIENT, name, _MOST_LETTERS))).strip()
    if not text or not text.isprintable():
        raise ReadError(f"{name}: cjdata.PID is no text", "the patient's id", "leave the file out")
    return text


def mask_of(data: bytes, name: str, max_pixels: int) -> NDArray[np.bool_]:
    """Return which pixels are tumour: bool (H, W), of the size of the slice.

    Raises:
        ReadError: the file is damaged, the mask has another size than the slice, or is empty.
    """
    height, width = size_of(data, name)
    if (height, width) != _size(data, _MASK, name):
        raise damaged(name, "has a tumour mask of another size than its picture")
    mask = mat.numbers_of(data, _MASK, name, most=max_pixels).astype(np.bool_)
    if not mask.any():
        raise damaged(name, "has an empty tumour mask")
    return mask


def border_of(data: bytes, name: str) -> NDArray[np.float64]:
    """Return the corners of the outline: float64 (N, 2), x and y in pixels from the first pixel's centre.

    Raises:
        ReadError: the file is damaged, or these are no corners.
    """
    numbers = mat.numbers_of(data, _BORDER, name, most=2 * _MOST_CORNERS).astype(np.float64).ravel()
    if numbers.size < 6 or numbers.size % 2 or not np.isfinite(numbers).all():
        raise damaged(name, "has an outline that is no polygon")
    return numbers.reshape(-1, 2) - 1  # MATLAB counts from 1


def _size(data: bytes, field: str, name: str) -> tuple[int, int]:
    shape = mat.shape_of(data, field, name)
    if len(shape) != 2:
        raise ReadError(f"{name}: {field} has {len(shape)} axes", "2 axes", "leave the file out")
    return shape[0], shape[1]


def _whole_numbers(data: bytes, field: str, name: str, most: int) -> list[int]:
    numbers = mat.numbers_of(data, field, name, most=most).ravel().astype(np.float64)
    if not numbers.size or not ((numbers == np.rint(numbers)) & (numbers >= 0) & (numbers < 0x110000)).all():
        raise damaged(name, f"has no whole numbers in {field}")
    return [int(number) for number in numbers]

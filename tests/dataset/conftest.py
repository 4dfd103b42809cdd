"""DICOM files for tests, written by pydicom."""

from collections.abc import Callable
from io import BytesIO
from typing import Any

import numpy as np
import pytest

from mri_tumor.dataset.reader import read_image
from mri_tumor.errors import ReadError

PATIENT, PATIENT_ID = "Roentgen^Wilhelmine", "WR-18950212"


def dicom_bytes(
    pixels: np.ndarray | None = None,
    *,
    syntax: str = "ExplicitVRLittleEndian",
    coded: bool | list[bytes] = False,
    preamble: bool = True,
    **tags: Any,
) -> bytes:
    """Return a DICOM file.

    Args:
        pixels: integers `(H, W)` or `(N, H, W)`; None leaves the pixels out.
        syntax: pydicom's name of the transfer syntax.
        coded: True codes the pixels by that syntax; a list holds coded frames as they are.
        preamble: whether the file begins as files should.
        tags: element keyword -> value, None leaves the element out; a dict or a list of dicts is a sequence.
    """
    import pydicom
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.encaps import encapsulate

    file = Dataset()
    file.file_meta = FileMetaDataset()
    uid = getattr(pydicom.uid, syntax)
    file.file_meta.TransferSyntaxUID = uid
    file.file_meta.MediaStorageSOPClassUID = file.SOPClassUID = pydicom.uid.MRImageStorage
    file.file_meta.MediaStorageSOPInstanceUID = file.SOPInstanceUID = "1.2.3.4"
    file.PatientName, file.PatientID = PATIENT, PATIENT_ID
    file.StudyInstanceUID, file.SeriesInstanceUID = "1.2.3.5", "1.2.3.6"
    file.Modality, file.ImageType = "MR", ["ORIGINAL", "PRIMARY"]
    little = uid != pydicom.uid.ExplicitVRBigEndian
    if pixels is not None:
        _put_pixels(file, pixels, little)
    for keyword, value in tags.items():
        _put(file, keyword, value)
    if coded is True:
        file.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        file.compress(uid, generate_instance_uid=False)
    elif coded:
        file.PixelData = encapsulate(coded)
        file["PixelData"].is_undefined_length = True
    stream = BytesIO()
    if preamble:
        pydicom.dcmwrite(stream, file, enforce_file_format=True)
    else:
        del file.file_meta
        pydicom.dcmwrite(stream, file, implicit_vr=uid.is_implicit_VR, little_endian=little)
    return stream.getvalue()


def _put_pixels(file: Any, pixels: np.ndarray, little: bool) -> None:
    bits = pixels.dtype.itemsize * 8
    file.Rows, file.Columns = pixels.shape[-2:]
    if pixels.ndim == 3:
        file.NumberOfFrames = len(pixels)
    file.SamplesPerPixel, file.PhotometricInterpretation = 1, "MONOCHROME2"
    file.BitsAllocated, file.BitsStored, file.HighBit = bits, bits, bits - 1
    file.PixelRepresentation = int(pixels.dtype.kind == "i")
    ordered = pixels.astype(pixels.dtype.newbyteorder("<" if little else ">")).tobytes()
    file.add_new("PixelData", "OB" if bits == 8 else "OW", ordered + b"\x00" * (len(ordered) % 2))


def _put(file: Any, keyword: str, value: Any) -> None:
    from pydicom.dataset import Dataset

    if value is None:
        if keyword in file:
            del file[keyword]
    elif isinstance(value, dict):
        _put(file, keyword, [value])
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        items = []
        for entry in value:
            items.append(Dataset())
            for name, inner in entry.items():
                _put(items[-1], name, inner)
        setattr(file, keyword, items)
    else:
        setattr(file, keyword, value)


@pytest.fixture(scope="session")
def make_dicom() -> Callable[..., bytes]:
    """Return `dicom_bytes`; a test that asks for it is skipped without pydicom."""
    pytest.importorskip("pydicom")
    return dicom_bytes


@pytest.fixture(scope="session")
def picture_or_refusal() -> Callable[[bytes], np.ndarray | None]:
    """Return a function of a file's bytes: the picture, None if it is refused; all else fails the test."""

    def read(data: bytes) -> np.ndarray | None:
        try:
            image = read_image(data, max_pixels=1_000_000)
        except ReadError:
            return None
        assert image.dtype == np.uint8
        assert image.ndim == 2
        assert image.size > 0
        return image

    return read

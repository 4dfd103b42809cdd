"""DICOM through pydicom: one file, one grey picture. A series of them is read in `dataset.volumes`."""

from mri_tumor.dataset.formats.dicom.picture import check, decode, matches, parse, size_of

__all__ = ["check", "decode", "matches", "parse", "size_of"]

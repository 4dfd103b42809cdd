"""DICOM through pydicom: one file, one grey picture; several, one series."""

from mri_tumor.dataset.formats.dicom.picture import check, decode, matches, size_of

__all__ = ["check", "decode", "matches", "size_of"]

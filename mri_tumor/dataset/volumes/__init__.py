"""Slices of a volume, in order: a DICOM series, a NIfTI file."""

"""Slices of a volume, as arrays and as pictures: a DICOM series, a multi-frame file, a NIfTI file."""

import hashlib
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mri_tumor.dataset.formats.nifti_header import is_nifti
from mri_tumor.dataset.patients import PUBLIC_SALT, check_salt, group_hash
from mri_tumor.dataset.reader import (
    MAX_BYTES,
    MAX_PIXELS,
    check_limit,
    check_modality,
    load_bytes,
    opening,
    shown_name,
)
from mri_tumor.dataset.volumes.axes import Axis, check_axis
from mri_tumor.dataset.volumes.dicom_series import Limits, is_dicom, read_series
from mri_tumor.errors import ArgumentError, ReadError
from mri_tumor.files import sha256_of, whole_file

logger = logging.getLogger(__name__)

_NAME = re.compile(r"[A-Za-z0-9_]+")
_SHORT = 8


@dataclass(frozen=True, eq=False)
class Slices:
    """Slices of one volume, in order.

    Args:
        images: uint8 `(N, H, W)`, 0-255, black to white; one window for all of them.
        numbers: each slice's place in the volume, from 0.
        positions: in mm along the slices' axis, where only differences mean something; empty if unknown.
        group: what stands for the patient, and must stay on one side of a split.
        name: what tells this series from others of the patient.

    >>> slices = Slices(np.zeros((5, 2, 3), np.uint8), tuple(range(5)), (), "p1", "t1")
    >>> slices[1:3].numbers
    (1, 2)
    """

    images: NDArray[np.uint8]
    numbers: tuple[int, ...]
    positions: tuple[float, ...]
    group: str
    name: str

    def __len__(self) -> int:
        return len(self.images)

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        return iter(self.images)

    def __getitem__(self, part: slice) -> "Slices":
        if not isinstance(part, slice):
            raise ArgumentError(
                f"the index is {part!r}", "a slice", "use [5:9], or .images[5] for one picture"
            )
        return replace(
            self, images=self.images[part], numbers=self.numbers[part], positions=self.positions[part]
        )

    def __repr__(self) -> str:
        height, width = self.images.shape[1:]
        return f"<Slices {self.group}-{self.name}: {len(self)} of {width} x {height}>"

    def to_png(self, directory: str | Path) -> list[Path]:
        """Write each slice as `<group>-<name>-<number>.png`, and return the paths.

        The files hold pixels and nothing else. Each appears whole or not at all; a file of the same name is
        replaced. In class folders they are what `scan` reads, and the pattern `([^-/]+)-[^/]*$` gives it the
        groups.

        Args:
            directory: made if it is not there.

        Returns:
            The paths, in the order of the slices.

        Raises:
            OSError: the folder cannot be made or written to.

        >>> import tempfile
        >>> slices = Slices(np.zeros((5, 2, 3), np.uint8), tuple(range(5)), (), "p1", "t1")
        >>> [path.name for path in slices[1:3].to_png(tempfile.mkdtemp())]
        ['p1-t1-0001.png', 'p1-t1-0002.png']
        """
        paths = [Path(directory) / f"{self.group}-{self.name}-{number:04d}.png" for number in self.numbers]
        for path, image in zip(paths, self.images, strict=True):
            encoded = cv2.imencode(".png", image)[1].tobytes()
            with whole_file(path) as partial:
                partial.write_bytes(encoded)
        return paths


def read_slices(
    source: str | Path,
    *,
    axis: Axis | None = None,
    volume: int | None = None,
    group: str | None = None,
    salt: str = PUBLIC_SALT,
    max_pixels: int = MAX_PIXELS,
    max_bytes: int = MAX_BYTES,
    modality: str | None = "MR",
    burned_in: bool = False,
) -> Slices:
    """Read the slices of a volume, in order and with one window for all of them.

    A DICOM series is ordered by position along the normal of its slices, else by instance number. Its window
    is the one that all files share; where there is none, or they differ, the percentiles of all slices are
    taken (`formats.intensity.percentile_window`).

    Args:
        source: a folder that holds one DICOM series (other files are left aside, folders inside are not
            looked into), a DICOM file of one or more frames, or a NIfTI file (`.nii`, `.nii.gz`).
        axis: `"axial"`, `"coronal"` or `"sagittal"`, shown as radiologists look at it. None takes DICOM as it
            was scanned, and NIfTI axial. Nothing is resampled: thick slices seen from the side look squashed.
        volume: which one, from 0, of a NIfTI file with several; not for DICOM.
        group: letters, digits and `_`; None hashes the patient's id, else the study, else the file's bytes.
        salt: what makes that hash another one in each project; pass a secret one before you pass files on.
        max_pixels: the greatest number of pixels of all slices, known before one is decoded.
        max_bytes: the greatest length of each file.
        modality: the only modality of DICOM files that is taken; None takes all.
        burned_in: whether DICOM files are taken that say that text is burned into their picture.

    Returns:
        The slices, who they are of as a group, and where they lie.

    Raises:
        ReadError: a file cannot be opened, is damaged, too large or not wanted; the folder holds several
            series, none, or slices of several sizes, directions or time points. A gap is only logged.
        ArgumentError: an argument is of the wrong type or value.
        MissingExtra: what reads such files is not installed.

    >>> from pydicom.data import get_testdata_file
    >>> slices = read_slices(get_testdata_file("MR_small.dcm"), group="p1")
    >>> slices.images.shape, slices.group
    ((1, 64, 64), 'p1')
    """
    check_axis(axis)
    check_limit("max_pixels", max_pixels)
    check_limit("max_bytes", max_bytes)
    check_modality(modality)
    check_salt(salt)
    if group is not None and not (isinstance(group, str) and _NAME.fullmatch(group)):
        raise ArgumentError(f"group is {group!r}", "letters, digits and _", "leave it out, or change it")
    path, is_folder = _checked(source)
    if is_folder or is_dicom(path):
        if volume is not None:
            found = f"volume is {volume!r}, but {shown_name(path)} is DICOM"
            raise ArgumentError(found, "None: only NIfTI files have several volumes", "leave volume out")
        return _dicom(path, axis, group, salt, Limits(max_pixels, max_bytes, modality, burned_in))
    return _nifti(path, axis or "axial", volume, group, salt, max_pixels, max_bytes)


def _checked(source: str | Path) -> tuple[Path, bool]:
    """Return the path, and whether it is a folder."""
    if not isinstance(source, str | Path):
        found = f"source is of type {type(source).__name__}"
        raise ArgumentError(found, "the path of a folder or file", "pass str or Path")
    path, name = Path(source), shown_name(source)
    with opening(name):
        if not path.exists():
            raise ReadError(f"{name}: it is not there", "a folder or a file", "check the path")
        return path, path.is_dir()


def _dicom(path: Path, axis: Axis | None, group: str | None, salt: str, limits: Limits) -> Slices:
    paths = _series_files(path) if path.is_dir() else [path]
    series = read_series(paths, shown_name(path), axis, limits)
    identity = series.identity or f"file {sha256_of(series.paths[0])}"
    # Two series of one patient must not get one name, or the pictures of one replace the other's.
    uid = series.uid or " ".join(sorted(map(sha256_of, series.paths)))
    return _slices(series.images, series.positions, group, identity, uid, axis, salt)


def _series_files(folder: Path) -> list[Path]:
    with opening(shown_name(folder)):
        files = sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    found = [path for path in files if is_dicom(path)]
    if len(found) < len(files):
        logger.info("%s: %d files are not DICOM and are left aside", folder, len(files) - len(found))
    return found


def _nifti(
    path: Path, axis: Axis, volume: int | None, group: str | None, salt: str, max_pixels: int, max_bytes: int
) -> Slices:
    data, name = load_bytes(path, max_bytes)
    if not is_nifti(data):
        found = f"{name}: this is neither DICOM nor NIfTI, whatever its name says"
        raise ReadError(found, "a DICOM or NIfTI file, or a folder of one DICOM series", "use read_image()")
    from mri_tumor.dataset.volumes.nifti import slices_of

    images = slices_of(data, name, axis, volume, max_pixels)
    identity = f"file {hashlib.sha256(data).hexdigest()}"
    return _slices(images, None, group, identity, f"{identity} {volume or 0}", axis, salt)


def _slices(
    images: NDArray[np.uint8],
    positions: Sequence[float] | None,
    group: str | None,
    identity: str,
    series: str,
    axis: Axis | None,
    salt: str,
) -> Slices:
    name = group_hash(f"series {series} {axis}", salt)[:_SHORT]
    numbers = tuple(range(len(images)))
    return Slices(images, numbers, tuple(positions or ()), group or group_hash(identity, salt), name)

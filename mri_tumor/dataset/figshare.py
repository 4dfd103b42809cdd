"""Figshare's brain tumour set as its authors publish it: a catalog by patient, outlines, and their folds."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mri_tumor.dataset.catalog import Catalog
from mri_tumor.dataset.formats import mat
from mri_tumor.dataset.formats.figshare_file import border_of, label_of, mask_of, patient_of
from mri_tumor.dataset.patients import PUBLIC_SALT, group_hash
from mri_tumor.dataset.reader import MAX_BYTES, MAX_PIXELS, load_bytes
from mri_tumor.dataset.records import Record
from mri_tumor.dataset.split import leave_one_out
from mri_tumor.dataset.tables import few
from mri_tumor.errors import CatalogError, ReadError
from mri_tumor.files import sha256_of
from mri_tumor.progress import track

CLASSES = ("glioma", "meningioma", "pituitary")
"""The classes of the set, in the order of this library's labels."""

_FOLDS = "cvind.mat"
_MOST_SLICES = 100_000


@dataclass(frozen=True, eq=False)
class Outline:
    """Where the tumour of a slice is.

    Args:
        mask: which pixels it has: bool `(H, W)`, of the size that `read_image` gives.
        polygon: its corners as drawn by hand: float64 `(N, 2)`, x to the right and y down, in pixels from the
            centre of the upper left one.
    """

    mask: NDArray[np.bool_]
    polygon: NDArray[np.float64]


def scan_figshare(
    folder: str | Path, *, classes: Sequence[str] = CLASSES, salt: str = PUBLIC_SALT
) -> Catalog:
    """Read the set's own MATLAB files into a catalog: the label from each file, the patient as group.

    The four archives may lie unpacked in one folder or in four inside it. `read_image` reads each file.

    Args:
        folder: where the files `1.mat` to `3064.mat` lie, or some of them; `cvind.mat` is left aside.
        classes: the class names in the order of the model's outputs.
        salt: as in `scan`: what makes the group of a patient another one in each project.

    Returns:
        Records in the order of their numbers; the id is the file's name.

    Raises:
        CatalogError: the folder holds no such file, or one name twice.
        ReadError: a file is damaged, or is none of this set.
    """
    paths = _files(Path(folder))
    return Catalog((_record(path, salt) for path in track(paths, "reading MATLAB files")), classes)


def read_outline(source: str | Path | bytes) -> Outline:
    """Read the tumour's outline from a file of figshare's set.

    Raises:
        ReadError: the file is missing or damaged, or is none of this set.
    """
    data, name = load_bytes(source, MAX_BYTES)
    if not mat.matches(data):
        expected = "a file of figshare's brain tumour set (MATLAB v7.3)"
        raise ReadError(f"{name}: this is no MATLAB v7.3 file", expected, "see scan_figshare()")
    return Outline(mask_of(data, name, MAX_PIXELS), border_of(data, name))


def official_folds(catalog: Catalog, path: str | Path) -> Iterator[tuple[Catalog, Catalog]]:
    """Yield the authors' five pairs (train, validation), which keep patients together.

    Args:
        catalog: from `scan_figshare`.
        path: the set's `cvind.mat`: the fold of each slice, in the order of their numbers.

    Raises:
        ReadError: the file is missing or damaged.
        CatalogError: it does not say the fold of a picture.
    """
    data, name = load_bytes(path, MAX_BYTES)
    fold_of = mat.numbers_of(data, "cvind", name, most=_MOST_SLICES).ravel()
    folds = {record.id: _fold(record.id, fold_of, name) for record in catalog}
    parts = [
        catalog.select(picture for picture, own in folds.items() if own == fold)
        for fold in sorted(set(folds.values()))
    ]
    return leave_one_out(catalog, parts)


def _files(folder: Path) -> list[Path]:
    found = [path for path in folder.rglob("*.mat") if path.name != _FOLDS and not path.name.startswith(".")]
    if not found:
        raise CatalogError(
            f"{folder} holds no .mat file",
            "the unpacked archives of https://doi.org/10.6084/m9.figshare.1512427",
            "fetch and unpack them, or use scan() for folders of pictures",
        )
    twice = [name for name, count in Counter(path.name for path in found).items() if count > 1]
    if twice:
        raise CatalogError(f"{folder} holds {few(twice)} twice", "each file once", "remove the copies")
    return sorted(found, key=lambda path: (len(path.name), path.name))  # 2.mat before 10.mat


def _record(path: Path, salt: str) -> Record:
    data, name = load_bytes(path, MAX_BYTES)
    if not mat.matches(data):
        raise ReadError(f"{name}: this is no MATLAB v7.3 file", "a file of figshare's set", "leave it out")
    patient = group_hash(f"patient {patient_of(data, name)}", salt)
    return Record(path.name, path, label_of(data, name), patient, None, sha256_of(path))


def _fold(picture: str, folds: NDArray[np.number], name: str) -> int:
    number = Path(picture).stem
    if not (number.isascii() and number.isdigit() and 1 <= int(number) <= len(folds)):
        raise CatalogError(
            f"{name} does not say the fold of {picture!r}",
            f"the names of the set: 1.mat to {len(folds)}.mat",
            "pass a catalog of scan_figshare()",
        )
    fold = float(folds[int(number) - 1])
    if not fold.is_integer():
        raise ReadError(
            f"{name}: the fold of {picture!r} is {fold}", "a whole number", "fetch the file again"
        )
    return int(fold)

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

    >>> outline = Outline(np.eye(3, dtype=np.bool_), np.array([[0.0, 0.0], [2.0, 2.0], [0.0, 2.0]]))
    >>> int(outline.mask.sum())
    3
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
        CatalogError: the folder holds no such file, one name twice, or a class that is not in `classes`.
        ReadError: a file is damaged, or is none of this set.
        ArgumentError: the salt is no text, or empty.

    >>> import h5py, tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with h5py.File(folder / "1.mat", "w", userblock_size=512, libver="earliest") as file:
    ...     file["cjdata/label"] = [[2.0]]
    ...     file["cjdata/PID"] = [[ord(letter)] for letter in "100360"]
    >>> scan_figshare(folder).labels
    ('glioma',)
    """
    paths = _files(Path(folder))
    return Catalog((_record(path, salt) for path in track(paths, "reading MATLAB files")), classes)


def read_outline(source: str | Path | bytes) -> Outline:
    """Read the tumour's outline from a file of figshare's set.

    Args:
        source: a path, or the bytes of a file.

    Returns:
        The outline that the set's authors drew, as a mask and as a polygon.

    Raises:
        ReadError: the file is missing or damaged, or is none of this set.
        ArgumentError: the source is of the wrong type.

    >>> import h5py, io
    >>> made = io.BytesIO()
    >>> with h5py.File(made, "w", userblock_size=512, libver="earliest") as file:
    ...     file["cjdata/image"] = file["cjdata/tumorMask"] = np.eye(3)
    ...     file["cjdata/tumorBorder"] = [[1.0, 1.0, 3.0, 3.0, 1.0, 3.0]]  # x, y, x, y, ... from 1
    >>> read_outline(made.getvalue()).polygon.tolist()
    [[0.0, 0.0], [2.0, 2.0], [0.0, 2.0]]
    """
    data, name = load_bytes(source, MAX_BYTES)
    if not mat.matches(data):
        expected = "a file of figshare's brain tumour set (MATLAB v7.3)"
        raise ReadError(f"{name}: this is no MATLAB v7.3 file", expected, "see scan_figshare()")
    return Outline(mask_of(data, name, MAX_PIXELS), border_of(data, name))


def official_folds(catalog: Catalog, path: str | Path) -> Iterator[tuple[Catalog, Catalog]]:
    """Yield the authors' pairs (train, validation), which keep patients together.

    There is a pair for every fold that the catalog has pictures of: five for the whole set.

    Args:
        catalog: from `scan_figshare`.
        path: the set's `cvind.mat`: the fold of each slice, in the order of their numbers.

    Raises:
        ReadError: the file is missing or damaged.
        CatalogError: it does not say the fold of a picture.

    >>> import h5py, tempfile
    >>> path = Path(tempfile.mkdtemp(), "cvind.mat")
    >>> with h5py.File(path, "w", userblock_size=512, libver="earliest") as file:
    ...     file["cvind"] = [[1.0, 2.0, 1.0]]
    >>> catalog = Catalog([Record(f"{n}.mat", Path(f"{n}.mat"), "glioma") for n in (1, 2, 3)], CLASSES)
    >>> [validation.ids for _, validation in official_folds(catalog, path)]
    [('1.mat', '3.mat'), ('2.mat',)]
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

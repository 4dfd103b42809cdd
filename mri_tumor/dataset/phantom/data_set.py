"""Phantoms one by one, and as class folders with planted copies and leaks."""

import csv
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from mri_tumor.dataset.catalog import Catalog, scan
from mri_tumor.dataset.phantom.anatomy import paint_head
from mri_tumor.dataset.phantom.scanner import Scanner
from mri_tumor.dataset.phantom.tumour import paint_tumour
from mri_tumor.errors import ArgumentError, CatalogError
from mri_tumor.files import whole_folder
from mri_tumor.labels import LABELS
from mri_tumor.progress import track

__all__ = ["make_phantoms", "phantom"]

GROUPS_FILE = "groups.csv"

_FOLDERS = {
    "glioma": "glioma_tumor",
    "meningioma": "meningioma_tumor",
    "none": "no_tumor",
    "pituitary": "pituitary_tumor",
}
_LEFT_BY_BROWSERS = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})
_SLICES = (1, 1, 2, 2, 3)
_LEAST_SIDE = 160
_FIRST_TEST_PATIENT = 1_000_000
_TRAINING_COPIES = {"glioma": "exact", "meningioma": "mirrored", "none": "rescaled", "pituitary": "resized"}
_LEAKS = {"none": "exact", "pituitary": "mirrored"}


def phantom(
    label: str, *, patient: int, slice_: int = 0, size: int = 256, seed: int = 0
) -> NDArray[np.uint8]:
    """Return one synthetic slice; the same arguments always give the same picture.

    Args:
        label: one of `mri_tumor.LABELS`.
        patient: number of the head from 0; the same number has the same head under every label, but that
            `"pituitary"` always shows the base of the skull.
        slice_: number of the slice from 0; neighbouring positions through the same head and tumour, each with
            noise of its own.
        size: height and width in pixels, 32 to 1024.
        seed: another seed gives other patients.

    Returns:
        A uint8 picture `(size, size)`, 0-255.

    Raises:
        ArgumentError: the label is unknown, or a number is out of its range.

    >>> picture = phantom("glioma", patient=3, size=64)
    >>> picture.shape, str(picture.dtype), bool((picture == phantom("glioma", patient=3, size=64)).all())
    ((64, 64), 'uint8', True)
    """
    if label not in LABELS:
        raise ArgumentError(f"label is {label!r}", f"one of {', '.join(LABELS)}", "pass one of them")
    for name, value in (("patient", patient), ("slice_", slice_), ("seed", seed)):
        _check_whole(name, value, 0, 2**32 - 1)
    _check_whole("size", size, 32, 1024)
    return _render(label, patient, slice_, (size, size), seed)


def make_phantoms(
    directory: str | Path, *, per_class: int = 60, test_share: float = 0.2, size: int = 256, seed: int = 0
) -> Catalog:
    """Write a data set of phantoms as PNGs under `Training/` and `Testing/` and return its catalog.

    Every patient shows one to three slices. As in real collections some pictures are copies: in `Training/`
    an exact, a mirrored, a resized one and one of another brightness, and in `Testing/` at least one picture
    that is a copy of a training picture, for `audit` to find. Test patients are otherwise not in `Training/`.
    `groups.csv` (path, group) names each picture's patient; `scan` takes it as `groups`.

    Args:
        directory: where to write; new, empty, or holding phantoms, which are replaced.
        per_class: pictures a class in all, copies included; from 5.
        test_share: share of them in `Testing/`, between 0 and 1.
        size: about the height and width in pixels, 32 to 1024; framing varies it by up to a tenth.
        seed: another seed gives other patients. Same arguments, same bytes.

    Returns:
        The scanned catalog, with patients as groups.

    Raises:
        ArgumentError: a number is out of its range.
        CatalogError: the directory holds something else than phantoms.
    """
    _check_whole("per_class", per_class, 5, _FIRST_TEST_PATIENT // 5)
    _check_whole("size", size, 32, 1024)
    _check_whole("seed", seed, 0, 2**32 - 1)
    if not isinstance(test_share, int | float) or not 0 < test_share < 1:
        raise ArgumentError(f"test_share is {test_share!r}", "a number between 0 and 1", "pass 0.2")
    directory = Path(directory)
    _check_replaceable(directory)
    plan = [picture for label in LABELS for picture in _plan(label, per_class, test_share, seed)]
    with whole_folder(directory) as partial:
        for picture in track(plan, "drawing phantoms"):
            _write(partial / picture.path, picture.draw(size, seed))
        _write_groups(partial / GROUPS_FILE, plan)
    return scan(directory, groups=directory / GROUPS_FILE)


@dataclass(frozen=True)
class _Picture:
    """One file of the data set: a slice of a patient, perhaps a copy of another file."""

    split: str
    label: str
    patient: int
    slice_: int
    copy: str = ""

    @property
    def path(self) -> str:
        ending = f"-{self.copy}" if self.copy else ""
        return f"{self.split}/{_FOLDERS[self.label]}/p{self.patient:07d}-{self.slice_}{ending}.png"

    @property
    def group(self) -> str:
        return f"phantom-{self.patient:07d}"

    def draw(self, size: int, seed: int) -> NDArray[np.uint8]:
        image = _render(self.label, self.patient, self.slice_, _shape(self.patient, size, seed), seed)
        if self.copy == "mirrored":
            return np.ascontiguousarray(image[:, ::-1])
        if self.copy == "rescaled":
            return np.round(image * np.float32(0.8)).astype(np.uint8)
        if self.copy == "resized":
            height, width = image.shape
            return np.asarray(
                cv2.resize(image, (width * 4 // 5, height * 4 // 5), interpolation=cv2.INTER_AREA), np.uint8
            )
        return image


def _plan(label: str, per_class: int, test_share: float, seed: int) -> Iterator[_Picture]:
    tests = min(max(round(per_class * test_share), 1), per_class - 4)
    training = list(_slices("Training", label, per_class - tests - 1, 0, seed))
    yield from training
    first = training[0]
    yield _Picture("Training", label, first.patient, first.slice_, _TRAINING_COPIES[label])
    leak = _LEAKS.get(label) if label == "none" or tests >= 4 else None
    yield from _slices("Testing", label, tests - bool(leak), _FIRST_TEST_PATIENT, seed)
    if leak:
        last = training[-1]
        yield _Picture("Testing", label, last.patient, last.slice_, leak)


def _slices(split: str, label: str, count: int, first: int, seed: int) -> Iterator[_Picture]:
    made, patient = 0, first + LABELS.index(label)
    while made < count:
        slices = int(_stream(seed, patient, 4).choice(_SLICES))
        for slice_ in range(min(slices, count - made)):
            yield _Picture(split, label, patient, slice_)
            made += 1
        patient += len(LABELS)


def _render(label: str, patient: int, slice_: int, shape: tuple[int, int], seed: int) -> NDArray[np.uint8]:
    # Lines are at least a pixel wide: a small picture is drawn larger and reduced, to look like a large one.
    finer = math.ceil(_LEAST_SIDE / min(shape))
    rng, offset, kind = _stream(seed, patient), _offset(slice_), LABELS.index(label)
    scanner, level = Scanner.draw(rng), _level(rng, label)
    head = paint_head(rng, level, scanner.frame((shape[0] * finer, shape[1] * finer)), offset)
    paint_tumour(_stream(seed, patient, 1, kind), label, head, offset)
    image = scanner.scan(_stream(seed, patient, 2, kind, slice_), head.image)
    if finer == 1:
        return image
    return np.asarray(cv2.resize(image, shape[::-1], interpolation=cv2.INTER_AREA), np.uint8)


def _stream(seed: int, *purpose: int) -> np.random.Generator:
    return np.random.default_rng([seed, *purpose])


def _offset(slice_: int) -> float:
    """Slices 0, 1, 2, ... lie at 0, one step up, one down, two up, ... within -1 to 1."""
    steps = (slice_ + 1) // 2 * (1 if slice_ % 2 else -1)
    return float(np.tanh(0.5 * steps))


def _level(rng: np.random.Generator, label: str) -> str:
    base, which = rng.random(2)
    if base < 0.6 or label == "pituitary":
        return "orbits" if which < 0.5 else "sella"
    return "ventricles" if which < 0.6 else "vertex"


def _shape(patient: int, size: int, seed: int) -> tuple[int, int]:
    height, width = _stream(seed, patient, 3).uniform(0.9, 1.1, 2)
    return round(size * height), round(size * width)


def _write(path: Path, image: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".png", image)[1].tobytes())


def _write_groups(path: Path, plan: list[_Picture]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["path", "group"])
        writer.writerows([picture.path, picture.group] for picture in plan)


def _check_replaceable(directory: Path) -> None:
    """Only a folder whose every file is a phantom may be replaced: no picture of anybody else is lost."""
    if not directory.exists() or (directory.is_dir() and not any(directory.iterdir())):
        return
    files = {
        file.relative_to(directory).as_posix()
        for file in directory.rglob("*")
        if not file.is_dir() and file.name not in _LEFT_BY_BROWSERS
    }
    others = files - _own_files(directory / GROUPS_FILE)
    if not directory.is_dir() or others or not files:
        raise CatalogError(
            f"{directory} holds something else than phantoms ({min(others, default='folders')})",
            "a new folder, an empty one, or one that make_phantoms wrote",
            "choose another directory",
        )


def _own_files(table: Path) -> set[str]:
    try:
        rows = list(csv.reader(table.read_text(encoding="utf-8").splitlines()))
    except (OSError, ValueError):
        return set()
    if rows[:1] != [["path", "group"]] or not all(
        len(r) == 2 and r[1].startswith("phantom-") for r in rows[1:]
    ):
        return set()
    return {GROUPS_FILE, *(path for path, _ in rows[1:])}


def _check_whole(name: str, value: int, low: int, high: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or not low <= value <= high:
        raise ArgumentError(
            f"{name} is {value!r}", f"a whole number from {low} to {high}", f"pass another {name}"
        )

"""Finding the pictures under class folders by their names; only files with other names are opened."""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from mri_tumor.dataset.formats.dicom.file import matches
from mri_tumor.dataset.groups import normal
from mri_tumor.dataset.tables import few
from mri_tumor.errors import CatalogError
from mri_tumor.labels import label_of

logger = logging.getLogger(__name__)

PLAIN_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".tif", ".tiff", ".gif", ".webp"}
)
"""Files that count as pictures by their name, and name no patient."""

PICTURE_SUFFIXES = PLAIN_SUFFIXES | {".dcm", ".dicom"}
"""Files that count as pictures by their name; whether they can be read is the reader's business."""

_DISC_INDEX = "DICOMDIR"
_MAGIC_LENGTH = 132

SPLIT_NAMES = {"training": "Training", "train": "Training", "testing": "Testing", "test": "Testing"}
"""Folder name in lower case -> the split it means."""


@dataclass(frozen=True)
class Found:
    """A picture file: its id (posix path relative to the root), its path, its label and its split."""

    id: str
    path: Path
    label: str
    split: str | None


def find_pictures(root: Path, classes: Sequence[str]) -> list[Found]:
    """Return the pictures under a root's class folders, sorted by id.

    Raises:
        CatalogError: as in `scan`.
    """
    if not root.is_dir():
        raise CatalogError(
            f"{root} is {'a file' if root.exists() else 'not there'}",
            "a folder with one folder a class, or with Training/ and Testing/",
            "check the path",
        )
    splits = {folder: SPLIT_NAMES.get(folder.name.casefold()) for folder in _folders(root)}
    if not any(splits.values()):
        splits = {root: None}
    else:
        _refuse_strays(root, [folder for folder, split in splits.items() if split is None])
    found = [item for folder, split in splits.items() for item in _find_classes(root, folder, split, classes)]
    return sorted(found, key=lambda item: item.id)


def pictures_below(folder: Path) -> list[Path]:
    """Return all pictures in a folder and the folders in it, whatever these are called, sorted.

    Raises:
        CatalogError: a folder cannot be listed.
    """
    return sorted(_pictures(folder, ()))


def _find_classes(root: Path, place: Path, split: str | None, classes: Sequence[str]) -> Iterator[Found]:
    labels = {folder: label_of(folder.name, classes) for folder in _folders(place)}
    unknown = [folder.name for folder, label in labels.items() if label is None]
    if unknown:
        raise CatalogError(
            f"{place} holds folders that mean no class: {', '.join(map(repr, unknown))}",
            f"folders named after {', '.join(classes)} (such as 'glioma_tumor', 'no_tumor')",
            "rename or move them, or pass their names in classes=",
        )
    _refuse_strays(place, [])
    above = (root.resolve(), place.resolve())
    pictures: dict[str, list[Path]] = {label: [] for label in classes}
    for folder, label in labels.items():
        pictures[str(label)] += _pictures(folder, above)
    empty = [label for label, paths in pictures.items() if not paths]
    if empty:
        raise CatalogError(
            f"{place} holds no picture of {', '.join(empty)}",
            f"a picture ({', '.join(sorted(PICTURE_SUFFIXES))}) or more of each of {', '.join(classes)}",
            "check the folder, or name in classes= the classes that are there",
        )
    for label, paths in pictures.items():
        for path in paths:
            yield Found(_id_of(path, root), path, label, split)


def _pictures(folder: Path, above: tuple[Path, ...]) -> list[Path]:
    ignored: Counter[str] = Counter()
    pictures = []
    for path in _walk(folder, above):
        if path.suffix.lower() in PICTURE_SUFFIXES or _is_dicom(path):
            pictures.append(path)
        else:
            ignored[path.suffix or path.name] += 1
    if ignored:
        kinds = few([f"{name} ({count})" for name, count in ignored.most_common()])
        logger.info("%s: not pictures, left aside: %s", folder, kinds)
    return pictures


def _is_dicom(path: Path) -> bool:
    """Tell whether a file with another suffix, or without one, is a DICOM picture: scanners name them so."""
    if path.name == _DISC_INDEX:
        return False
    try:
        with path.open("rb") as file:
            return matches(file.read(_MAGIC_LENGTH))
    except OSError:
        return False


def _walk(folder: Path, above: tuple[Path, ...]) -> Iterator[Path]:
    real = folder.resolve()
    if real in above:
        # A link to a folder that holds it: all that is in there is found without it.
        logger.warning("%s leads back to %s: not followed", folder, real)
        return
    for path in _visible(folder):
        if path.is_dir():
            yield from _walk(path, (*above, real))
        else:
            yield path


def _refuse_strays(place: Path, folders: Sequence[Path]) -> None:
    files = [
        path for path in _visible(place) if not path.is_dir() and path.suffix.lower() in PICTURE_SUFFIXES
    ]
    strays = [path.name for path in (*folders, *files)]
    if strays:
        raise CatalogError(
            f"{place} holds {', '.join(map(repr, strays[:5]))}, which lie in no class folder",
            "every picture inside a class folder, and only Training/ and Testing/ where these are used",
            "move them into a class folder or out of the way",
        )


def _folders(place: Path) -> list[Path]:
    return [path for path in _visible(place) if path.is_dir()]


def _visible(place: Path) -> list[Path]:
    try:
        return sorted(path for path in place.iterdir() if not path.name.startswith((".", "__")))
    except OSError as error:
        raise CatalogError(
            f"{place} cannot be listed ({error.strerror})",
            "a folder that can be read",
            "check its permissions",
        ) from error


def _id_of(path: Path, root: Path) -> str:
    name = normal(path.relative_to(root).as_posix())
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise CatalogError(
            f"the name of {str(path)!a} is not valid Unicode", "file names in UTF-8", "rename the file"
        ) from error
    return name

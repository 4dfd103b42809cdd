"""Holding the pictures that a file divides against those of a catalog."""

from collections.abc import Mapping
from pathlib import Path

from mri_tumor.dataset.catalog import Catalog, Record, file_digest
from mri_tumor.dataset.tables import few
from mri_tumor.errors import CatalogError, ManifestMismatch


def check_same_pictures(path: Path, written: Mapping[str, Catalog], catalog: Catalog) -> None:
    """Check that a catalog holds exactly the pictures of some parts, under their labels, unchanged.

    Args:
        path: the file that the parts were read from, for errors.
        written: its parts.
        catalog: the pictures there are.

    Raises:
        ManifestMismatch: the classes differ.
        CatalogError: pictures are missing or new, or a label or a file's bytes changed; names them.
        ReadError: a file without a known SHA-256 cannot be opened.
    """
    classes = next(iter(written.values())).classes
    if classes != catalog.classes:
        raise ManifestMismatch(
            f"{path} divides the classes {', '.join(classes)}",
            f"those of the catalog, {', '.join(catalog.classes)}",
            "scan with these classes, or divide anew",
        )
    was = {one.id: one for part in written.values() for one in part}
    now = {one.id: one for one in catalog}
    _check_ids(path, was, now)
    labels = [
        f"{name} ({was[name].label}, now {one.label})"
        for name, one in now.items()
        if one.label != was[name].label
    ]
    _complain(path, labels, "have another label than in", "put them back, or divide anew")
    changed = [name for name, one in now.items() if _changed(was[name], one)]
    _complain(path, changed, "have other bytes than in", "take the files that were divided, or divide anew")


def _check_ids(path: Path, was: Mapping[str, Record], now: Mapping[str, Record]) -> None:
    missing = [name for name in was if name not in now]
    _complain(
        path,
        missing,
        "are not in the catalog but in",
        _under_other_ids(missing, was, now) or "bring them back, or divide anew",
    )
    _complain(
        path,
        [name for name in now if name not in was],
        "are in the catalog but not in",
        'leave them out, as by catalog.select(split="Training"), or divide anew',
    )


def _under_other_ids(missing: list[str], was: Mapping[str, Record], now: Mapping[str, Record]) -> str:
    """Return what to do if files that are missing stand in the catalog under other ids."""
    names = {one.digest: name for name, one in now.items() if one.digest}
    other = next((name for name in missing if was[name].digest in names), None)
    if other is None:
        return ""
    return (
        f"{names[was[other].digest]!r} is the same file as {other!r}: scan the folder that was scanned then"
    )


def _changed(was: Record, now: Record) -> bool:
    """Say whether a file has other bytes; it is opened only where the catalog does not know its SHA-256."""
    return bool(was.digest) and was.digest != (now.digest or file_digest(now.path))


def _complain(path: Path, names: list[str], what: str, fix: str) -> None:
    if names:
        raise CatalogError(
            f"{len(names)} pictures {what} {path}: {few(names)}", "the pictures that were divided", fix
        )

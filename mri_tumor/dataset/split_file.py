"""Splits and folds in a file: which picture lies in which part, held against a catalog when it is read."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from mri_tumor.dataset.catalog import Catalog, Record
from mri_tumor.dataset.division import Division, divided, division_digest
from mri_tumor.dataset.split import leave_one_out
from mri_tumor.dataset.split_checks import check_same_pictures
from mri_tumor.dataset.tables import few
from mri_tumor.errors import ArgumentError, LeakageError, ManifestMismatch, MriTumorError
from mri_tumor.manifest import Manifest

KIND = "split"


def write_split(path: str | Path, parts: Mapping[str, Catalog], *, allow_leakage: bool = False) -> Manifest:
    """Write named parts of a catalog to one JSON file, so that others divide the same pictures alike.

    The file is a manifest of kind `"split"`. It holds each picture's id, label, group and SHA-256, the
    division's digest, and by what, seed and fractions it was made if `split` or `folds` made it; no path.

    Args:
        path: the file. One that stands there is replaced.
        parts: name -> pictures, two parts or more; `{"train": train, "validation": validation}`.
        allow_leakage: write parts that share groups, as `split(by="image")` makes them.

    Returns:
        The manifest that was written.

    Raises:
        ArgumentError: `parts` are no catalogs of the same classes, fewer than two, or one is empty.
        LeakageError: a picture lies in two parts, or a group does and `allow_leakage` is False.

    >>> import tempfile
    >>> from mri_tumor.dataset import make_phantoms
    >>> from mri_tumor.dataset.split import split
    >>> pictures = make_phantoms(tempfile.mkdtemp(), per_class=10, size=32).select(split="Training")
    >>> train, validation = split(pictures, (0.5, 0.5))
    >>> file = Path(tempfile.mkdtemp()) / "split.json"
    >>> manifest = write_split(file, {"train": train, "validation": validation})
    >>> [part["name"] for part in manifest.sections["split"]["parts"]]
    ['train', 'validation']
    >>> read_split(file, pictures)["validation"] == validation
    True
    """
    _check_parts(parts)
    check_apart(parts, allow=allow_leakage)
    division = _division_of(list(parts.values()))
    section = {
        "classes": list(next(iter(parts.values())).classes),
        **division.to_dict(),
        "parts": [{"name": name, "pictures": [_entry(one) for one in part]} for name, part in parts.items()],
    }
    manifest = Manifest(KIND, {"split": section})
    manifest.write(path)
    return manifest


def read_split(path: str | Path, catalog: Catalog, *, allow_leakage: bool = False) -> dict[str, Catalog]:
    """Divide a catalog as a file says that `write_split` or `write_folds` wrote.

    The catalog holds exactly the pictures that were divided, in any order and wherever their files lie now.
    Groups of the file are joined to those of the catalog.

    Args:
        path: the file.
        catalog: the pictures.
        allow_leakage: read parts that share groups all the same.

    Returns:
        Name -> part, in the file's order; each in the catalog's order, and bearing the file's `division`.

    Raises:
        ArgumentError: `catalog` is no Catalog.
        ManifestMismatch: the file is missing, damaged, altered, of a newer schema or no split, or its
            classes are others than the catalog's.
        CatalogError: pictures are missing or new, or a label or a file's bytes changed; names them.
        ReadError: a file without a known SHA-256 cannot be opened.
        LeakageError: a group that the catalog knows lies in two parts.

    >>> import tempfile
    >>> from mri_tumor.dataset import make_phantoms
    >>> from mri_tumor.dataset.split import split
    >>> pictures = make_phantoms(tempfile.mkdtemp(), per_class=10, size=32).select(split="Training")
    >>> train, validation = split(pictures, (0.5, 0.5))
    >>> file = Path(tempfile.mkdtemp()) / "split.json"
    >>> _ = write_split(file, {"train": train, "validation": validation})
    >>> parts = read_split(file, pictures)
    >>> list(parts), parts["train"].division == train.division
    (['train', 'validation'], True)
    """
    return _read(Path(path), catalog, allow_leakage)[1]


def write_folds(
    path: str | Path, folds: Iterable[tuple[Catalog, Catalog]], *, allow_leakage: bool = False
) -> Manifest:
    """Write folds to a file: that of `write_split` with their validation parts, `"fold 1"`, `"fold 2"`, ...

    Args:
        path: the file. One that stands there is replaced.
        folds: pairs (train, validation), as `folds` yields them: train is what the other folds validate.
        allow_leakage: as in `write_split`.

    Returns:
        The manifest that was written.

    Raises:
        ArgumentError: these are no folds of one catalog.
        LeakageError: as in `write_split`.

    >>> import tempfile
    >>> from mri_tumor.dataset import make_phantoms
    >>> from mri_tumor.dataset.split import folds
    >>> pictures = make_phantoms(tempfile.mkdtemp(), per_class=10, size=32).select(split="Training")
    >>> manifest = write_folds(Path(tempfile.mkdtemp()) / "folds.json", folds(pictures, n=2))
    >>> [part["name"] for part in manifest.sections["split"]["parts"]]
    ['fold 1', 'fold 2']
    """
    pairs = list(folds)
    parts = {f"fold {number}": validation for number, (_, validation) in enumerate(pairs, start=1)}
    _check_parts(parts)
    every = {name for part in parts.values() for name in part.ids}
    for (name, part), (train, _) in zip(parts.items(), pairs, strict=True):
        odd = sorted((every - set(part.ids)) ^ set(train.ids))
        if odd:
            raise ArgumentError(
                f"{name} does not train on just what the others validate; {len(odd)} differ: {few(odd)}",
                "each picture in one validation part, and in the training part of all other folds",
                "pass what dataset.folds gave, or name parts of your own in write_split",
            )
    return write_split(path, parts, allow_leakage=allow_leakage)


def read_folds(
    path: str | Path, catalog: Catalog, *, allow_leakage: bool = False
) -> Iterator[tuple[Catalog, Catalog]]:
    """Return the pairs (train, validation) of a file, as `folds` yields them: each part validates once.

    Arguments and errors are those of `read_split`; a file of any split will do.

    >>> import tempfile
    >>> from mri_tumor.dataset import make_phantoms
    >>> from mri_tumor.dataset.split import folds
    >>> pictures = make_phantoms(tempfile.mkdtemp(), per_class=10, size=32).select(split="Training")
    >>> file, made = Path(tempfile.mkdtemp()) / "folds.json", list(folds(pictures, n=2))
    >>> _ = write_folds(file, made)
    >>> list(read_folds(file, pictures)) == made
    True
    """
    catalog, parts = _read(Path(path), catalog, allow_leakage)
    return leave_one_out(catalog, list(parts.values()))


def check_apart(parts: Mapping[str, Catalog], *, allow: bool) -> None:
    """Check that parts share nothing.

    Raises:
        LeakageError: a picture lies in two parts, or a group does and `allow` is False.
    """
    pictures = _in_several({name: part.ids for name, part in parts.items()})
    groups = {} if allow else _in_several({name: part.groups for name, part in parts.items()})
    for what, shared in (("pictures", pictures), ("groups", groups)):
        if shared:
            where = " and ".join(repr(name) for name in next(iter(shared.values())))
            raise LeakageError(
                f"parts share {len(shared)} {what}: {few(list(shared))}; the first lies in {where}",
                "what belongs together in one part",
                "divide anew with dataset.split, which keeps groups together"
                + ("; allow_leakage=True goes on all the same" if what == "groups" else ""),
            )


def _in_several(names: Mapping[str, Iterable[str | None]]) -> dict[str, list[str]]:
    """Return what several parts hold, and which parts."""
    places: dict[str, list[str]] = defaultdict(list)
    for part, own in names.items():
        for name in sorted({name for name in own if name is not None}):
            places[name].append(part)
    return {name: found for name, found in places.items() if len(found) > 1}


def _check_parts(parts: Any) -> None:
    good = isinstance(parts, Mapping) and all(isinstance(part, Catalog) for part in parts.values())
    if not good or len(parts) < 2 or not all(isinstance(name, str) and name for name in parts):
        raise ArgumentError(
            f"parts is {parts!r:.80}",
            "two or more names with a Catalog each",
            'pass {"train": train, "validation": validation}',
        )
    empty = [name for name, part in parts.items() if not len(part)]
    if empty:
        raise ArgumentError(f"part {few(empty)} is empty", "pictures in every part", "leave it out")
    if len({part.classes for part in parts.values()}) > 1:
        raise ArgumentError(
            "parts have different classes", "parts of one Catalog", "pass what dataset.split gave"
        )


def _division_of(parts: list[Catalog]) -> Division:
    """Return the division that the parts bear if they are all of it, else one of their own."""
    digest, borne = division_digest(parts), parts[0].division
    return borne if borne is not None and borne.digest == digest else Division(digest)


def _entry(record: Record) -> dict[str, str | None]:
    return {"id": record.id, "label": record.label, "group": record.group, "sha256": record.digest or None}


def _read(path: Path, catalog: Catalog, allow: bool) -> tuple[Catalog, dict[str, Catalog]]:
    """Return the catalog with the file's groups, and its parts by name."""
    if not isinstance(catalog, Catalog):
        raise ArgumentError(f"catalog is a {type(catalog).__name__}", "a Catalog", "pass scan(folder)")
    written, division = _written(path)
    check_same_pictures(path, written, catalog)
    groups = {one.id: one.group for part in written.values() for one in part if one.group is not None}
    catalog = catalog.with_groups(groups) if groups else catalog
    members = [catalog.select(ids=part.ids) for part in written.values()]
    parts = dict(zip(written, divided(members, division), strict=True))
    check_apart(parts, allow=allow)
    return catalog, parts


def _written(path: Path) -> tuple[dict[str, Catalog], Division]:
    """Return the file's parts, whose paths mean nothing, and its division.

    Raises:
        ManifestMismatch: it holds something else.
    """
    section: Any = Manifest.read(path, kind=KIND).sections.get("split")
    try:
        parts = {part["name"]: _part(part["pictures"], section["classes"]) for part in section["parts"]}
        _check_parts(parts)
        check_apart(parts, allow=True)
        division = Division.from_dict(section)
        if len(parts) < len(section["parts"]) or division.digest != division_digest(parts.values()):
            raise ValueError("its digest is not that of its parts")
    except (TypeError, KeyError, ValueError, MriTumorError) as error:
        raise ManifestMismatch(
            f"{path} is no split of this library ({error})",
            "a file that write_split or write_folds wrote",
            "write it again",
        ) from error
    return parts, division


def _part(entries: Any, classes: Any) -> Catalog:
    records = []
    for entry in entries:
        name, label, group, digest = (entry[key] for key in ("id", "label", "group", "sha256"))
        if not all(isinstance(text, str) for text in (name, label, group or "", digest or "")):
            raise TypeError("a picture's id, label, group or sha256 is no text")
        records.append(Record(name, Path(), label, group, digest=digest or ""))
    return Catalog(records, classes)

"""One record a picture: its form, its checks, and its line in a CSV table."""

import csv
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

from mri_tumor.dataset.groups import normal
from mri_tumor.dataset.tables import few, read_table
from mri_tumor.errors import ArgumentError, CatalogError
from mri_tumor.files import whole_file


@dataclass(frozen=True)
class Record:
    """One picture of a catalog.

    Args:
        id: its name in the catalog: the posix path relative to the scanned folder.
        path: where the file lies.
        label: its class.
        group: what must stay on one side of a split (a patient, a set of copies), None if unknown.
        split: `"Training"` or `"Testing"` where the folders say so.
        digest: SHA-256 of the file's bytes, 64 hexadecimal digits.
    """

    id: str
    path: Path
    label: str
    group: str | None = None
    split: str | None = None
    digest: str = ""


def without_path(text: str, path: Path) -> str:
    """Return what an error says of a file without where it lies, for what is kept or passed on.

    >>> without_path("/home/me/a.png: the file is empty", Path("/home/me/a.png"))
    'the file is empty'
    """
    # Both are how errors show a name that is not Unicode.
    for name in dict.fromkeys((str(path), str(path).encode("utf-8", "backslashreplace").decode())):
        text = text.removeprefix(f"{name}: ").removeprefix(f"{name!r}: ").replace(f": {name!r}", "")
        if len(path.parts) > 1:
            text = text.replace(name, path.name)
    return text


COLUMNS = tuple(field.name for field in fields(Record))


def checked_classes(classes: Sequence[str]) -> tuple[str, ...]:
    """Return class names as a tuple.

    Raises:
        ArgumentError: there is none, one is empty or comes twice, or `classes` is a text.
    """
    names = tuple(classes) if isinstance(classes, Iterable) and not isinstance(classes, str) else ()
    if not names or not all(isinstance(name, str) and name for name in names) or len(set(names)) < len(names):
        raise ArgumentError(
            f"classes is {classes!r}", "different class names in order", "pass a tuple of names"
        )
    return names


def check_records(records: Sequence[Record], classes: Sequence[str]) -> None:
    """Raise an error if something is no record, a name is empty, an id comes twice or a label is strange."""
    for record in records:
        if not isinstance(record, Record):
            raise ArgumentError(
                f"an item is a {type(record).__name__}", "Record", "pass Record(id, path, label)"
            )
        for field in ("id", "group", "split"):
            if getattr(record, field) == "":
                raise ArgumentError(f"the {field} is '' for {record.path}", "a name", f"give it a {field}")
    twice = [name for name, count in Counter(record.id for record in records).items() if count > 1]
    if twice:
        raise CatalogError(
            f"{len(twice)} ids come more than once: {few(twice)}", "one record an id", "rename the files"
        )
    strange = sorted({record.label for record in records} - set(classes))
    if strange:
        raise CatalogError(
            f"records have the labels {few(strange)}", f"one of {', '.join(classes)}", "pass their classes="
        )


def write_records(path: str | Path, records: Sequence[Record]) -> None:
    """Write records as a UTF-8 CSV table with the columns `COLUMNS`; None is an empty cell."""
    with whole_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for record in records:
            place = record.path.absolute().as_posix()
            writer.writerow(
                [record.id, place, record.label, record.group or "", record.split or "", record.digest]
            )


def read_records(path: str | Path, root: str | Path | None = None) -> Iterator[Record]:
    """Yield the records of a table that has at least the columns id, path and label.

    Args:
        path: the table.
        root: the folder that holds the pictures now; None takes the paths as they stand.

    Raises:
        CatalogError: the table or the root cannot be used.
    """
    columns, rows = read_table(path)
    missing = [name for name in ("id", "path", "label") if name not in columns]
    if missing:
        raise CatalogError(
            f"{path} lacks the columns {', '.join(missing)}",
            f"the columns {', '.join(COLUMNS)}",
            "write the table with Catalog.to_csv",
        )
    if root is not None and not Path(root).is_dir():
        raise CatalogError(f"the root {root} is not a folder", "the folder of the pictures", "check the path")
    for row in rows:
        yield _record_of(row, root)


def _record_of(row: Mapping[str, str], root: str | Path | None) -> Record:
    path = Path(row["path"])
    if root is not None:
        # The end of the path rather than the id: the id's Unicode form may differ from the file's.
        end = Path(*path.parts[-len(Path(row["id"]).parts) :])
        path = Path(root) / (end if normal(end.as_posix()) == row["id"] else row["id"])
    group, split = row.get("group") or None, row.get("split") or None
    return Record(row["id"], path, row["label"], group, split, row.get("digest", ""))

"""Class folders to a `Catalog`: one record a picture, before any picture is decoded."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, Self, overload

import numpy as np
from numpy.typing import NDArray

from mri_tumor.dataset.folders import find_pictures
from mri_tumor.dataset.groups import GroupSource, group_name, joined, read_groups
from mri_tumor.dataset.patients import PUBLIC_SALT, patient_groups
from mri_tumor.dataset.records import Record, check_records, checked_classes, read_records, write_records
from mri_tumor.dataset.tables import few, text_table
from mri_tumor.errors import ArgumentError, CatalogError, ReadError
from mri_tumor.files import digest_of, sha256_of
from mri_tumor.labels import LABELS
from mri_tumor.progress import track

if TYPE_CHECKING:
    from mri_tumor.dataset.division import Division

__all__ = ["Catalog", "HasGroups", "Record", "scan"]


class HasGroups(Protocol):
    """Anything that knows groups, such as an `AuditReport`."""

    @property
    def groups(self) -> Mapping[str, str]:
        """Id -> group."""


class Catalog(Sequence[Record]):
    """A sequence of records, in an order that counts: a picture's place is its index in shards and batches.

    Args:
        records: the pictures; ids are unique.
        classes: the class names in the order of the model's outputs.
        division: what this catalog is a part of; `split`, `folds` and `read_split` say it. It is no part of
            the content: it counts neither for `==` nor for `digest`, and what is made of a catalog
            (`select`, `with_groups`, a slice) bears none.

    Raises:
        ArgumentError: an item is no Record, a name is empty, or `classes` are no different names.
        CatalogError: an id comes twice, or a label is not among `classes`.

    >>> catalog = Catalog([Record("a.png", Path("a.png"), "glioma"), Record("b.png", Path("b.png"), "none")])
    >>> catalog.label_indices.tolist(), catalog.select(label="none").ids
    ([0, 2], ('b.png',))
    """

    def __init__(
        self,
        records: Iterable[Record],
        classes: Sequence[str] = LABELS,
        *,
        division: "Division | None" = None,
    ) -> None:
        self._records = tuple(records)
        self._classes = checked_classes(classes)
        self._division = division
        check_records(self._records, self._classes)

    @property
    def classes(self) -> tuple[str, ...]:
        """The class names in order, those without a picture too."""
        return self._classes

    @property
    def division(self) -> "Division | None":
        """What this catalog is a part of, None if it is not known to be one."""
        return self._division

    @property
    def ids(self) -> tuple[str, ...]:
        """Each picture's id."""
        return tuple(record.id for record in self)

    @property
    def paths(self) -> tuple[Path, ...]:
        """Each picture's file."""
        return tuple(record.path for record in self)

    @property
    def labels(self) -> tuple[str, ...]:
        """Each picture's class."""
        return tuple(record.label for record in self)

    @property
    def groups(self) -> tuple[str | None, ...]:
        """Each picture's group, None where it is unknown."""
        return tuple(record.group for record in self)

    @property
    def splits(self) -> tuple[str | None, ...]:
        """Each picture's split, None where the folders do not say it."""
        return tuple(record.split for record in self)

    @property
    def label_indices(self) -> NDArray[np.int64]:
        """Each picture's class as its place in `classes`: int64 `(N,)`."""
        places = {label: place for place, label in enumerate(self.classes)}
        return np.array([places[record.label] for record in self], dtype=np.int64)

    @cached_property
    def digest(self) -> str:
        """SHA-256 over classes and records in order; where the files lie does not count."""
        rows = [[record.id, record.label, record.group, record.split, record.digest] for record in self]
        return digest_of({"classes": list(self.classes), "records": rows})

    def select(
        self,
        ids: Iterable[str] | None = None,
        *,
        split: str | None = None,
        label: str | None = None,
        where: Callable[[Record], bool] | None = None,
    ) -> "Catalog":
        """Return the records that meet every condition given, in this catalog's order.

        Args:
            ids: only these pictures.
            split: only this split.
            label: only this class.
            where: only records for which this is true.

        Raises:
            ArgumentError: `ids` is a text.
            CatalogError: an id, the split or the label is not in this catalog.
        """
        if isinstance(ids, str):
            raise ArgumentError(f"ids is the text {ids!r}", "a collection of ids", "pass [id]")
        wanted = None if ids is None else dict.fromkeys(ids)
        _check_known("ids", wanted, self._by_id)
        _check_known("split", None if split is None else [split], set(self.splits) - {None})
        _check_known("label", None if label is None else [label], self.classes)
        return self._with(
            record
            for record in self
            if (wanted is None or record.id in wanted)
            and split in (None, record.split)
            and label in (None, record.label)
            and (where is None or where(record))
        )

    def with_groups(self, groups: HasGroups | Mapping[str, str]) -> "Catalog":
        """Return this catalog with groups joined to those it holds: what either joins is together.

        Args:
            groups: an `AuditReport`, or id -> group. Pictures that it does not name, or gives None, NaN or
                an empty text, keep the group they have. Group names mean something only inside one mapping:
                `"1"` here and `"1"` there join nothing.

        Raises:
            CatalogError: it gives no picture of this catalog a group.
        """
        given = groups if isinstance(groups, Mapping) else groups.groups
        new = [group_name(given.get(record.id)) for record in self]
        if self._records and not any(new):
            raise CatalogError(
                f"the groups name none of the {len(self)} pictures",
                f"ids such as {self._records[0].id!r}",
                "pass groups of these pictures",
            )
        together = joined(self.groups, new)
        return self._with(replace(record, group=group) for record, group in zip(self, together, strict=True))

    def to_csv(self, path: str | Path) -> None:
        """Write the records as a UTF-8 CSV table with the columns id, path, label, group, split, digest."""
        write_records(path, self._records)

    @classmethod
    def from_csv(
        cls, path: str | Path, root: str | Path | None = None, *, classes: Sequence[str] = LABELS
    ) -> Self:
        """Read a table that `to_csv` wrote, or one that has at least the columns id, path and label.

        Args:
            path: the table. No picture is opened.
            root: the folder that holds the pictures now, when it is not the one that was scanned.
            classes: the class names in order.

        Raises:
            ArgumentError: `classes` are no different names.
            CatalogError: the table or the root cannot be used.
        """
        return cls(read_records(path, root), classes)

    def summary(self) -> str:
        """Return the number of pictures by class and split, and of groups, as a small table."""
        parts = sorted({split for split in self.splits if split}, key=lambda name: (name != "Training", name))
        counts = Counter((record.label, record.split) for record in self)
        totals = Counter(self.labels)
        lines = [("class", "pictures", *parts)]
        lines += [
            (label, str(totals[label]), *(str(counts[label, part]) for part in parts))
            for label in self.classes
        ]
        lines.append(("all", str(len(self)), *(str(self.splits.count(part)) for part in parts)))
        groups = set(self.groups) - {None}
        return text_table(lines) + f"\ngroups: {len(groups) or 'unknown'}"

    def _with(self, records: Iterable[Record]) -> "Catalog":
        return Catalog(records, self.classes)

    @cached_property
    def _by_id(self) -> dict[str, Record]:
        return {record.id: record for record in self}

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[Record]:
        return iter(self._records)

    @overload
    def __getitem__(self, place: int) -> Record: ...
    @overload
    def __getitem__(self, place: slice) -> "Catalog": ...
    def __getitem__(self, place: int | slice) -> "Record | Catalog":
        return self._with(self._records[place]) if isinstance(place, slice) else self._records[place]

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Catalog):
            return NotImplemented
        return (self.classes, self._records) == (other.classes, other._records)

    def __hash__(self) -> int:
        return hash((self.classes, self._records))

    def __repr__(self) -> str:
        counts = Counter(self.labels)
        return f"<Catalog of {len(self)}: {', '.join(f'{label} {counts[label]}' for label in self.classes)}>"


def scan(
    root: str | Path,
    classes: Sequence[str] = LABELS,
    groups: GroupSource | None = None,
    *,
    salt: str = PUBLIC_SALT,
) -> Catalog:
    """Read class folders into a catalog, sorted by id. Files are hashed; no picture is decoded.

    DICOM files, under whatever name, get a group by themselves: a hash of the patient's id, or of the study
    where that is empty; only headers are read. It is joined with `groups`: together in either is together.

    Args:
        root: a folder that holds one folder a class, or `Training/` and `Testing/` (or one of them, or
            `train/` and `test/`) that do; these fill `.split`. Folder names may be any alias that
            `labels.label_of` knows. Folders inside a class folder are read too; hidden files and files that
            are no pictures by their name are left aside.
        classes: the class names in the order of the model's outputs.
        groups: id -> group, or the path of a CSV table with the columns `path` or `id`, and `group`, or a
            function of the id, or a compiled pattern: its group `group`, else its first, is taken. None, NaN
            and an empty text are no group.
        salt: what makes the hash of a patient another one in each project. The default is known to everybody,
            so that two scans agree and leaks between them are found; take a secret one before you pass
            tables or shards on.

    Raises:
        ArgumentError: `classes` are no different names, or `groups` is of another type.
        CatalogError: the root is missing, a folder means no class, a class has no picture, a picture lies in
            no class folder, or `groups` misses a picture.
        ReadError: a file cannot be opened.
        MissingExtra: there are DICOM files, and pydicom is not installed.

    >>> import tempfile
    >>> from mri_tumor.dataset import make_phantoms
    >>> folder = tempfile.mkdtemp()
    >>> _ = make_phantoms(folder, per_class=5, size=64)
    >>> pictures = scan(folder, groups=lambda name: name.split("-")[0])
    >>> pictures
    <Catalog of 20: glioma 5, meningioma 5, none 5, pituitary 5>
    >>> pictures.select(split="Testing", label="none").ids
    ('Testing/no_tumor/p0000006-0-exact.png',)
    """
    found = find_pictures(Path(root), checked_classes(classes))
    ids = [item.id for item in found]
    given = {} if groups is None else read_groups(groups, ids)
    group_of = joined([given.get(name) for name in ids], patient_groups([item.path for item in found], salt))
    return Catalog(
        (
            Record(item.id, item.path, item.label, group, item.split, file_digest(item.path))
            for item, group in zip(track(found, "hashing pictures"), group_of, strict=True)
        ),
        classes,
    )


def file_digest(path: Path) -> str:
    """Return the SHA-256 of a picture's file.

    Raises:
        ReadError: it cannot be opened.
    """
    try:
        return sha256_of(path)
    except OSError as error:
        raise ReadError(
            f"{path} cannot be opened ({error.strerror})", "a file that can be read", "mend or remove it"
        ) from error


def _check_known(name: str, wanted: Collection[str] | None, known: Collection[str | None]) -> None:
    unknown = [value for value in wanted or () if value not in known]
    if unknown:
        some = few([str(value) for value in list(known)[:5]]) or "none"
        raise CatalogError(
            f"{name} {few(unknown)} is not in this catalog", f"such as {some}", "check the spelling"
        )

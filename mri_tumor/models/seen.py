"""Which pictures a network was trained on, kept with it so that a test set can be held against them."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from mri_tumor.dataset.catalog import Catalog
from mri_tumor.errors import ManifestMismatch
from mri_tumor.files import write_text

_DIGITS = (
    16  # of SHA-256: among a million names two are alike with a probability of three in a hundred million
)


@dataclass(frozen=True)
class Known:
    """What is known of some pictures: three tuples in one order.

    Args:
        ids: each picture's id; empty where ids are unknown.
        groups: each picture's group, None where it is unknown.
        files: SHA-256 of each picture's file; empty where one is unknown, as in shards.
    """

    ids: tuple[str, ...]
    groups: tuple[str | None, ...]
    files: tuple[str, ...] = ()


def known_of(data: Any, ids: Sequence[str], groups: Sequence[str | None]) -> Known:
    """Return what is known of pictures with these ids and groups that came from `data`."""
    files = tuple(record.digest for record in data) if isinstance(data, Catalog) else ()
    return Known(tuple(ids), tuple(groups), files if all(files) and len(files) == len(ids) else ())


@dataclass(frozen=True)
class Shared:
    """What a data set has in common with the training pictures.

    Args:
        pictures: the ids of its pictures that were trained on.
        groups: its groups that were trained on.
        by_file: whether pictures were compared by their files' SHA-256; ids may agree by chance.
    """

    pictures: tuple[str, ...]
    groups: tuple[str, ...]
    by_file: bool = False

    def __bool__(self) -> bool:
        return bool(self.pictures or self.groups)

    def __str__(self) -> str:
        parts = [("pictures", self.pictures), ("groups", self.groups)]
        return " and ".join(f"{len(names)} {what} ({_some(names)})" for what, names in parts if names)


@dataclass(frozen=True)
class Seen:
    """The pictures that a network was trained on, as hashes: nothing can be read out of them but yes or no.

    Args:
        ids: hashes of the pictures' ids.
        groups: hashes of the groups that they belong to.
        files: hashes of their files' SHA-256; empty where those of some picture are unknown.

    >>> seen = Seen.of([Known(("a.png", "b.png"), ("p1", None))])
    >>> str(seen.shared(Known(("b.png", "c.png"), ("p2", "p1"))))
    '1 pictures (b.png) and 1 groups (p1)'
    """

    ids: frozenset[str]
    groups: frozenset[str]
    files: frozenset[str]

    @classmethod
    def of(cls, parts: Iterable[Known]) -> Self:
        """Return what is known of these parts together."""
        parts = list(parts)
        whole = all(part.files for part in parts)
        return cls(
            frozenset(_hash(name) for part in parts for name in part.ids),
            frozenset(_hash(name) for part in parts for name in part.groups if name is not None),
            frozenset(_hash(name) for part in parts for name in part.files if whole),
        )

    def shared(self, pictures: Known) -> Shared:
        """Return which of these pictures and groups were seen.

        Files are compared where both sides know them, since ids relative to two folders may agree by chance.
        """
        by_file = bool(self.files and pictures.files)
        names, seen = (pictures.files, self.files) if by_file else (pictures.ids, self.ids)
        found = [own for own, name in zip(pictures.ids, names, strict=True) if _hash(name) in seen]
        groups = {group for group in pictures.groups if group is not None and _hash(group) in self.groups}
        return Shared(tuple(found), tuple(sorted(groups)), by_file)

    def save(self, path: Path) -> None:
        """Write the hashes as JSON."""
        lists = {name: sorted(getattr(self, name)) for name in ("ids", "groups", "files")}
        write_text(path, json.dumps(lists, indent=0) + "\n")

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote.

        Raises:
            ManifestMismatch: the file holds something else.
        """
        try:
            lists = json.loads(path.read_bytes())
            return cls(*(frozenset(map(str, lists[name])) for name in ("ids", "groups", "files")))
        except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
            raise ManifestMismatch(
                f"{path} cannot be used ({error!r})",
                "the hashes of the training pictures as they were saved",
                "copy the whole folder again",
            ) from error


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")

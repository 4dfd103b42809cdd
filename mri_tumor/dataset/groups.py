"""What belongs together: joining groups, and reading them from a mapping, a table or a function."""

import re
import unicodedata
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

from mri_tumor.dataset.tables import few, read_table
from mri_tumor.errors import ArgumentError, CatalogError

GroupSource: TypeAlias = Mapping[str, object] | str | Path | Callable[[str], object] | re.Pattern[str]
"""Where groups come from: id -> group, the path of a CSV table, a function of the id, or a pattern in it."""


class UnionFind:
    """Sets that can only grow together, over the items `0 .. count - 1`.

    >>> sets = UnionFind(4)
    >>> sets.join(0, 2)
    >>> sets.roots()
    [0, 1, 0, 3]
    """

    def __init__(self, count: int) -> None:
        self._parents = list(range(count))

    def find(self, item: int) -> int:
        """Return the smallest item of the set that `item` is in."""
        while self._parents[item] != item:
            self._parents[item] = self._parents[self._parents[item]]
            item = self._parents[item]
        return item

    def join(self, first: int, second: int) -> None:
        """Make one set of the two sets that hold these items."""
        low, high = sorted((self.find(first), self.find(second)))
        self._parents[high] = low

    def join_equal(self, keys: Iterable[Hashable]) -> None:
        """Join all items that have the same key; one key an item, None joins nothing."""
        first_with: dict[Hashable, int] = {}
        for item, key in enumerate(keys):
            if key is not None:
                self.join(first_with.setdefault(key, item), item)

    def roots(self) -> list[int]:
        """Return each item's set, named by its smallest item."""
        return [self.find(item) for item in range(len(self._parents))]


def joined(old: Sequence[str | None], new: Sequence[str | None]) -> list[str | None]:
    """Join two groupings of the same items: together in either is together in the result.

    A name means something only inside its own grouping, so `"1"` in both is no reason to join. A joined group
    keeps the smallest of its old names, else the smallest of its new ones, with a `+` where that is taken.

    >>> joined(["p1", "p1", "p2", None, None], [None, "d1", "d1", "d2", None])
    ['p1', 'p1', 'p1', 'd2', None]
    """
    sets = UnionFind(len(old))
    sets.join_equal(old)
    sets.join_equal(new)
    roots = sets.roots()
    names = _smallest_names(roots, old)
    taken = set(names.values())
    for root, name in sorted(_smallest_names(roots, new).items(), key=lambda entry: entry[1]):
        if root not in names:
            while name in taken:
                name += "+"
            names[root] = name
            taken.add(name)
    return [names.get(root) for root in roots]


def group_name(value: object) -> str | None:
    """Return a group as its name; None for what tables hold where there is none: None, NaN and `""`.

    >>> group_name(7), group_name(float("nan")), group_name("")
    ('7', None, None)
    """
    try:
        missing = value is None or bool(value != value)  # NaN is no equal of itself
    except (TypeError, ValueError):  # pandas.NA does not even say that
        missing = True
    return None if missing else str(value) or None


def read_groups(source: GroupSource, ids: Sequence[str]) -> dict[str, str]:
    """Return the group of every id.

    Args:
        source: id -> group; the path of a CSV table with the columns `path` or `id`, and `group`; a
            function of the id; or a compiled pattern searched for in the id: its group `group`, else its
            first, is taken. Ids that the catalog does not hold are left aside.
        ids: the pictures that need one.

    Raises:
        CatalogError: the table cannot be used, or gives some picture no group; the first few are named.
        ArgumentError: `source` is of another type.
    """
    given: Mapping[str, object]
    if isinstance(source, str | Path):
        name, given = f"the table {source}", _read_table(Path(source))
    elif isinstance(source, Mapping):
        name, given = "the mapping", {_key(str(key)): value for key, value in source.items()}
    elif isinstance(source, re.Pattern):
        name = f"the pattern {source.pattern!r}"
        given = {picture: _matched(source, picture) for picture in ids}
    elif callable(source):
        name, given = "the function", {picture: source(picture) for picture in ids}
    else:
        raise ArgumentError(
            f"groups is a {type(source).__name__}",
            "a mapping id -> group, the path of a CSV table, a function of the id, or a compiled pattern",
            "pass one of these",
        )
    groups = {key: group for key, value in given.items() if (group := group_name(value)) is not None}
    missing = [picture for picture in ids if picture not in groups]
    if missing:
        example = f"; its own ids look like {next(iter(groups))!r}" if groups else ""
        raise CatalogError(
            f"{name} gives no group to {len(missing)} of {len(ids)} pictures: {few(missing)}{example}",
            "a group for every picture, under its path relative to the scanned folder",
            "add the missing ones (a picture that belongs to nothing gets a group of its own)",
        )
    return {picture: groups[picture] for picture in ids}


def _read_table(path: Path) -> dict[str, str]:
    columns, rows = read_table(path)
    # A table that Catalog.to_csv wrote has both: its paths are where the files lay.
    key = next((name for name in ("id", "path") if name in columns), None)
    if key is None or "group" not in columns:
        raise CatalogError(
            f"the table {path} has the columns {', '.join(columns) or '(none)'}",
            "a column path or id, and a column group, separated by commas",
            "name the columns in the first line",
        )
    groups: dict[str, str] = {}
    for number, row in enumerate(rows, start=2):
        picture, group = _key(row[key]), row["group"]
        if groups.setdefault(picture, group) != group:
            raise CatalogError(
                f"{path}, row {number}, gives {picture!r} the group {group!r} after {groups[picture]!r}",
                "one group a picture",
                "keep one of the two rows",
            )
    return groups


def normal(name: str) -> str:
    """Return a name in Unicode's composed form, so that the same name from macOS and Linux is equal."""
    return unicodedata.normalize("NFC", name)


def _key(name: str) -> str:
    name = normal(name).removeprefix("./")
    return name if "/" in name else name.replace("\\", "/")


def _matched(pattern: re.Pattern[str], picture: str) -> str | None:
    if not pattern.groups:
        raise ArgumentError(
            f"the pattern {pattern.pattern!r} has no group", "one in brackets", r'pass re.compile(r"(p\d+)_")'
        )
    match = pattern.search(picture)
    return match and match.group("group" if "group" in pattern.groupindex else 1)


def _smallest_names(roots: Sequence[int], names: Sequence[str | None]) -> dict[int, str]:
    smallest: dict[int, str] = {}
    for root, name in zip(roots, names, strict=True):
        if name is not None:
            smallest[root] = min(smallest.get(root, name), name)
    return smallest

"""Stratified splits and folds that keep together what belongs together."""

import hashlib
import logging
import math
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral

from mri_tumor.dataset.audit import audit
from mri_tumor.dataset.catalog import Catalog, Record
from mri_tumor.dataset.division import Division, divided, division_digest
from mri_tumor.errors import ArgumentError, CatalogError

logger = logging.getLogger(__name__)


def split(
    catalog: Catalog, fractions: Sequence[float] = (0.8, 0.2), by: str = "group", seed: int = 0
) -> list[Catalog]:
    """Divide a catalog into parts, class by class, so that no group lies in two of them.

    Groups are dealt out class by class, the large ones first and those of about one size (up to a factor of
    two) in an order drawn by the seed, each to the part that it leaves least full for its size: the list
    scheduling of Graham (1969) for machines of different speeds. A part's share of a class is exceeded by at
    most the class's largest group times `max(1, fraction * (parts - 1))`. A group of two classes stays whole
    and counts for the class most of its pictures have. The order is drawn by SHA-256 of the seed and the
    group's smallest id: it depends neither on the catalog's order nor on a library's random numbers.

    Args:
        catalog: the pictures. `by="group"` audits it first, and logs that, if a picture has no group.
        fractions: the share of each part, above 0 and 1 in all.
        by: `"group"`, or `"image"` for a plain random split, which warns.
        seed: another seed, another split.

    Returns:
        One catalog a fraction, each in the given catalog's order. They bear their `division`, which shards
        and classifiers made of them name in their manifest; `write_split` keeps them in a file.

    Raises:
        ArgumentError: a value is of a wrong type or outside its range.
        CatalogError: the catalog is empty, or a class has fewer groups than there are parts.
        ReadError: the audit cannot read a picture.
        MissingExtra: a picture that it reads is of a kind that needs an extra, as DICOM does.

    >>> from pathlib import Path
    >>> from mri_tumor.dataset.catalog import Record
    >>> slices = [Record(f"{i}.png", Path(f"{i}.png"), "glioma", f"patient {i // 4}") for i in range(40)]
    >>> [len(part) for part in split(Catalog(slices), (0.6, 0.2, 0.2))]
    [24, 8, 8]
    """
    shares = _checked_fractions(fractions)
    catalog, parts = _assign(catalog, shares, by, seed)
    return _divided(catalog, parts, shares, by, seed)


def folds(
    catalog: Catalog, n: int = 5, by: str = "group", seed: int = 0
) -> Iterator[tuple[Catalog, Catalog]]:
    """Return `n` pairs (train, validation): each picture is in one validation part, and no group in both.

    The validation parts are those of `split` with `n` equal fractions, and both sides of every pair bear
    that division. `write_folds` keeps them in a file.

    Args:
        catalog: the pictures, as in `split`.
        n: the number of folds, from 2.
        by: as in `split`.
        seed: another seed, other folds.

    Raises:
        ArgumentError, CatalogError, ReadError, MissingExtra: as `split`.

    >>> from pathlib import Path
    >>> from mri_tumor.dataset.catalog import Record
    >>> slices = [Record(f"{i}.png", Path(f"{i}.png"), "glioma", f"patient {i // 4}") for i in range(40)]
    >>> [(len(train), len(validation)) for train, validation in folds(Catalog(slices), n=5)]
    [(32, 8), (32, 8), (32, 8), (32, 8), (32, 8)]
    """
    if not isinstance(n, Integral) or n < 2:
        raise ArgumentError(f"n is {n!r}", "a whole number of folds from 2", "pass n=5")
    shares = (1 / n,) * int(n)
    catalog, parts = _assign(catalog, shares, by, seed)
    return leave_one_out(catalog, _divided(catalog, parts, shares, by, seed))


def leave_one_out(catalog: Catalog, parts: Sequence[Catalog]) -> Iterator[tuple[Catalog, Catalog]]:
    """Yield a pair for every part of a catalog: the others in the catalog's order, and the part itself."""
    for part in parts:
        held = set(part.ids)
        rest = (record for record in catalog if record.id not in held)
        yield Catalog(rest, catalog.classes, division=part.division), part


@dataclass(frozen=True)
class _Group:
    """Pictures that stay together: their smallest id, their number and the class they count for."""

    key: str
    size: int
    label: str


def _assign(catalog: Catalog, shares: Sequence[float], by: str, seed: int) -> tuple[Catalog, dict[str, int]]:
    """Return the catalog with groups, and the part of every picture's id."""
    if not isinstance(catalog, Catalog):
        raise ArgumentError(f"catalog is a {type(catalog).__name__}", "a Catalog", "pass scan(folder)")
    if by not in ("group", "image"):
        raise ArgumentError(f"by is {by!r}", '"group" or "image"', 'pass by="group"')
    if not isinstance(seed, Integral):
        raise ArgumentError(f"seed is {seed!r}", "a whole number", "pass seed=0")
    if not len(catalog):
        raise CatalogError("the catalog holds no picture", "pictures to divide", "check what was selected")
    parts = sorted({name for name in catalog.splits if name})
    if len(parts) > 1:
        logger.warning(
            "the pictures of %s are mixed; select(split=...) keeps them apart", " and ".join(parts)
        )
    if by == "image":
        warnings.warn(
            'split by="image": copies and slices of a patient can lie on both sides: scores come out high',
            stacklevel=3,
        )
        members = [[place] for place in range(len(catalog))]
    else:
        catalog = _with_all_groups(catalog)
        members = _members_by_group(catalog)
    groups = {_group_of(catalog, places): places for places in members}
    _check_enough(catalog, list(groups), len(shares))
    parts = _deal(list(groups), shares, catalog.classes, seed)
    return catalog, {catalog[place].id: parts[group] for group, places in groups.items() for place in places}


def _with_all_groups(catalog: Catalog) -> Catalog:
    if all(catalog.groups):
        return catalog
    logger.info("split: %d pictures have no group; auditing them first", catalog.groups.count(None))
    return catalog.with_groups(audit(catalog, on_error="raise"))


def _members_by_group(catalog: Catalog) -> list[list[int]]:
    members: dict[str | None, list[int]] = {}
    for place, group in enumerate(catalog.groups):
        members.setdefault(group, []).append(place)
    return list(members.values())


def _group_of(catalog: Catalog, places: Sequence[int]) -> _Group:
    counts = Counter(catalog[place].label for place in places)
    majority = max(catalog.classes, key=lambda label: counts[label])
    return _Group(min(catalog[place].id for place in places), len(places), majority)


def _deal(
    groups: Sequence[_Group], shares: Sequence[float], classes: Sequence[str], seed: int
) -> dict[_Group, int]:
    """Return the part of every group."""
    parts: dict[_Group, int] = {}
    totals = [0.0] * len(shares)
    for label in classes:
        own = [group for group in groups if group.label == label]
        parts |= _deal_class(sorted(own, key=lambda group: _order(group, seed)), shares, totals)
    return parts


def _deal_class(groups: Sequence[_Group], shares: Sequence[float], totals: list[float]) -> dict[_Group, int]:
    """Deal the groups of one class in the given order; `totals` says how full the parts are in all."""
    sizes = [0] * len(shares)
    parts = {}
    for dealt, group in enumerate(groups):
        empty = [part for part, size in enumerate(sizes) if size == 0]
        # The last groups go where there is none yet: a part without a class cannot be scored.
        allowed = empty if len(groups) - dealt <= len(empty) else range(len(shares))
        fill = {part: round((sizes[part] + group.size) / shares[part], 6) for part in allowed}
        part = min(allowed, key=lambda part: (fill[part], totals[part], part))
        sizes[part] += group.size
        totals[part] = round(totals[part] + group.size / shares[part], 6)
        parts[group] = part
    return parts


def _order(group: _Group, seed: int) -> tuple[int, str]:
    return -group.size.bit_length(), hashlib.sha256(f"{seed}:{group.key}".encode()).hexdigest()


def _check_enough(catalog: Catalog, groups: Sequence[_Group], parts: int) -> None:
    pictures, counts = Counter(catalog.labels), Counter(group.label for group in groups)
    for label in catalog.classes:
        if pictures[label] and counts[label] < parts:
            raise CatalogError(
                f"class {label!r} has {counts[label]} groups ({pictures[label]} pictures) for {parts} parts",
                f"at least {parts} groups of each class, a group of two classes counting for its larger one",
                "ask for fewer parts, or add pictures of other patients",
            )


def _divided(
    catalog: Catalog, parts: Mapping[str, int], shares: tuple[float, ...], by: str, seed: int
) -> list[Catalog]:
    members: list[list[Record]] = [[] for _ in shares]
    for record in catalog:
        members[parts[record.id]].append(record)
    found = [Catalog(records, catalog.classes) for records in members]
    return divided(found, Division(division_digest(found), by, int(seed), shares))


def _checked_fractions(fractions: Sequence[float]) -> tuple[float, ...]:
    try:
        shares = tuple(float(share) for share in fractions)
    except (TypeError, ValueError):
        shares = ()
    if len(shares) < 2 or not all(share > 0 for share in shares) or abs(math.fsum(shares) - 1) > 1e-6:
        raise ArgumentError(
            f"fractions is {fractions!r}", "two or more numbers above 0 that add up to 1", "pass (0.8, 0.2)"
        )
    return shares

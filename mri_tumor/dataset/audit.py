"""What is wrong with a data set, found before anybody trains: copies, leaks, contradictions, bad files."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal

from mri_tumor.dataset.audit_report import TEST, TRAIN, AuditReport, Conflict, Leak, Unreadable
from mri_tumor.dataset.catalog import Catalog, Record
from mri_tumor.dataset.duplicates import (
    NEAR_DUPLICATE,
    PIXEL_IDENTICAL,
    Fingerprint,
    fingerprints,
    near_duplicates,
)
from mri_tumor.dataset.groups import UnionFind, joined
from mri_tumor.errors import ArgumentError

__all__ = ["AuditReport", "Conflict", "Leak", "Unreadable", "audit"]

logger = logging.getLogger(__name__)

_Link = tuple[Sequence[int], Sequence[int], str, float]
"""Places whose pictures are the same as those at other places, the kind, and the correlation."""


def audit(
    train: Catalog, test: Catalog | None = None, *, on_error: Literal["raise", "skip"] = "raise"
) -> AuditReport:
    """Compare every picture with every other and report copies, leaks and contradicting labels.

    Two pictures are the same if their grey pixels are, or if they are near-duplicates: their 32x32
    thumbnails, whole or cropped to the content, correlate by .99 or more under some flip or rotation. Time
    grows with the square of the number of pictures: some ten seconds for 3000, minutes for 20 000.

    Args:
        train: the training pictures. Without `test`, pictures of its split "Testing" are taken as the test.
        test: the test pictures. Groups of the same name in both catalogs are one group.
        on_error: `"raise"`, or `"skip"` to leave out pictures that cannot be read and list them.

    Returns:
        The report; `catalog.with_groups(report)` takes its groups, and `split` keeps to them.

    Raises:
        ReadError: a picture cannot be read.
    """
    if on_error not in ("raise", "skip"):
        raise ArgumentError(f"on_error is {on_error!r}", '"raise" or "skip"', 'pass on_error="raise"')
    train, test = _sides(train, test)
    records = [*train, *test]
    prints, unreadable = _fingerprints(records, len(train), skip=on_error == "skip")
    copies = _copies(prints)
    links = list(_links(copies, prints))
    groups = _groups(records, links)
    report = AuditReport(
        classes=train.classes,
        train_labels=dict(zip(train.ids, train.labels, strict=True)),
        test_labels=dict(zip(test.ids, test.labels, strict=True)),
        distinct=len(copies),
        train_groups=dict(zip(train.ids, groups[: len(train)], strict=True)),
        test_groups=dict(zip(test.ids, groups[len(train) :], strict=True)),
        leaks=_leaks(records, links, len(train)),
        conflicts=_conflicts(records, links, len(train)),
        unreadable=unreadable,
    )
    logger.info(
        "audit: %d pictures, %d distinct, %d groups, %d test pictures leaked, %d contradicting pairs",
        *(len(records), len(copies), len(set(groups)), len(report.leaked_ids), len(report.conflicts)),
    )
    return report


def _sides(train: Catalog, test: Catalog | None) -> tuple[Catalog, Catalog]:
    for name, catalog in (("train", train), ("test", test)):
        if not isinstance(catalog, Catalog) and not (name == "test" and catalog is None):
            raise ArgumentError(f"{name} is a {type(catalog).__name__}", "a Catalog", "pass scan(folder)")
    if test is not None:
        return train, test
    return (
        train.select(where=lambda record: record.split != "Testing"),
        train.select(where=lambda record: record.split == "Testing"),
    )


def _side(place: int, train: int) -> str:
    return TRAIN if place < train else TEST


def _fingerprints(
    records: Sequence[Record], train: int, *, skip: bool
) -> tuple[dict[int, Fingerprint], tuple[Unreadable, ...]]:
    """Return place -> fingerprint of the pictures that can be read, and the others."""
    prints: dict[int, Fingerprint] = {}
    unreadable = []
    for place, result in enumerate(fingerprints([record.path for record in records])):
        if isinstance(result, Fingerprint):
            prints[place] = result
        elif skip:
            unreadable.append(Unreadable(records[place].id, _side(place, train), str(result)))
        else:
            raise result
    if unreadable:
        logger.warning(
            "audit: %d of %d pictures cannot be read and are left out", len(unreadable), len(records)
        )
    return prints, tuple(unreadable)


def _copies(prints: Mapping[int, Fingerprint]) -> list[list[int]]:
    """Return the places of every different picture."""
    places: dict[str, list[int]] = {}
    for place, print_ in prints.items():
        places.setdefault(print_.pixels, []).append(place)
    return list(places.values())


def _links(copies: Sequence[Sequence[int]], prints: Mapping[int, Fingerprint]) -> Iterator[_Link]:
    for places in copies:
        if len(places) > 1:
            yield places, places, PIXEL_IDENTICAL, 1.0
    for i, j, correlation in near_duplicates([prints[places[0]] for places in copies]):
        yield copies[i], copies[j], NEAR_DUPLICATE, correlation
        yield copies[j], copies[i], NEAR_DUPLICATE, correlation


def _groups(records: Sequence[Record], links: Iterable[_Link]) -> list[str]:
    """Return each record's group: same pictures, named by their smallest id, joined with the groups held."""
    sets = UnionFind(len(records))
    for first, second, _, _ in links:
        for place in (*first, *second):
            sets.join(first[0], place)
    names: dict[int, str] = {}
    taken: set[str] = set()
    for place in sorted(range(len(records)), key=lambda place: records[place].id):
        root, name = sets.find(place), records[place].id
        if root not in names:
            # Training and test may use one id for two pictures.
            names[root] = f"{name}+" if name in taken else name
            taken.add(names[root])
    found = [names[root] for root in sets.roots()]
    return [str(group) for group in joined([record.group for record in records], found)]


def _leaks(records: Sequence[Record], links: Iterable[_Link], train: int) -> tuple[Leak, ...]:
    found = {}
    for first, second, kind, correlation in links:
        partner = next((place for place in second if place < train), None)
        if partner is not None:
            found.update({(place, partner): (kind, correlation) for place in first if place >= train})
    return tuple(
        Leak(records[place].id, records[partner].id, kind, correlation)
        for (place, partner), (kind, correlation) in sorted(found.items())
    )


def _conflicts(records: Sequence[Record], links: Iterable[_Link], train: int) -> tuple[Conflict, ...]:
    found = {}
    for first, second, kind, correlation in links:
        first_of = {records[place].label: place for place in reversed(second)}
        for place in first:
            for label, other in first_of.items():
                if label != records[place].label:
                    found[min(place, other), max(place, other)] = (kind, correlation)
    return tuple(
        Conflict(
            records[place].id,
            records[other].id,
            (records[place].label, records[other].label),
            (_side(place, train), _side(other, train)),
            kind,
            correlation,
        )
        for (place, other), (kind, correlation) in sorted(found.items())
    )

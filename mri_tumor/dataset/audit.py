"""What is wrong with a data set, found before anybody trains: copies, leaks, contradictions, bad files."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from mri_tumor.dataset.auditing.file_checks import FileFinding, odd, unread
from mri_tumor.dataset.auditing.report import Audited, AuditReport
from mri_tumor.dataset.auditing.traits import Traits, traits_of
from mri_tumor.dataset.catalog import Catalog, Record
from mri_tumor.dataset.copies.duplicates import Fingerprint, fingerprint
from mri_tumor.dataset.copies.pairs import (
    Copies,
    Leak,
    Link,
    Pair,
    find_links,
    pairs_of,
    same_pixels,
    side_of,
)
from mri_tumor.dataset.groups import UnionFind, joined
from mri_tumor.errors import ArgumentError, ReadError
from mri_tumor.progress import track

__all__ = ["AuditReport", "Copies", "FileFinding", "Leak", "Pair", "audit"]

logger = logging.getLogger(__name__)


class _Look(NamedTuple):
    """All that is kept of a picture: it is read once."""

    print_: Fingerprint
    traits: Traits


def audit(
    train: Catalog, test: Catalog | None = None, *, on_error: Literal["raise", "skip"] = "skip"
) -> AuditReport:
    """Compare every picture with every other, look at every file, and report what is wrong.

    Two pictures are the same if their grey pixels are, or if they are near-duplicates: copies that were
    flipped, rotated by 90 degrees, resized, cropped a little, brightened or stored anew
    (`copies.duplicates` says how they are found, the page on audits with what measured recall). A file
    can be unreadable, empty, mistyped, coloured, blank, tiny or huge (`auditing.file_checks` has the limits).

    Args:
        train: the training pictures. Without `test`, pictures of its split "Testing" are taken as the test.
        test: the test pictures. Groups of the same name in both catalogs are one group.
        on_error: `"skip"` to list pictures that cannot be read and compare the others, or `"raise"`. A
            picture that is listed has a group all the same; reading it later is an error there.

    Returns:
        The report; `catalog.with_groups(report)` takes its groups, and `split` keeps to them.

    Raises:
        ArgumentError: a value is of a wrong type, or the two catalogs have different classes.
        ReadError: a picture cannot be read and `on_error` is `"raise"`.
        MissingExtra: a picture is of a kind that needs an extra, as DICOM does; whatever `on_error` is.

    >>> import tempfile
    >>> from mri_tumor.dataset import make_phantoms
    >>> report = audit(make_phantoms(tempfile.mkdtemp(), per_class=5, size=64))
    >>> report.distinct, report.leaked_ids
    (18, ('Testing/no_tumor/p0000006-0-exact.png',))
    """
    if on_error not in ("raise", "skip"):
        raise ArgumentError(f"on_error is {on_error!r}", '"raise" or "skip"', 'pass on_error="skip"')
    train, test = _sides(train, test)
    records = [*train, *test]
    looks, files = _look_at(records, len(train), skip=on_error == "skip")
    prints = {place: look.print_ for place, look in looks.items()}
    same = same_pixels(prints)
    links = find_links(records, len(train), prints, same)
    groups = _groups(records, links)
    report = AuditReport(
        classes=train.classes,
        pictures=tuple(_audited(records, len(train), groups, looks)),
        distinct=len(same),
        pairs=pairs_of(records, len(train), links),
        files=files,
    )
    logger.info(
        "audit: %d pictures, %d distinct, %d groups, %d test pictures leaked, %d contradicting pairs, "
        "%d findings about single files",
        *(len(records), len(same), len(set(groups)), len(report.leaked_ids), len(report.conflicts)),
        len(files),
    )
    return report


def _sides(train: Catalog, test: Catalog | None) -> tuple[Catalog, Catalog]:
    for name, catalog in (("train", train), ("test", test)):
        if not isinstance(catalog, Catalog) and not (name == "test" and catalog is None):
            raise ArgumentError(f"{name} is a {type(catalog).__name__}", "a Catalog", "pass scan(folder)")
    if test is not None:
        _check_same_classes(train, test)
        return train, test
    return (
        train.select(where=lambda record: record.split != "Testing"),
        train.select(where=lambda record: record.split == "Testing"),
    )


def _check_same_classes(train: Catalog, test: Catalog) -> None:
    if train.classes != test.classes:
        raise ArgumentError(
            f"test has the classes {', '.join(test.classes)}",
            f"those of train in the same order: {', '.join(train.classes)}",
            "pass the same classes= to both scans",
        )


def _look_at(
    records: Sequence[Record], train: int, *, skip: bool
) -> tuple[dict[int, _Look], tuple[FileFinding, ...]]:
    """Return place -> what was seen of the pictures that can be read, and what is odd about files."""
    looks: dict[int, _Look] = {}
    files: list[FileFinding] = []
    unreadable = 0
    for place, seen in enumerate(_looks([record.path for record in records])):
        name, side, path = records[place].id, side_of(place, train), records[place].path
        if isinstance(seen, _Look):
            looks[place] = seen
            files += odd(name, side, path, seen.traits)
        elif skip:
            unreadable += 1
            files.append(unread(name, side, path, seen))
        else:
            raise seen
    if unreadable:
        logger.warning("audit: %d of %d pictures cannot be read and are left out", unreadable, len(records))
    return looks, tuple(files)


def _looks(paths: Sequence[Path]) -> Iterator[_Look | ReadError]:
    """Read pictures in threads and yield what is seen of each in order, or the error that reading gave."""
    from mri_tumor.dataset.decoding import read_ahead

    return track(read_ahead(_look, paths), "reading pictures", total=len(paths))


def _look(path: Path) -> _Look | ReadError:
    from mri_tumor.dataset.reader import read_image

    try:
        image = read_image(path)
        return _Look(fingerprint(image), traits_of(path, image))
    except ReadError as error:
        return error
    except OSError as error:
        return ReadError(f"{path}: went away while it was read ({error.strerror})", "a file that stays")


def _audited(
    records: Sequence[Record], train: int, groups: Sequence[str], looks: Mapping[int, _Look]
) -> Iterator[Audited]:
    for place, record in enumerate(records):
        traits = looks[place].traits if place in looks else None
        side = side_of(place, train)
        yield Audited(record.id, side, record.label, groups[place], record.path, traits)


def _groups(records: Sequence[Record], links: Iterable[Link]) -> list[str]:
    """Return each record's group: same pictures, named by their smallest id, joined with the groups held."""
    sets = UnionFind(len(records))
    for link in links:
        sets.join(link.first, link.second)
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

"""Recognising the pictures of public data sets in anybody's copy."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from mri_tumor.dataset.catalog import Catalog, Record
from mri_tumor.dataset.public.known_tables import SETS, KnownPicture, known_pictures
from mri_tumor.dataset.tables import text_table
from mri_tumor.errors import ReadError
from mri_tumor.files import sha256_of
from mri_tumor.progress import track

ALIKE = 24
"""Pictures whose perceptual hashes differ in at most this many of 256 bits count as one."""


@dataclass(frozen=True)
class Match:
    """A recognised picture: what it is, and by what: `"bytes"`, `"pixels"` or `"looks"`."""

    picture: KnownPicture
    by: str


@dataclass(frozen=True)
class Known:
    """What is known of a catalog's pictures; `catalog.with_groups` and `models.evaluate(leaked=)` take it.

    Args:
        catalog: the pictures looked at.
        matches: id -> what it was recognised as.
        unreadable: ids of pictures that could not be decoded; they are among `unknown` too.

    >>> from pathlib import Path
    >>> picture = known_pictures("sartaj")[0]
    >>> mine = Record("mine.jpg", Path("mine.jpg"), "glioma", digest=picture.sha256)
    >>> found = known(Catalog([mine]))
    >>> found.matches["mine.jpg"].by, found.official().splits, picture.id
    ('bytes', ('Testing',), 'Testing/glioma_tumor/image(1).jpg')
    """

    catalog: Catalog
    matches: Mapping[str, Match]
    unreadable: tuple[str, ...] = ()

    @property
    def unknown(self) -> tuple[str, ...]:
        """The ids that no set holds."""
        return tuple(name for name in self.catalog.ids if name not in self.matches)

    @property
    def leaked_ids(self) -> frozenset[str]:
        """The official test pictures of sartaj that have a near-duplicate in its training set."""
        return self.flagged("leaked")

    @property
    def twin_ids(self) -> frozenset[str]:
        """The training pictures of sartaj that are near-duplicates of official test pictures.

        Leave them out of training, and no test picture has been seen.
        """
        tested = {item.cluster for item in known_pictures("sartaj") if item.split == "Testing"}
        return frozenset(
            name
            for name, match in self.matches.items()
            if match.picture.split == "Training" and match.picture.cluster in tested
        )

    @cached_property
    def groups(self) -> dict[str, str]:
        """Id -> group; a figshare slice goes with the sartaj pictures of its block where both are there."""
        in_sartaj = {
            match.picture.block: match.picture.group
            for match in self.matches.values()
            if match.picture.source == "sartaj" and match.picture.block
        }
        return {name: _group_of(match.picture, in_sartaj) for name, match in self.matches.items()}

    def flagged(self, flag: str) -> frozenset[str]:
        """Return the ids that bear a flag of `KnownPicture`."""
        return frozenset(name for name, match in self.matches.items() if flag in match.picture.flags)

    def official(self) -> Catalog:
        """Return the recognised pictures with the official split, wherever they lie now.

        Their groups are joined to those that the catalog holds, as in `with_groups`.
        """
        found = self.catalog.select(ids=self.matches).with_groups(self)
        split_of = {name: match.picture.split for name, match in self.matches.items()}
        return Catalog((replace(record, split=split_of[record.id]) for record in found), found.classes)

    def summary(self) -> str:
        """Return how many pictures were recognised, by set and by what, as a small table."""
        counts = Counter((match.picture.source, match.by) for match in self.matches.values())
        ways = ("bytes", "pixels", "looks")
        rows: list[tuple[str, ...]] = [("set", *ways)]
        rows += [(source, *(str(counts[source, way]) for way in ways)) for source in SETS]
        table = text_table(rows)
        return f"{table}\nunknown: {len(self.unknown)}\nleaked test pictures: {len(self.leaked_ids)}"


def known(catalog: Catalog) -> Known:
    """Recognise the pictures of the public sets sartaj and figshare, however files are named.

    By the file's SHA-256 first, without decoding; then by pixels; then by looks, for copies that were resized
    or stored again with loss. A picture that stands several times in a set is taken as the copy of the same
    name, else as the next that is not taken yet.

    Args:
        catalog: the pictures.

    Returns:
        A `Known`. Pictures that cannot be read are listed in `.unreadable`.

    Raises:
        MissingExtra: a picture is of a kind that needs an extra, as DICOM does.

    >>> known(Catalog([])).unknown
    ()
    """
    index = _Index([picture for source in SETS for picture in known_pictures(source)])
    matches: dict[str, Match] = {}
    unreadable: list[str] = []
    rest = []
    for record in catalog:
        match = index.by_bytes(record)
        if match:
            matches[record.id] = match
        else:
            rest.append(record)
    for record in track(rest, "recognising pictures") if rest else ():
        try:
            match = index.by_looks(record)
        except ReadError:
            unreadable.append(record.id)
            continue
        if match:
            matches[record.id] = match
    return Known(catalog, matches, tuple(unreadable))


class _Index:
    """The known pictures by each of their hashes."""

    def __init__(self, pictures: Sequence[KnownPicture]) -> None:
        self._pictures = pictures
        self._taken: set[tuple[str, str]] = set()
        self._by_sha = _by(pictures, "sha256")
        self._by_pixels = _by(pictures, "pixels")

    @cached_property
    def _looks(self) -> "np.ndarray[tuple[int, int], np.dtype[np.uint8]]":
        data = bytes.fromhex("".join(picture.looks for picture in self._pictures))
        return np.frombuffer(data, np.uint8).reshape(len(self._pictures), -1)

    def by_bytes(self, record: Record) -> Match | None:
        """Return what the file's bytes say."""
        try:
            found = self._by_sha.get(record.digest or sha256_of(record.path), [])
        except OSError:
            return None  # reading it as a picture says the same, and is counted
        return self._take(found, record, "bytes")

    def by_looks(self, record: Record) -> Match | None:
        """Return what the decoded picture says.

        Raises:
            ReadError: it cannot be decoded.
        """
        from mri_tumor.dataset.public.fingerprints import perceptual_hash, pixel_hash
        from mri_tumor.dataset.reader import read_image

        image = read_image(record.path)
        same = self._by_pixels.get(pixel_hash(image), [])
        if same:
            return self._take(same, record, "pixels")
        if image.min() == image.max():
            return None  # an empty picture looks like nothing
        looks = np.frombuffer(bytes.fromhex(perceptual_hash(image)), np.uint8)
        apart = np.bitwise_count(self._looks ^ looks).sum(axis=1)
        nearest = int(apart.min())
        if nearest > ALIKE:
            return None
        return self._take(
            [self._pictures[int(at)] for at in np.flatnonzero(apart == nearest)], record, "looks"
        )

    def _take(self, found: Iterable[KnownPicture], record: Record, by: str) -> Match | None:
        ranked = sorted(found, key=lambda picture: self._rank(picture, record))
        if not ranked:
            return None
        self._taken.add((ranked[0].source, ranked[0].id))
        return Match(ranked[0], by)

    def _rank(self, picture: KnownPicture, record: Record) -> tuple[bool, bool]:
        other_name = not f"/{record.path.as_posix()}".endswith(f"/{picture.id}")
        return other_name, (picture.source, picture.id) in self._taken


def _by(pictures: Iterable[KnownPicture], field: str) -> dict[str, list[KnownPicture]]:
    index: dict[str, list[KnownPicture]] = defaultdict(list)
    for picture in pictures:
        index[getattr(picture, field)].append(picture)
    return index


def _group_of(picture: KnownPicture, in_sartaj: Mapping[str, str]) -> str:
    if picture.source == "sartaj":
        return f"sartaj {picture.group}"
    if picture.block and picture.block in in_sartaj:
        return f"sartaj {in_sartaj[picture.block]}"
    return f"figshare {picture.group}"

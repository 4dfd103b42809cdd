"""Pairs of the same picture: which of them are named, and the sets of copies that they make."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mri_tumor.dataset.catalog import Record
from mri_tumor.dataset.copies.duplicates import NEAR_DUPLICATE, PIXEL_IDENTICAL, Fingerprint, near_duplicates
from mri_tumor.dataset.copies.turns import back
from mri_tumor.dataset.groups import UnionFind

TRAIN, TEST = "train", "test"

SAME = "same"
"""The relation of two pictures that need no flip and no rotation to be alike."""


@dataclass(frozen=True)
class Pair:
    """Two files with the same picture.

    Args:
        first: id of one picture; of a pair across the sets, the training picture.
        second: id of the other.
        sides: `"train"` or `"test"`, in this order.
        labels: their labels in this order.
        kind: `"pixel-identical"` or `"near-duplicate"`.
        correlation: as in `duplicates.Match`; 1 for identical pictures.
        relation: `"same"`, or how one lies to the other, as in `"mirrored left-right"`.
        same_file: the files are the same byte for byte.
    """

    first: str
    second: str
    sides: tuple[str, str]
    labels: tuple[str, str]
    kind: str
    correlation: float
    relation: str = SAME
    same_file: bool = False

    @property
    def leak(self) -> bool:
        """One is in training and the other in the test."""
        return self.sides[0] != self.sides[1]

    @property
    def conflict(self) -> bool:
        """They have different labels."""
        return self.labels[0] != self.labels[1]


@dataclass(frozen=True)
class Leak:
    """A test picture that is also in training.

    Args:
        test: its id.
        train: the id of the training picture; the first of them where that has copies.
        kind: `"pixel-identical"` or `"near-duplicate"`.
        correlation: as in `duplicates.Match`; 1 for identical pictures.
        relation: `"same"`, or how one lies to the other, as in `"mirrored left-right"`.
        same_file: the files are the same byte for byte.
    """

    test: str
    train: str
    kind: str
    correlation: float
    relation: str
    same_file: bool

    @classmethod
    def of(cls, pair: Pair) -> "Leak":
        """Return a pair across training and test as a leak."""
        return cls(pair.second, pair.first, pair.kind, pair.correlation, pair.relation, pair.same_file)


def how(pair: Pair | Leak) -> str:
    """Return in which way two pictures are the same, as text."""
    if pair.same_file:
        return "the same file"
    if pair.kind == PIXEL_IDENTICAL:
        return pair.kind
    turned = "" if pair.relation == SAME else f", {pair.relation}"
    return f"{pair.kind}{turned} ({pair.correlation:.4f})"


@dataclass(frozen=True)
class Copies:
    """Files that all hold one picture, or a chain of near-duplicates.

    Args:
        ids: the training pictures first, then by id.
        sides: `"train"` or `"test"`, in this order.
        labels: their labels in this order.
        kind: `"pixel-identical"` if all of them are, else `"near-duplicate"`.
        correlation: the lowest of the pairs that hold the set together.
    """

    ids: tuple[str, ...]
    sides: tuple[str, ...]
    labels: tuple[str, ...]
    kind: str
    correlation: float


@dataclass(frozen=True)
class Link:
    """Two places of the audit's records that hold the same picture, and in which way."""

    first: int
    second: int
    kind: str
    correlation: float
    relation: str


def same_pixels(prints: Mapping[int, Fingerprint]) -> list[list[int]]:
    """Return the places of every different picture."""
    places: dict[str, list[int]] = {}
    for place, print_ in prints.items():
        places.setdefault(print_.pixels, []).append(place)
    return list(places.values())


def find_links(
    records: Sequence[Record], train: int, prints: Mapping[int, Fingerprint], same: Sequence[Sequence[int]]
) -> list[Link]:
    """Return the pairs to name: enough to tie all copies together, and to show every leak and conflict.

    A set of n identical files gives n - 1 links rather than n * n / 2. Besides, each test picture is linked
    with a training picture, and each picture with one of every other label, where one of the 8 nearest is a
    copy of it.

    Args:
        records: the training pictures, then the test pictures.
        train: how many are training pictures.
        prints: place -> fingerprint of the pictures that can be read.
        same: the places of every different picture.
    """
    found: dict[tuple[int, int], Link] = {}
    for first, second, kind, correlation, relation in _alike(records, train, prints, same):
        for i, j in _named(records, train, first, second):
            low, high = sorted((i, j))
            forth = prints[low].pixels == prints[first[0]].pixels
            found[low, high] = Link(low, high, kind, correlation, relation if forth else back(relation))
    return [found[places] for places in sorted(found)]


def pairs_of(records: Sequence[Record], train: int, links: Iterable[Link]) -> tuple[Pair, ...]:
    """Return links as pairs of ids, sides and labels."""
    return tuple(_pair(records[link.first], records[link.second], train, link) for link in links)


def sets_of_copies(pairs: Sequence[Pair]) -> tuple[Copies, ...]:
    """Return the sets that pairs tie together, the largest first."""
    label_of = {key: label for pair in pairs for key, label in zip(_keys(pair), pair.labels, strict=True)}
    places = {key: place for place, key in enumerate(label_of)}
    sets = UnionFind(len(places))
    for pair in pairs:
        sets.join(*(places[key] for key in _keys(pair)))
    members: dict[int, list[tuple[str, str]]] = {}
    for key, place in places.items():
        members.setdefault(sets.find(place), []).append(key)
    held: dict[int, list[Pair]] = {}
    for pair in pairs:
        held.setdefault(sets.find(places[_keys(pair)[0]]), []).append(pair)
    found = [_copies(sorted(keys, key=_order), label_of, held[root]) for root, keys in members.items()]
    return tuple(sorted(found, key=lambda copies: (-len(copies.ids), copies.ids)))


_Alike = tuple[Sequence[int], Sequence[int], str, float, str]
"""Places whose pictures are the same as those at other places, the kind, the correlation, the relation."""


def _alike(
    records: Sequence[Record], train: int, prints: Mapping[int, Fingerprint], same: Sequence[Sequence[int]]
) -> Iterator[_Alike]:
    for places in same:
        if len(places) > 1:
            yield places, places, PIXEL_IDENTICAL, 1.0, SAME
    keys = [{(side_of(place, train), records[place].label) for place in places} for places in same]
    for i, j, correlation, relation in near_duplicates([prints[places[0]] for places in same], keys):
        yield same[i], same[j], NEAR_DUPLICATE, correlation, relation


def _named(
    records: Sequence[Record], train: int, first: Sequence[int], second: Sequence[int]
) -> Iterator[tuple[int, int]]:
    if first is second:
        yield from ((first[0], place) for place in first[1:])
    else:
        yield first[0], second[0]
    for own, others in ((first, second), (second, first)):
        yield from _across(train, own, others)
        yield from _contradicting(records, own, others)


def _across(train: int, own: Sequence[int], others: Sequence[int]) -> Iterator[tuple[int, int]]:
    partner = next((place for place in others if place < train), None)
    if partner is not None:
        yield from ((partner, place) for place in own if place >= train)


def _contradicting(
    records: Sequence[Record], own: Sequence[int], others: Sequence[int]
) -> Iterator[tuple[int, int]]:
    first_of = {records[place].label: place for place in reversed(others)}
    for place in own:
        for label, other in first_of.items():
            if label != records[place].label:
                yield place, other


def _pair(first: Record, second: Record, train: int, link: Link) -> Pair:
    return Pair(
        first=first.id,
        second=second.id,
        sides=(side_of(link.first, train), side_of(link.second, train)),
        labels=(first.label, second.label),
        kind=link.kind,
        correlation=link.correlation,
        relation=link.relation,
        same_file=link.kind == PIXEL_IDENTICAL and first.digest == second.digest != "",
    )


def side_of(place: int, train: int) -> str:
    """Return the side of a place among the training pictures followed by the test pictures."""
    return TRAIN if place < train else TEST


def _keys(pair: Pair) -> tuple[tuple[str, str], tuple[str, str]]:
    return (pair.sides[0], pair.first), (pair.sides[1], pair.second)


def _order(key: tuple[str, str]) -> tuple[bool, str]:
    return key[0] == TEST, key[1]


def _copies(
    keys: Sequence[tuple[str, str]], label_of: Mapping[tuple[str, str], str], pairs: Sequence[Pair]
) -> Copies:
    near = any(pair.kind == NEAR_DUPLICATE for pair in pairs)
    return Copies(
        ids=tuple(name for _, name in keys),
        sides=tuple(side for side, _ in keys),
        labels=tuple(label_of[key] for key in keys),
        kind=NEAR_DUPLICATE if near else PIXEL_IDENTICAL,
        correlation=min(pair.correlation for pair in pairs),
    )

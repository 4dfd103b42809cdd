"""The search for copies among many pictures: candidates, a first and a second look, and what is left out."""

from collections import Counter
from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from mri_tumor.dataset.candidates import FLAT, MOST, THUMBNAIL, Neighbourhood, Pairs
from mri_tumor.dataset.groups import UnionFind
from mri_tumor.dataset.turns import RELATIONS, WAYS, Fractions, correlations, turned, turned_box
from mri_tumor.progress import track

if TYPE_CHECKING:
    from mri_tumor.dataset.aligned import Aligned

CORRELATION = 0.99
"""Thumbnails that correlate at least this much are looked at closer, all of them."""

PARTNERS = 2
"""A picture with so many copies found is compared only where its set or its keys need it."""

Keys = Sequence[Collection[Hashable]]
Found = tuple[int, int, float, str]
"""Two places, the lower first, the correlation, and how the second is got from the first."""

_WHOLE, _CONTENT = 0, 1
_VIEWS = (_WHOLE, _CONTENT)
# Pairs from which those are chosen that are looked at together.
_WINDOW = 4096
# Height and width at which the way to turn is found where a crop has moved the details.
_FEW = 8


class Comparable(Protocol):
    """What is compared: a `duplicates.Fingerprint`."""

    @property
    def thumbnails(self) -> NDArray[np.uint8]:
        """uint8 `(2, 32, 32)`: the whole picture, and its content."""

    @property
    def content(self) -> NDArray[np.uint8]:
        """uint8 `(96, 96)`."""

    @property
    def box(self) -> Fractions:
        """Where the content lies in the picture."""


class _Job(NamedTuple):
    """A pair for the second look: two places, the view and the way to turn, how the thumbnails correlate."""

    first: int
    second: int
    view: int
    way: int
    alike: float


class CopySearch:
    """One search: what it has found so far decides what it still looks at.

    Args:
        pictures: what is compared.
        keys: what each counts as.
    """

    def __init__(self, pictures: Sequence[Comparable], keys: Keys) -> None:
        self._pictures = pictures
        self._keys = [frozenset(own) for own in keys]
        self._met: list[set[Hashable]] = [set() for _ in pictures]
        self._partners = [0] * len(pictures)
        self._sets = UnionFind(len(pictures))

    def pairs(self) -> Iterator[Found]:
        """Yield the pairs that are copies."""
        from mri_tumor.dataset.decoding import thread_count

        if len(self._pictures) < 2:
            return
        near = Neighbourhood([[picture.thumbnails[view] for picture in self._pictures] for view in _VIEWS])
        with ThreadPoolExecutor(thread_count(), thread_name_prefix="mri-tumor-copies") as pool:
            yield from self._look(pool, near.within(CORRELATION), "comparing likely pairs", CORRELATION)
            near_others = near.nearest(self._representatives())
            yield from self._look(pool, near_others, "comparing neighbours, for crops")
            yield from self._look(pool, self._unmet(near), "comparing across sets and labels")

    def _look(self, pool: Executor, pairs: Pairs, doing: str, least: float = -1.0) -> Iterator[Found]:
        """Yield the copies among pairs; thumbnails must correlate by `least`."""
        following = track(pairs.tolist(), doing) if len(pairs) else iter(())
        while waiting := list(islice(following, _WINDOW)):
            while waiting := [pair for pair in waiting if self._wanted(*pair)]:
                now, waiting = _at_once(waiting)
                yield from self._found(pool, np.array(now), least)

    def _found(self, pool: Executor, pairs: Pairs, least: float) -> Iterator[Found]:
        jobs = [job for job in _first_look(self._pictures, pairs, least) if job.alike >= least]
        for job, found in zip(jobs, pool.map(self._second_look, jobs), strict=True):
            if found.same:
                self._note(job.first, job.second)
                correlation = job.alike if job.alike >= CORRELATION else found.correlation
                yield job.first, job.second, min(1.0, round(correlation, 4)), RELATIONS[job.way]

    def _second_look(self, job: "_Job") -> "Aligned":
        from mri_tumor.dataset.aligned import align, box_to_box

        first, second = self._pictures[job.first], self._pictures[job.second]
        box = turned_box(first.box, job.way)
        image, close = np.ascontiguousarray(turned(first.content, job.way)), job.alike >= CORRELATION
        if job.view == _CONTENT:
            return align(image, second.content, box_to_box(box, box), close=close)
        # The smaller of the two lies inside the larger.
        if _area(box) <= _area(second.box):
            return align(image, second.content, box_to_box(box, second.box), close=close)
        return align(second.content, image, box_to_box(second.box, box), close=close)

    def _wanted(self, first: int, second: int) -> bool:
        """Whether a pair would tie sets together, show a key not met, or be one of a picture's few."""
        return (
            min(self._partners[first], self._partners[second]) < PARTNERS
            or self._sets.find(first) != self._sets.find(second)
            or not self._keys[second] <= self._met[first]
            or not self._keys[first] <= self._met[second]
        )

    def _note(self, first: int, second: int) -> None:
        self._sets.join(first, second)
        for one, other in ((first, second), (second, first)):
            self._partners[one] += 1
            self._met[one] |= self._keys[other]

    def _representatives(self) -> NDArray[np.intp]:
        """Return the first picture of every set found so far."""
        return np.unique(np.array(self._sets.roots(), np.intp))

    def _unmet(self, near: Neighbourhood) -> Pairs:
        """Return each picture with the closest one of its set of every key that it has not met."""
        found = {
            tuple(sorted((place, near.nearest_of(place, np.array(others[:MOST])))))
            for members in self._members()
            for place, others in self._missing(members)
        }
        return np.array(sorted(found), np.intp).reshape(-1, 2)

    def _missing(self, members: Sequence[int]) -> Iterator[tuple[int, list[int]]]:
        with_key: dict[Hashable, list[int]] = {}
        for place in members:
            for key in self._keys[place]:
                with_key.setdefault(key, []).append(place)
        for place in members:
            for key, others in with_key.items():
                if key not in self._met[place] | self._keys[place]:
                    yield place, others

    def _members(self) -> Iterable[list[int]]:
        sets: dict[int, list[int]] = {}
        for place, root in enumerate(self._sets.roots()):
            sets.setdefault(root, []).append(place)
        return [members for members in sets.values() if len(members) > 1]


def _at_once(pairs: Sequence[list[int]]) -> tuple[list[list[int]], list[list[int]]]:
    """Return the pairs to look at now and those that wait: a few a picture, so that few are needless."""
    times: Counter[int] = Counter()
    now: list[list[int]] = []
    later: list[list[int]] = []
    for pair in pairs:
        if max(times[pair[0]], times[pair[1]]) < PARTNERS:
            times.update(pair)
            now.append(pair)
        else:
            later.append(pair)
    return now, later


def _first_look(pictures: Sequence[Comparable], pairs: Pairs, least: float) -> Iterator[_Job]:
    """Yield each pair with the view and the way to turn in which its thumbnails correlate most.

    Where they do not correlate enough the view and the way are those in which the coarse pictures do; that is
    not looked at for pairs below `least`.
    """
    first, second = (np.stack([pictures[place].thumbnails for place in side]) for side in pairs.T)
    fine = _by_view_and_way(first, second)
    alike, best = fine.max(axis=1), fine.argmax(axis=1)
    far = (alike < CORRELATION) & (alike >= least)
    if far.any():
        best[far] = _by_view_and_way(_blocks(first[far]), _blocks(second[far])).argmax(axis=1)
    columns = (*pairs.T, best // len(WAYS), best % len(WAYS), alike)
    yield from map(_Job._make, zip(*(column.tolist() for column in columns), strict=True))


def _by_view_and_way(first: NDArray[Any], second: NDArray[Any]) -> NDArray[np.float64]:
    """Return `(n, views * 8)` correlations of `(n, views, side, side)` pictures."""
    # A block's sum spreads as much wider as it has pixels.
    flat = FLAT * (THUMBNAIL / first.shape[-1]) ** 2
    return np.concatenate([correlations(first[:, view], second[:, view], flat) for view in _VIEWS], axis=1)


def _blocks(thumbnails: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return `(n, views, 8, 8)` sums of blocks."""
    count, views, side, _ = thumbnails.shape
    size = side // _FEW
    blocks = thumbnails.reshape(count, views, _FEW, size, _FEW, size)
    return np.asarray(blocks.sum(axis=(3, 5), dtype=np.int64))


def _area(box: Fractions) -> float:
    return (box[1] - box[0]) * (box[3] - box[2])

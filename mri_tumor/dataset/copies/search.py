"""The search for copies among many pictures: candidates, a first and a second look, and what is left out."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from itertools import chain, islice
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from mri_tumor.dataset.copies.candidates import FLAT, THUMBNAIL, Neighbourhood, Pairs
from mri_tumor.dataset.copies.found_so_far import FoundSoFar, Keys, few_of_each
from mri_tumor.dataset.copies.turns import RELATIONS, WAYS, Fractions, correlations, turned, turned_box
from mri_tumor.progress import track

if TYPE_CHECKING:
    from mri_tumor.dataset.copies.aligned import Grey, Shift

    _Laid = tuple[Grey, Grey, Shift]

CORRELATION = 0.99
"""Thumbnails that correlate at least this much are looked at closer, unless their sets are tied already."""

Found = tuple[int, int, float, str]
"""Two places, the lower first, the correlation, and how the second is got from the first."""

_WHOLE, _CONTENT = 0, 1
_VIEWS = (_WHOLE, _CONTENT)
# Pairs from which those are chosen that are looked at together.
_WINDOW = 4096
# Pairs whose thumbnails are compared at the same time.
_BLOCK = 256
# How many pictures of a set are asked which of them are closest, where a picture has not met their key.
_HOLDERS = 1024
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
        self._so_far = FoundSoFar(keys)

    def pairs(self) -> Iterator[Found]:
        """Yield the pairs that are copies."""
        from mri_tumor.dataset.decoding import thread_count

        if len(self._pictures) < 2:
            return
        near = Neighbourhood([[picture.thumbnails[view] for picture in self._pictures] for view in _VIEWS])
        with ThreadPoolExecutor(thread_count(), thread_name_prefix="mri-tumor-copies") as pool:
            yield from self._look(pool, near.within(CORRELATION), "comparing likely pairs", CORRELATION)
            others = near.nearest(self._so_far.representatives())
            yield from self._look(pool, others, "comparing neighbours, for crops")
            yield from self._look(pool, self._unmet(near), "comparing across sets and labels")

    def _look(self, pool: Executor, pairs: Pairs, doing: str, least: float = -1.0) -> Iterator[Found]:
        """Yield the copies among pairs; thumbnails must correlate by `least`."""
        following = track(pairs, doing) if len(pairs) else iter(())
        while window := list(islice(following, _WINDOW)):
            waiting = np.array(window)
            while len(waiting := self._so_far.wanted(waiting)):
                now = few_of_each(waiting)
                yield from self._found(pool, waiting[now], least)
                waiting = waiting[~now]

    def _found(self, pool: Executor, pairs: Pairs, least: float) -> Iterator[Found]:
        from mri_tumor.dataset.copies.aligned import compare, lay_over

        moved: list[tuple[_Job, _Laid, Future[Shift | None]]] = []
        blocks = [pairs[start : start + _BLOCK] for start in range(0, len(pairs), _BLOCK)]
        looks = pool.map(lambda block: _first_look(self._pictures, block, least), blocks)
        for job in chain.from_iterable(looks):
            laid = self._start(job)
            if job.alike < CORRELATION or not compare(*laid).same:
                # Only this is long enough a call for threads not to wait for each other.
                moved.append((job, laid, pool.submit(lay_over, *laid)))
            else:
                yield self._noted(job, job.alike)
        for job, (first, second, _), future in moved:
            shift = future.result()
            if shift is not None and (found := compare(first, second, shift)).same:
                yield self._noted(job, max(job.alike, found.correlation))

    def _start(self, job: _Job) -> "_Laid":
        """Return the contents to lay over each other, the smaller one first, and about how they lie."""
        from mri_tumor.dataset.copies.aligned import box_to_box

        first, second = self._pictures[job.first], self._pictures[job.second]
        image, box = np.ascontiguousarray(turned(first.content, job.way)), turned_box(first.box, job.way)
        if job.view == _CONTENT:
            return image, second.content, box_to_box(box, box)
        # The smaller of the two lies inside the larger.
        if _area(box) <= _area(second.box):
            return image, second.content, box_to_box(box, second.box)
        return second.content, image, box_to_box(second.box, box)

    def _noted(self, job: _Job, correlation: float) -> Found:
        self._so_far.note(job.first, job.second)
        return job.first, job.second, min(1.0, round(correlation, 4)), RELATIONS[job.way]

    def _unmet(self, near: Neighbourhood) -> Pairs:
        """Return each picture with the closest ones of its set of every key that it has not met.

        All the closest come first, then all the second: most are met by then, and left out.
        """
        found = [
            (rank, *sorted((place, int(other))))
            for place, others in self._so_far.unmet()
            for rank, other in enumerate(near.nearest_of(place, others[:_HOLDERS]))
        ]
        return np.array(sorted(found), np.intp).reshape(-1, 3)[:, 1:]


def _first_look(pictures: Sequence[Comparable], pairs: Pairs, least: float) -> list[_Job]:
    """Return the pairs from `least` on, with the view and the way to turn in which they correlate most.

    Where they do not correlate enough the view and the way are those in which the coarse pictures do.
    """
    first, second = (np.stack([pictures[place].thumbnails for place in side]) for side in pairs.T)
    fine = _by_view_and_way(first, second)
    alike, best = fine.max(axis=1), fine.argmax(axis=1)
    far = (alike < CORRELATION) & (alike >= least)
    if far.any():
        best[far] = _by_view_and_way(_blocks(first[far]), _blocks(second[far])).argmax(axis=1)
    columns = (*pairs.T, best // len(WAYS), best % len(WAYS), alike)
    return list(map(_Job._make, zip(*(column[alike >= least].tolist() for column in columns), strict=True)))


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

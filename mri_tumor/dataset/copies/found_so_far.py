"""What a search for copies has found so far, and so which pairs are still worth a look."""

from collections.abc import Collection, Hashable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from mri_tumor.dataset.copies.candidates import Pairs

PARTNERS = 1
"""A picture with so many copies found is compared only where its set or its keys need it."""

Keys = Sequence[Collection[Hashable]]
"""For each picture what it counts as, such as its side and label."""


class FoundSoFar:
    """The sets that found pairs make, and which keys each picture has met in its own.

    Args:
        keys: what each picture counts as.

    >>> found = FoundSoFar([["a"], ["a"], ["b"]])
    >>> found.note(0, 1)
    >>> found.sets.tolist()
    [0, 0, 2]
    """

    def __init__(self, keys: Keys) -> None:
        columns = {
            key: column for column, key in enumerate(dict.fromkeys(key for own in keys for key in own))
        }
        self._keys = np.zeros((len(keys), len(columns)), np.bool_)
        for place, own in enumerate(keys):
            self._keys[place, [columns[key] for key in own]] = True
        self._met = np.zeros_like(self._keys)
        self._partners = np.zeros(len(keys), np.intp)
        self._members: dict[int, list[int]] = {}
        self.sets: NDArray[np.intp] = np.arange(len(keys))
        """Each picture's set, named by one of its pictures."""

    def note(self, first: int, second: int) -> None:
        """Take in that two pictures are copies."""
        for one, other in ((first, second), (second, first)):
            self._partners[one] += 1
            self._met[one] |= self._keys[other]
        large, small = sorted(
            (int(self.sets[first]), int(self.sets[second])), key=lambda name: (-len(self._of(name)), name)
        )
        if large != small:
            moved = self._of(small)
            self.sets[moved] = large
            self._members.setdefault(large, [large]).extend(moved)
            self._members.pop(small, None)

    def wanted(self, pairs: Pairs) -> Pairs:
        """Return the pairs that would tie sets together, show a key not met, or be one of a picture's few."""
        first, second = pairs.T
        few = np.minimum(self._partners[first], self._partners[second]) < PARTNERS
        apart = self.sets[first] != self.sets[second]
        unmet = (self._keys[second] & ~self._met[first]) | (self._keys[first] & ~self._met[second])
        return np.asarray(pairs[few | apart | unmet.any(axis=1)], np.intp)

    def unmet(self) -> Iterator[tuple[int, NDArray[np.intp]]]:
        """Yield each picture with the pictures of its set that have a key which it has not met."""
        for members in map(np.array, self._members.values()):
            for column in np.flatnonzero(self._keys[members].any(axis=0)):
                holders = members[self._keys[members, column]]
                lacking = members[~(self._met[members, column] | self._keys[members, column])]
                yield from ((int(place), holders) for place in lacking)

    def representatives(self) -> NDArray[np.intp]:
        """Return one picture of every set."""
        return np.unique(self.sets)

    def _of(self, name: int) -> list[int]:
        return self._members.get(name, [name])


def few_of_each(pairs: Pairs) -> NDArray[np.bool_]:
    """Return which pairs are among the first few of both their pictures.

    Only these are looked at before the next are chosen, so that few looks are needless.

    >>> few_of_each(np.array([[0, 1], [0, 2], [0, 3], [3, 4]])).tolist()
    [True, False, False, False]
    """
    places = pairs.ravel()
    order = np.argsort(places, kind="stable")
    begins = np.flatnonzero(np.diff(places[order], prepend=-1))
    ranks = np.empty(len(places), np.intp)
    ranks[order] = np.arange(len(places)) - np.repeat(begins, np.diff(begins, append=len(places)))
    return np.asarray(ranks.reshape(-1, 2).max(axis=1) < PARTNERS)

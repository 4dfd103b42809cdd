"""Intervals by drawing whole groups with replacement: what a metric would be on other patients like these."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mri_tumor.errors import ArgumentError
from mri_tumor.models.judging.cases import Cases

PERCENT = 95
"""How sure the intervals are, in per cent."""

_CELLS = 4_000_000  # numbers worked on at a time: a few hundred MB at most, however many pictures there are


@dataclass(frozen=True)
class Interval:
    """The middle 95 % of a metric's values over the draws.

    Args:
        low: lower end.
        high: upper end.
    """

    low: float
    high: float


class Resampling:
    """Bootstrap draws of whole groups, the same for the same pictures in whatever order.

    A draw takes as many groups as there are, each with the same chance, so a picture's weight in a draw is
    how often its group was taken (the cluster bootstrap of Davison and Hinkley 1997, section 3.8). A picture
    whose group is unknown is a group of its own.

    Args:
        cases: the pictures.
        draws: how many draws, from 1.
        seed: another seed, other draws.

    Raises:
        ArgumentError: `draws` or `seed` is out of its range.

    >>> two = Cases(("a", "b"), np.array([0, 0, 1]), np.array([0, 1, 1]), ("p", "p", None))
    >>> drawn = Resampling(two, draws=500)
    >>> drawn.groups, drawn.weights.shape, drawn.weights.sum(axis=1).tolist() == [2] * 500
    (2, (500, 2), True)
    """

    def __init__(self, cases: Cases, *, draws: int = 2000, seed: int = 0) -> None:
        check_draws(draws, seed)
        self.member = _canonical(cases)
        """Int `(N,)`: the group of each picture."""
        self.groups = int(self.member.max()) + 1
        """How many groups there are."""
        drawn = np.random.default_rng(seed).multinomial(
            self.groups, np.full(self.groups, 1 / self.groups), draws
        )
        self.weights: NDArray[np.float64] = drawn.astype(np.float64)
        """Float64 `(draws, groups)`: how often each group was taken."""

    def sums(self, columns: NDArray[np.generic]) -> NDArray[np.float64]:
        """Return the sum of each column `(N, M)` over every draw's pictures: float64 `(draws, M)`."""
        by_group = np.zeros((self.groups, columns.shape[1]))
        np.add.at(by_group, self.member, columns.astype(np.float64))
        return self.weights @ by_group

    def of_pictures(self) -> Iterator[NDArray[np.float64]]:
        """Yield the pictures' weights, some draws at a time: float64 `(n, N)`."""
        step = max(1, _CELLS // len(self.member))
        for start in range(0, len(self.weights), step):
            yield self.weights[start : start + step, self.member]


def interval(values: NDArray[np.float64]) -> Interval | None:
    """Return the middle 95 % of the values that are numbers; None if there is none.

    >>> interval(np.arange(1001.0)), interval(np.array([np.nan]))
    (Interval(low=25.0, high=975.0), None)
    """
    known = values[~np.isnan(values)]
    if not len(known):
        return None
    rest = (100 - PERCENT) / 2
    low, high = np.percentile(known, [rest, 100 - rest])
    return Interval(float(low), float(high))


def group_names(groups: Sequence[str | None]) -> list[str]:
    """Return each picture's group, and a name of its own for each whose group is unknown.

    >>> group_names(["p", None, "p", None])
    ['=p', '1', '=p', '3']
    """
    return [str(place) if group is None else f"={group}" for place, group in enumerate(groups)]


def check_draws(draws: int, seed: int) -> None:
    """Check the two numbers of a bootstrap.

    Raises:
        ArgumentError: `draws` is no whole number from 1, or `seed` none from 0.
    """
    for name, value, least in (("draws", draws, 1), ("seed", seed, 0)):
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise ArgumentError(
                f"{name} is {value!r}", f"a whole number from {least}", f"pass {name}={least or 1}"
            )


def _canonical(cases: Cases) -> NDArray[np.intp]:
    """Return each picture's group as a number that depends on what the groups hold, not on names or order.

    The groups are numbered in the order of their pictures' answers, so the same pictures get the same draws
    in whatever order and under whatever names they come.
    """
    columns = [cases.truth, cases.top]
    columns += [] if cases.answers is None else [cases.answers]
    columns += [] if cases.probabilities is None else list(cases.probabilities.T)
    content = np.unique(np.stack(columns, axis=1).astype(np.float64), axis=0, return_inverse=True)[1].ravel()
    held: dict[str, list[int]] = {}
    names = group_names(cases.groups)
    for name, number in zip(names, content.tolist(), strict=True):
        held.setdefault(name, []).append(number)
    ordered = sorted(held, key=lambda name: sorted(held[name]))
    number_of = {name: number for number, name in enumerate(ordered)}
    return np.array([number_of[name] for name in names], np.intp)

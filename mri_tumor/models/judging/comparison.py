"""Two models on the same pictures: is one surely better, or did chance choose?"""

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mri_tumor.dataset.tables import text_table
from mri_tumor.errors import ArgumentError
from mri_tumor.models.judging.bootstrap import PERCENT, Interval, Resampling, interval
from mri_tumor.models.judging.cases import Cases
from mri_tumor.models.judging.intervals import confusions, of_confusion
from mri_tumor.models.judging.result import PARTS, Evaluation, chosen
from mri_tumor.models.judging.scores import Scores, Settings

_METRICS = {"accuracy": "accuracy", "macro_f1": "macro-F1"}


@dataclass(frozen=True)
class Difference:
    """How much the second model's metric is above the first's.

    Args:
        first: the first model's metric, 0-1.
        second: the second's.
        value: second minus first, -1 to 1.
        interval: the middle 95 % of it over paired draws of groups; None with a single group.
        below: share of the draws in which it is below 0, 0-1; ties count half. None with a single group.
    """

    first: float
    second: float
    value: float
    interval: Interval | None
    below: float | None


@dataclass(frozen=True)
class ComparedPart:
    """Two models on some pictures.

    Args:
        n: how many pictures.
        groups: how many groups they belong to.
        accuracy: the difference in accuracy.
        macro_f1: the difference in macro-F1.
        only_first: pictures that only the first model calls right.
        only_second: pictures that only the second does.
        p: exact p of McNemar's test that both numbers come of one chance; None if both are 0. It takes
            pictures as independent, so it is too small where many belong to one group.
    """

    n: int
    groups: int
    accuracy: Difference
    macro_f1: Difference
    only_first: int
    only_second: int
    p: float | None


@dataclass(frozen=True)
class Comparison:
    """What `compare` found.

    Args:
        all: on all pictures.
        leaked: on the leaked ones; None if there are none, or nothing is known about leaks.
        clean: on the others, likewise.
    """

    all: ComparedPart
    leaked: ComparedPart | None
    clean: ComparedPart | None

    def to_dict(self) -> dict[str, Any]:
        """Return everything as a JSON object."""
        return dataclasses.asdict(self)

    def summary(self) -> str:
        """Return the differences as a small table, second minus first in points of per cent."""
        parts = {part: getattr(self, part) for part in PARTS if getattr(self, part) is not None}
        rows = [["second - first", *parts], ["pictures", *(str(one.n) for one in parts.values())]]
        for name, title in _METRICS.items():
            found = [getattr(one, name) for one in parts.values()]
            rows.append([f"{title}, points", *map(_points, found)])
            rows.append(
                ["  share of draws below 0", *("-" if d.below is None else f"{d.below:.3f}" for d in found)]
            )
        rows.append(
            ["right by one only", *(f"{one.only_first} / {one.only_second}" for one in parts.values())]
        )
        rows.append(
            ["McNemar's exact p", *("-" if one.p is None else f"{one.p:.3g}" for one in parts.values())]
        )
        return f"{text_table(rows)}\nin brackets: {PERCENT} % intervals by paired draws of whole groups"


def compare(first: Evaluation, second: Evaluation, *, draws: int = 2000, seed: int = 0) -> Comparison:
    """Compare two models that were evaluated on the same pictures.

    Both are scored on the same draws of whole groups, so what makes a draw easy is easy for both: the paired
    cluster bootstrap. Overlapping intervals of two evaluations say much less than this.

    Args:
        first: one evaluation.
        second: another of the same pictures, in whatever order.
        draws: bootstrap draws, from 1.
        seed: another seed, other draws.

    Raises:
        ArgumentError: the pictures, their labels or groups, or what leaked differ; or the pictures have no
            ids of their own; or a number is out of its range.
    """
    _check_same(first, second)
    order = {name: place for place, name in enumerate(second.truth.ids)}
    places = np.array([order[name] for name in first.truth.ids])
    top = second.cases().top[places]
    found = {
        part: _compared(
            (scores, second.parts[part]),
            first.cases(part),
            top[chosen(part, first.truth, first.leaked_ids)],
            Settings(draws=draws, seed=seed),
        )
        for part, scores in first.parts.items()
    }
    return Comparison(found["all"], found.get("leaked"), found.get("clean"))


def _compared(
    points: tuple[Scores, Scores], cases: Cases, second_top: NDArray[np.int64], settings: Settings
) -> ComparedPart:
    other = dataclasses.replace(cases, top=second_top)
    # The draws follow from both models' answers and the groups, never from the pictures' order.
    both = dataclasses.replace(cases, answers=second_top)
    drawn = Resampling(both, draws=settings.draws, seed=settings.seed)
    first, second = (of_confusion(confusions(one, drawn), cases.labels) for one in (cases, other))
    only_first = int((cases.right & ~other.right).sum())
    only_second = int((~cases.right & other.right).sum())
    return ComparedPart(
        n=len(cases),
        groups=drawn.groups,
        accuracy=_difference(points, "accuracy", second["accuracy"] - first["accuracy"], drawn),
        macro_f1=_difference(points, "macro_f1", second["macro_f1"] - first["macro_f1"], drawn),
        only_first=only_first,
        only_second=only_second,
        p=mcnemar(only_first, only_second),
    )


def mcnemar(only_first: int, only_second: int) -> float | None:
    """Return the exact two-sided p of McNemar's test (1947); None where neither is right alone anywhere.

    >>> mcnemar(0, 4), mcnemar(0, 0)
    (0.125, None)
    """
    from scipy.stats import binomtest

    apart = only_first + only_second
    return float(binomtest(only_first, apart, 0.5).pvalue) if apart else None


def _difference(
    points: tuple[Scores, Scores], name: str, values: NDArray[np.float64], drawn: Resampling
) -> Difference:
    first, second = (getattr(one, name) for one in points)
    if drawn.groups < 2:
        return Difference(first, second, second - first, None, None)
    below = float(np.mean(values < 0) + np.mean(values == 0) / 2)
    return Difference(first, second, second - first, interval(values), below)


def _points(found: Difference) -> str:
    value = f"{100 * found.value:+.1f}"
    ends = found.interval
    return value if ends is None else f"{value} ({100 * ends.low:+.1f} to {100 * ends.high:+.1f})"


def _check_same(first: Evaluation, second: Evaluation) -> None:
    for name, found in (("first", first), ("second", second)):
        if not isinstance(found, Evaluation):
            raise ArgumentError(
                f"{name} is a {type(found).__name__}", "an Evaluation", "pass models.evaluate(...)"
            )
        if not found.truth.known_ids:
            raise ArgumentError(
                f"the pictures of {name} have no ids", "ids to pair them by", "evaluate a Catalog or shards"
            )
    _check_pictures(first, second)
    if first.leaked_ids != second.leaked_ids:
        raise ArgumentError(
            "the two evaluations say different things about leaks",
            "the same leaked pictures",
            "pass the same leaked= to both",
        )


def _check_pictures(first: Evaluation, second: Evaluation) -> None:
    rows = [
        dict(zip(one.truth.ids, zip(one.truth.labels, one.truth.groups, strict=True), strict=True))
        for one in (first, second)
    ]
    if rows[0].keys() != rows[1].keys():
        alone = sorted(rows[0].keys() ^ rows[1].keys())
        raise ArgumentError(
            f"{len(alone)} pictures, such as {alone[0]!r}, are in one evaluation only",
            "two evaluations of the same pictures",
            "evaluate both models on the same data",
        )
    differ = sorted(name for name, row in rows[0].items() if rows[1][name] != row)
    if differ or first.labels != second.labels:
        what = f"picture {differ[0]!r} has another label or group" if differ else "the labels differ"
        raise ArgumentError(
            f"{what} in the second evaluation",
            "the same labels and groups",
            "evaluate both on the same Catalog",
        )

"""What a classifier gets wrong: the classes it confuses, and the mistakes it is most sure of."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from mri_tumor.errors import ArgumentError
from mri_tumor.models.judging.truth import Truth
from mri_tumor.models.prediction import Prediction


@dataclass(frozen=True)
class ConfusedPair:
    """One class that is taken for another.

    Args:
        label: the true class.
        top: the class it is taken for.
        count: how many pictures.
        share: of the true class's pictures, 0-1.
    """

    label: str
    top: str
    count: int
    share: float


@dataclass(frozen=True)
class Mistake:
    """One picture that is called wrong.

    Args:
        id: the picture's id.
        label: its true class.
        top: the class it is taken for.
        probability: of that class, 0-1.
        true_probability: of the true class, 0-1.
        path: its file, None where that is unknown.
    """

    id: str
    label: str
    top: str
    probability: float
    true_probability: float
    path: Path | None = None


def confused_pairs(confusion: Sequence[Sequence[int]], labels: Sequence[str]) -> tuple[ConfusedPair, ...]:
    """Return which classes are taken for which, the most frequent first.

    >>> confused_pairs([[3, 1], [0, 2]], ["a", "b"])
    (ConfusedPair(label='a', top='b', count=1, share=0.25),)
    """
    found = [
        ConfusedPair(label, labels[column], count, count / sum(row))
        for place, (label, row) in enumerate(zip(labels, confusion, strict=True))
        for column, count in enumerate(row)
        if count and column != place
    ]
    return tuple(sorted(found, key=lambda pair: (-pair.count, -pair.share)))


def mistakes(predictions: Sequence[Prediction], truth: Truth) -> tuple[Mistake, ...]:
    """Return the pictures whose most likely class is wrong, the most confident mistakes first."""
    paths = truth.paths or (None,) * len(truth.ids)
    found = [
        Mistake(one.id, label, one.top, one.probabilities[one.top], one.probabilities[label], path)
        for one, label, path in zip(predictions, truth.labels, paths, strict=True)
        if one.top != label
    ]
    return tuple(sorted(found, key=lambda one: (-one.probability, one.id)))


def check_most(most: int, name: str) -> None:
    """Check how many are to be shown.

    Raises:
        ArgumentError: it is no whole number from 0.
    """
    if not isinstance(most, int) or isinstance(most, bool) or most < 0:
        raise ArgumentError(f"{name} is {most!r}", "a whole number from 0", f"pass {name}=12")

"""How a classifier fares that may refuse to answer, and how good its prediction sets are."""

from dataclasses import dataclass

import numpy as np

from mri_tumor.models.judging.cases import ABSTAINED, Cases


@dataclass(frozen=True)
class Decisions:
    """What came of abstaining and of prediction sets; None where it cannot be computed.

    Args:
        abstention_rate: share of the pictures that were given no class, 0-1.
        selective_accuracy: share of right answers among those that were given one, 0-1; None without any.
        coverage: share of the pictures whose prediction set holds the true class, 0-1; None without sets.
        set_size: mean number of classes in a set; None without sets.
        class_coverage: label -> coverage of its pictures, None without any; empty without sets.
    """

    abstention_rate: float
    selective_accuracy: float | None
    coverage: float | None
    set_size: float | None
    class_coverage: dict[str, float | None]


def decisions(cases: Cases) -> Decisions | None:
    """Judge answers and sets; None where only the most likely classes are known.

    >>> some = Cases(("a", "b"), np.array([0, 0, 1]), np.array([0, 1, 1]), (None,) * 3,
    ...              answers=np.array([0, ABSTAINED, 1]))
    >>> decisions(some).abstention_rate, decisions(some).selective_accuracy
    (0.333..., 1.0)
    """
    if cases.answers is None:
        return None
    given = cases.answers != ABSTAINED
    right = cases.answers[given] == cases.truth[given]
    rate, accuracy = float(1 - given.mean()), float(right.mean()) if len(right) else None
    if cases.sets is None:
        return Decisions(rate, accuracy, None, None, {})
    held = cases.sets[np.arange(len(cases)), cases.truth]
    by_class = {
        label: float(held[cases.truth == place].mean()) if (cases.truth == place).any() else None
        for place, label in enumerate(cases.labels)
    }
    return Decisions(rate, accuracy, float(held.mean()), float(cases.sets.sum(axis=1).mean()), by_class)

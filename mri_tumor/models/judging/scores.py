"""All that is said of some pictures: point metrics, intervals and what came of abstaining."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np

from mri_tumor.errors import ArgumentError
from mri_tumor.models.judging.bootstrap import Interval, Resampling, check_draws
from mri_tumor.models.judging.cases import Cases, places_of
from mri_tumor.models.judging.decisions import Decisions, decisions
from mri_tumor.models.judging.intervals import intervals
from mri_tumor.models.judging.metrics import (
    Calibration,
    ClassScore,
    calibration,
    class_scores,
    confusion,
    log_loss,
    matthews,
    mean,
)

_SURE = ("n", "accuracy", "macro_f1", "balanced_accuracy", "groups")
_PERHAPS = ("mcc", "roc_auc", "pr_auc", "log_loss")
_OF_CLASSES = ("recall", "precision", "f1", "specificity", "roc_auc", "pr_auc", "sensitivity")


@dataclass(frozen=True)
class Settings:
    """How pictures are scored.

    Args:
        specificity: where the sensitivity of each class is read off, between 0 and 1.
        draws: bootstrap draws, from 1.
        seed: of the draws.

    Raises:
        ArgumentError: a value is out of its range.
    """

    specificity: float = 0.95
    draws: int = 2000
    seed: int = 0

    def __post_init__(self) -> None:
        check_draws(self.draws, self.seed)
        if not isinstance(self.specificity, int | float) or not 0 < self.specificity < 1:
            raise ArgumentError(
                f"specificity is {self.specificity!r}", "a number between 0 and 1", "pass specificity=0.95"
            )


@dataclass(frozen=True)
class Scores:
    """The metrics of some pictures; a picture's predicted class is its most likely one (`top`).

    What cannot be computed is None.

    Args:
        n: how many pictures.
        accuracy: share predicted right, 0-1.
        macro_f1: mean F1 over the classes that have pictures here, 0-1.
        per_class: label -> its scores.
        confusion: K rows of K counts; rows are the true class, columns the predicted one.
        balanced_accuracy: mean recall over the classes that have pictures here, 0-1.
        mcc: Matthews' correlation, -1 to 1.
        roc_auc: mean of the classes' areas under the ROC curve, one class against the rest, 0-1.
        pr_auc: mean of the classes' average precisions, 0-1.
        log_loss: mean negative logarithm of the true class's probability, from 0.
        calibration: whether probabilities mean what they say.
        decisions: what came of abstaining and of prediction sets.
        groups: how many groups the pictures belong to; one of unknown group is its own.
        groups_known: whether each picture's group is known.
        intervals: metric -> 95 % interval by drawing whole groups, named as in `values`.
    """

    n: int
    accuracy: float
    macro_f1: float
    per_class: dict[str, ClassScore]
    confusion: tuple[tuple[int, ...], ...]
    balanced_accuracy: float
    mcc: float | None = None
    roc_auc: float | None = None
    pr_auc: float | None = None
    log_loss: float | None = None
    calibration: Calibration = field(default_factory=Calibration)
    decisions: Decisions | None = None
    groups: int = 0
    groups_known: bool = False
    intervals: dict[str, Interval] = field(default_factory=dict)

    def values(self) -> dict[str, float | None]:
        """Return every metric by its name; those of a class end with its label, as in `"recall glioma"`."""
        names = ("accuracy", "balanced_accuracy", "macro_f1", "mcc", "roc_auc", "pr_auc", "log_loss")
        found = {name: getattr(self, name) for name in names}
        found |= dataclasses.asdict(self.calibration)
        for name in _OF_CLASSES:
            found |= {f"{name} {label}": getattr(score, name) for label, score in self.per_class.items()}
        if self.decisions is not None:
            found |= dataclasses.asdict(self.decisions)
            by_class = found.pop("class_coverage")
            found |= {f"coverage {label}": value for label, value in by_class.items()}
        return found

    def to_dict(self) -> dict[str, Any]:
        """Return the scores as a JSON object."""
        return dataclasses.asdict(self) | {"confusion": [list(row) for row in self.confusion]}

    @classmethod
    def from_dict(cls, card: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote; further keys are left aside.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: it is something else.

        >>> found = scores(["a", "a", "b"], ["a", "b", "b"], ["a", "b", "c"])
        >>> Scores.from_dict(found.to_dict()) == found
        True
        """
        decided = card["decisions"]
        return cls(
            **{name: _number(card[name]) for name in _SURE},
            **{name: _perhaps(card[name]) for name in _PERHAPS},
            per_class={label: _filled(ClassScore, one) for label, one in card["per_class"].items()},
            confusion=tuple(tuple(map(int, row)) for row in card["confusion"]),
            calibration=_filled(Calibration, card["calibration"]),
            decisions=None if decided is None else _decisions(decided),
            groups_known=card["groups_known"] is True,
            intervals={name: _filled(Interval, ends) for name, ends in card["intervals"].items()},
        )


def score(cases: Cases, settings: Settings | None = None) -> Scores:
    """Score some pictures, one at least."""
    settings = settings or Settings()
    per_class = class_scores(cases, settings.specificity)
    drawn = Resampling(cases, draws=settings.draws, seed=settings.seed)
    found = per_class.values()
    return Scores(
        n=len(cases),
        accuracy=float(cases.right.mean()),
        macro_f1=_over_classes([one.f1 for one in found]),
        per_class=per_class,
        confusion=tuple(tuple(row) for row in confusion(cases).tolist()),
        balanced_accuracy=_over_classes([one.recall for one in found]),
        mcc=matthews(cases),
        roc_auc=mean([one.roc_auc for one in found]),
        pr_auc=mean([one.pr_auc for one in found]),
        log_loss=log_loss(cases),
        calibration=calibration(cases),
        decisions=decisions(cases),
        groups=drawn.groups,
        groups_known=None not in cases.groups,
        intervals=intervals(cases, drawn),
    )


def score_part(cases: Cases, chosen: Sequence[bool], settings: Settings) -> Scores | None:
    """Score the chosen pictures; None if none is chosen."""
    return score(cases.take(np.array(chosen, bool)), settings) if any(chosen) else None


def scores(truth: Sequence[str], predicted: Sequence[str], labels: Sequence[str]) -> Scores:
    """Score predicted labels against true ones, each picture a group of its own.

    >>> scores(["a", "a", "b"], ["a", "b", "b"], ["a", "b", "c"]).per_class["a"].recall
    0.5
    """
    names = tuple(labels)
    return score(Cases(names, places_of(truth, names), places_of(predicted, names), (None,) * len(truth)))


def _over_classes(values: list[float | None]) -> float:
    """Return the mean over the classes that have pictures; one has, since there are pictures."""
    return float(np.mean([value for value in values if value is not None]))


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise TypeError(f"{value!r:.60} is no number")
    return value


def _perhaps(value: Any) -> Any:
    return None if value is None else _number(value)


def _filled(kind: Any, card: Mapping[str, Any]) -> Any:
    """Return a dataclass whose fields are all numbers or None."""
    return kind(**{field.name: _perhaps(card[field.name]) for field in dataclasses.fields(kind)})


def _decisions(card: Mapping[str, Any]) -> Decisions:
    by_class = {label: _perhaps(value) for label, value in card["class_coverage"].items()}
    names = ("abstention_rate", "selective_accuracy", "coverage", "set_size")
    shares = {name: _perhaps(card[name]) for name in names}
    return Decisions(**shares, class_coverage=by_class)

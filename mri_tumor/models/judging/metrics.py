"""The point metrics of some pictures; what cannot be computed is None, never 0 or NaN."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mri_tumor.models.judging.cases import Cases
from mri_tumor.models.judging.ranking import Ranking, ranking


@dataclass(frozen=True)
class ClassScore:
    """How one class fares against the rest; what cannot be computed is None.

    Args:
        precision: share of the pictures called so that are so, 0-1; None if none is called so.
        recall: share of the class's pictures that are called so, 0-1; None without pictures of the class.
        f1: harmonic mean of the two, 0-1; None without pictures of the class.
        support: pictures of the class.
        specificity: share of the other pictures that are not called so, 0-1; None without others.
        roc_auc: as in `Ranking`; None without probabilities too.
        pr_auc: as in `Ranking`.
        sensitivity: recall at the fixed specificity of the evaluation, as in `Ranking`.
    """

    precision: float | None
    recall: float | None
    f1: float | None
    support: int
    specificity: float | None = None
    roc_auc: float | None = None
    pr_auc: float | None = None
    sensitivity: float | None = None


def confusion(cases: Cases) -> NDArray[np.int64]:
    """Return the counts `(K, K)`: rows are the true class, columns the most likely one."""
    from sklearn.metrics import confusion_matrix

    return np.asarray(confusion_matrix(cases.truth, cases.top, labels=range(len(cases.labels))), np.int64)


def class_scores(cases: Cases, specificity: float) -> dict[str, ClassScore]:
    """Return label -> how it fares.

    Args:
        cases: the pictures.
        specificity: where `sensitivity` is read off, 0-1.
    """
    from sklearn.metrics import precision_recall_fscore_support

    places = range(len(cases.labels))
    columns = precision_recall_fscore_support(cases.truth, cases.top, labels=places, zero_division=np.nan)
    found = {}
    for place, (label, precision, recall, f1, support) in enumerate(zip(cases.labels, *columns, strict=True)):
        others = cases.truth != place
        ranked = _ranking(cases, place, specificity)
        found[label] = ClassScore(
            precision=known(precision),
            recall=known(recall),
            f1=known(f1) if support else None,
            support=int(support),
            specificity=float((cases.top[others] != place).mean()) if others.any() else None,
            roc_auc=ranked.roc_auc,
            pr_auc=ranked.pr_auc,
            sensitivity=ranked.sensitivity,
        )
    return found


def matthews(cases: Cases) -> float | None:
    """Return Matthews' correlation of truth and answers, -1 to 1; None if either is the same for all."""
    from sklearn.metrics import matthews_corrcoef

    if len(np.unique(cases.truth)) < 2 or len(np.unique(cases.top)) < 2:
        return None
    return float(matthews_corrcoef(cases.truth, cases.top))


def log_loss(cases: Cases) -> float | None:
    """Return the mean negative logarithm of the true class's probability, from 0; None without any."""
    if cases.probabilities is None:
        return None
    own = cases.probabilities[np.arange(len(cases)), cases.truth]
    # One certain error must not make it infinite: float32, which networks answer in, ends about here.
    return float(-np.log(np.maximum(own, np.finfo(np.float32).eps)).mean())


@dataclass(frozen=True)
class Calibration:
    """Whether probabilities mean what they say; None where only classes were answered.

    Args:
        brier: the Brier score, 0 (sure and right) to 2 (sure and wrong).
        ece: the debiased expected calibration error of the most likely class, 0-1.
    """

    brier: float | None = None
    ece: float | None = None


def calibration(cases: Cases) -> Calibration:
    """Return Brier score and debiased calibration error, as `models.brier` and its neighbour define them."""
    from mri_tumor.models.reliability import brier, expected_calibration_error

    if cases.probabilities is None:
        return Calibration()
    return Calibration(
        brier(cases.probabilities, cases.truth), expected_calibration_error(cases.probabilities, cases.truth)
    )


def mean(values: "list[float | None]") -> float | None:
    """Return the mean of the values that are known; None if none is.

    >>> mean([0.5, None, 1.0]), mean([None])
    (0.75, None)
    """
    there = [value for value in values if value is not None]
    return float(np.mean(there)) if there else None


def known(value: float) -> float | None:
    """Return None for NaN, and other numbers as they are."""
    return None if np.isnan(value) else float(value)


def _ranking(cases: Cases, place: int, specificity: float) -> Ranking:
    if cases.probabilities is None:
        return Ranking(None, None, None)
    return ranking(cases.probabilities[:, place], cases.truth == place, specificity)

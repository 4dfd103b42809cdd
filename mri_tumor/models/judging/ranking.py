"""Metrics of how well a class's probability ranks its pictures above the others: ROC and precision-recall."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Ranking:
    """How well one class is told from the rest by its probability; None where it cannot be computed.

    Args:
        roc_auc: area under the ROC curve, 0-1; 0.5 is chance. It needs pictures of the class and others.
        pr_auc: average precision, 0-1; the class's share of the pictures is chance.
        sensitivity: highest share of the class that is found while the specificity is at least the fixed
            one, 0-1. The threshold is chosen on the very pictures, so it flatters where they are few.
    """

    roc_auc: float | None
    pr_auc: float | None
    sensitivity: float | None


def ranking(score: NDArray[np.float64], positive: NDArray[np.bool_], specificity: float) -> Ranking:
    """Judge the probabilities of one class.

    Args:
        score: `(N,)`, each picture's probability of the class.
        positive: bool `(N,)`, which pictures are of the class.
        specificity: the share of the others that must not be called so, 0-1.

    >>> ranking(np.array([0.9, 0.6, 0.7, 0.1]), np.array([True, True, False, False]), 0.95)
    Ranking(roc_auc=0.75, pr_auc=0.833..., sensitivity=0.5)
    """
    from sklearn.metrics import average_precision_score, roc_auc_score

    if positive.all() or not positive.any():
        return Ranking(None, None, None)
    false_alarms, found = roc_curve(score, positive)
    allowed = false_alarms <= 1 - specificity + 1e-12  # 1 - 0.95 is a little below 0.05
    return Ranking(
        float(roc_auc_score(positive, score)),
        float(average_precision_score(positive, score)),
        float(found[allowed].max()),
    )


def roc_curve(
    score: NDArray[np.float64], positive: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return false and true positive rates by falling threshold; there are pictures of both kinds."""
    from sklearn.metrics import roc_curve as curve

    false_alarms, found, _ = curve(positive, score, drop_intermediate=False)
    return false_alarms, found


def pr_curve(
    score: NDArray[np.float64], positive: NDArray[np.bool_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return recall and precision by falling threshold; there are pictures of the class."""
    from sklearn.metrics import precision_recall_curve

    precision, recall, _ = precision_recall_curve(positive, score)
    return recall[::-1], precision[::-1]


def weighted_areas(
    score: NDArray[np.float64], positive: NDArray[np.bool_], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return ROC-AUC and average precision under many weightings at once; NaN where one kind has no weight.

    The same values as scikit-learn's with `sample_weight`, without its loop.

    Args:
        score: `(N,)`.
        positive: bool `(N,)`.
        weights: `(D, N)`, from 0.

    Returns:
        Two arrays `(D,)`.
    """
    order = np.argsort(-score, kind="stable")
    # Pictures of one score are passed together: only the last place of a run counts.
    ends = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))
    ordered = weights[:, order]
    found = np.cumsum(ordered * positive[order], axis=1)[:, ends]
    called = np.cumsum(ordered, axis=1)[:, ends]
    steps = np.diff(found, axis=1, prepend=0)
    alarms = called - found
    with np.errstate(invalid="ignore", divide="ignore"):
        area = np.sum(np.diff(alarms, axis=1, prepend=0) * (found - steps / 2), axis=1)
        roc = area / (found[:, -1] * alarms[:, -1])
        precision = np.where(called > 0, found / called, 0)
        average = np.sum(steps * precision, axis=1) / found[:, -1]
    return roc, np.where(alarms[:, -1] > 0, average, np.nan)

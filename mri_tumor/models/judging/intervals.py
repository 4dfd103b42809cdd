"""The group-bootstrap intervals of the metrics that are quoted."""

import numpy as np
from numpy.typing import NDArray

from mri_tumor.models.judging.bootstrap import Interval, Resampling, interval
from mri_tumor.models.judging.cases import ABSTAINED, Cases
from mri_tumor.models.judging.ranking import weighted_areas

_OF_CLASSES = ("recall", "roc_auc", "pr_auc", "coverage")

Values = dict[str, NDArray[np.float64]]
"""Name of a metric -> its value in every draw, NaN where a draw does not tell it."""


def intervals(cases: Cases, drawn: Resampling) -> dict[str, Interval]:
    """Return metric -> its 95 % percentile interval over draws of whole groups.

    The names are those of `Scores.values`. A metric is missing if the pictures, or those of its class, belong
    to a single group: draws of one group say nothing. Where every answer is right, or none, draws cannot
    differ either and the interval is a point; that is a limit of the bootstrap and no certainty.

    Args:
        cases: the pictures.
        drawn: their draws.
    """
    if drawn.groups < 2:
        return {}
    values = of_confusion(confusions(cases, drawn), cases.labels)
    values |= _of_ranking(cases, drawn) | _of_decisions(cases, drawn)
    single = [label for label in cases.labels if _groups_of(cases, drawn, label) < 2]
    unsure = {f"{name} {label}" for name in _OF_CLASSES for label in single}
    found = {name: interval(array) for name, array in values.items() if name not in unsure}
    return {name: ends for name, ends in found.items() if ends is not None}


def confusions(cases: Cases, drawn: Resampling) -> NDArray[np.float64]:
    """Return the confusion matrix of every draw: float64 `(draws, K, K)`, rows are the true class."""
    count = len(cases.labels)
    cells = np.eye(count * count)[cases.truth * count + cases.top]
    return drawn.sums(cells).reshape(-1, count, count)


def of_confusion(tables: NDArray[np.float64], labels: tuple[str, ...]) -> Values:
    """Return what follows from confusion matrices `(draws, K, K)`, each metric with a value a draw."""
    hits = np.diagonal(tables, axis1=1, axis2=2)
    there, called = tables.sum(axis=2), tables.sum(axis=1)
    recall = _ratio(hits, there)
    # A class without pictures has no F1, also if some picture is called so.
    f1 = np.where(there > 0, _ratio(2 * hits, there + called), np.nan)
    found = {
        "accuracy": hits.sum(axis=1) / tables.sum(axis=(1, 2)),
        "balanced_accuracy": _mean(recall),
        "macro_f1": _mean(f1),
    }
    return found | {f"recall {label}": recall[:, place] for place, label in enumerate(labels)}


def _of_ranking(cases: Cases, drawn: Resampling) -> Values:
    if cases.probabilities is None:
        return {}
    positive = [cases.truth == place for place in range(len(cases.labels))]
    areas = [
        [weighted_areas(cases.probabilities[:, place], own, weights) for place, own in enumerate(positive)]
        for weights in drawn.of_pictures()
    ]
    roc, average = np.concatenate([np.array(part).transpose(1, 2, 0) for part in areas], axis=1)
    found = {"roc_auc": _mean(roc), "pr_auc": _mean(average)}
    for place, label in enumerate(cases.labels):
        found |= {f"roc_auc {label}": roc[:, place], f"pr_auc {label}": average[:, place]}
    return found


def _of_decisions(cases: Cases, drawn: Resampling) -> Values:
    if cases.answers is None:
        return {}
    given = cases.answers != ABSTAINED
    sums = drawn.sums(np.stack([np.ones(len(cases)), given, given & (cases.answers == cases.truth)], axis=1))
    found = {
        "abstention_rate": 1 - sums[:, 1] / sums[:, 0],
        "selective_accuracy": _ratio(sums[:, 2], sums[:, 1]),
    }
    return found | _of_sets(cases, drawn)


def _of_sets(cases: Cases, drawn: Resampling) -> Values:
    if cases.sets is None:
        return {}
    own = np.eye(len(cases.labels))[cases.truth]
    held = own * cases.sets
    there, covered = drawn.sums(own), drawn.sums(held)
    sizes = drawn.sums(cases.sets.sum(axis=1, keepdims=True))[:, 0]
    found = {"coverage": covered.sum(axis=1) / there.sum(axis=1), "set_size": sizes / there.sum(axis=1)}
    by_class = _ratio(covered, there)
    return found | {f"coverage {label}": by_class[:, place] for place, label in enumerate(cases.labels)}


def _groups_of(cases: Cases, drawn: Resampling, label: str) -> int:
    return len(np.unique(drawn.member[cases.truth == cases.labels.index(label)]))


def _ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)


def _mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean over classes `(draws, K)` of those that are known in a draw."""
    there = ~np.isnan(values)
    return _ratio(np.where(there, values, 0).sum(axis=1), there.sum(axis=1).astype(np.float64))

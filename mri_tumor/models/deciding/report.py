"""What a calibration is worth: judged on every fold by what was fitted on the others alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mri_tumor.models.deciding.observations import Observations
from mri_tumor.models.deciding.plan import Fitted, softmax
from mri_tumor.models.deciding.settings import Settings
from mri_tumor.models.decision import decide, judge
from mri_tumor.models.judging.bootstrap import Resampling, interval
from mri_tumor.models.judging.cases import Cases
from mri_tumor.models.prediction import REASONS
from mri_tumor.models.reliability import brier, expected_calibration_error, reliability_curve


def report_of(
    found: Observations, parts: NDArray[np.int64], judged: Sequence[Fitted], labels: tuple[str, ...]
) -> dict[str, Any]:
    """Return the report as a JSON object.

    Args:
        found: the calibration pictures.
        parts: the fold of each, whole numbers (N,).
        judged: for every fold what was fitted on the others.
        labels: the K labels in order.

    Shares come as `{"value", "low", "high"}`, the ends being those of the 95 % interval of `Resampling`. A
    share of nothing is None.
    """
    said = _said(found, parts, judged)
    count, truth = len(found.labels), found.labels
    shares = Shares(Cases(labels, truth, said["top"], found.known.groups))
    held, label = said["prediction_set"], said["label"]
    size, covered, named = held.sum(axis=1), held[np.arange(count), truth], label >= 0
    everywhere = np.ones(count, bool)
    coverage = {name: shares(covered, truth == place) for place, name in enumerate(labels)}
    novel = None if found.distances is None else shares(said["novelty"] > 1, everywhere)
    before = softmax(found.logits, 1.0)
    return {
        "source": found.source,
        "n": count,
        "counts": {name: int((truth == place).sum()) for place, name in enumerate(labels)},
        "groups": len(set(found.groups)),
        "without_group": sum(group is None for group in found.known.groups),
        "temperatures": [round(one.temperature, 4) for one in judged],
        "before": _reliability(before, truth),
        "after": _reliability(said["probabilities"], truth),
        "accuracy": shares(said["top"] == truth, everywhere),
        "coverage": {"all": shares(covered, everywhere), **coverage},
        "set_size": round(float(size.mean()), 4),
        "abstention": shares(~named, everywhere),
        "reasons": {name: int((said["reason"] == code).sum()) for code, name in enumerate(REASONS) if name},
        "selective_accuracy": shares(label == truth, named),
        "false_alarms": novel,
    }


class Shares:
    """Shares of pictures with their 95 % intervals, over draws of whole groups.

    Args:
        cases: the pictures; the same draws serve every share.

    >>> three = Cases(("a", "b"), np.array([0, 0, 1]), np.array([0, 0, 0]), ("p", "p", None))
    >>> Shares(three)(np.array([True, True, False]), np.ones(3, bool))
    {'value': 0.6667, 'low': 0.0, 'high': 1.0}
    """

    def __init__(self, cases: Cases) -> None:
        self._drawn = Resampling(cases)

    def __call__(self, chosen: NDArray[np.bool_], among: NDArray[np.bool_]) -> dict[str, float] | None:
        """Return the share of the pictures `among` that are `chosen`, both bool (N,); None of no pictures."""
        if not among.any():
            return None
        hits, of = self._drawn.sums(np.stack([chosen & among, among], axis=1)).T
        found = interval(hits[of > 0] / of[of > 0])
        ends = {} if found is None else {"low": round(found.low, 4), "high": round(found.high, 4)}
        return {"value": round(float((chosen & among).sum() / among.sum()), 4), **ends}


def _said(found: Observations, parts: NDArray[np.int64], judged: Sequence[Fitted]) -> dict[str, NDArray[Any]]:
    """Return what is said of every picture, by what was fitted on the other folds, in the pictures' order."""
    columns: dict[str, list[NDArray[Any]]] = {}
    order = [np.flatnonzero(parts == part) for part in range(len(judged))]
    for places, fitted in zip(order, judged, strict=True):
        settings = Settings(temperature=fitted.temperature, conformal=fitted.conformal)
        said = decide(found.logits[places], settings=settings)
        if found.distances is not None and fitted.threshold is not None:
            said["novelty"] = (found.distances[places] / fitted.threshold).astype(np.float32)
        said |= judge(said["top"], said["prediction_set"], said.get("novelty"))
        for name, value in said.items():
            columns.setdefault(name, []).append(np.asarray(value))
    back = np.argsort(np.concatenate(order))
    return {name: np.concatenate(parts)[back] for name, parts in columns.items()}


def _reliability(probabilities: NDArray[np.floating], labels: NDArray[np.int64]) -> dict[str, Any]:
    curve = reliability_curve(probabilities, labels)
    chosen = np.asarray(probabilities, np.float64)[np.arange(len(labels)), labels]
    return {
        "ece": round(expected_calibration_error(probabilities, labels), 4),
        "ece_plain": round(expected_calibration_error(probabilities, labels, debiased=False), 4),
        "brier": round(brier(probabilities, labels), 4),
        "log_loss": round(float(-np.log(np.maximum(chosen, 1e-12)).mean()), 4),
        "curve": {name: np.round(column, 4).tolist() for name, column in curve._asdict().items()},
    }

"""The charts of an evaluation's page."""

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure

from mri_tumor import plots
from mri_tumor.models.judging.cases import Cases
from mri_tumor.models.judging.ranking import pr_curve, roc_curve
from mri_tumor.models.judging.result import parts_of
from mri_tumor.models.judging.scores import Scores
from mri_tumor.models.reliability import reliability_curve

if TYPE_CHECKING:
    from mri_tumor.models.judging.result import Evaluation


def floors_chart(found: "Evaluation") -> Figure:
    """Draw the accuracy of the model and of the floors, each part with its interval."""
    rows = {"this model": found.parts} | {floor.name: parts_of(floor) for floor in found.floors or ()}
    marks = {
        part: [_mark(scored[part]) if part in scored else None for scored in rows.values()]
        for part in found.parts
    }
    return plots.dots(list(rows), marks, xlabel="accuracy, with its 95 % interval")


def curves_chart(cases: Cases, title: str) -> Figure | None:
    """Draw ROC and precision-recall of every class that has pictures and others; None if none has."""
    told = {
        label: (cases.probabilities[:, place], cases.truth == place)
        for place, label in enumerate(cases.labels)
        if cases.probabilities is not None and 0 < np.sum(cases.truth == place) < len(cases)
    }
    if not told:
        return None
    roc = {label: roc_curve(*pair) for label, pair in told.items()}
    precision = {label: pr_curve(*pair) for label, pair in told.items()}
    return plots.ranked(roc, precision, cases.labels, title=title)


def confusion_chart(scores: Scores, labels: tuple[str, ...], title: str) -> Figure:
    """Draw a confusion matrix."""
    return plots.confusion(np.array(scores.confusion), labels, title=title)


def reliability_chart(cases: Cases, part: str) -> Figure:
    """Draw how often the most likely class is right against how sure the model is of it."""
    curve = reliability_curve(np.asarray(cases.probabilities), cases.truth)
    bins = (curve.confidence.tolist(), curve.accuracy.tolist(), curve.counts.tolist())
    return plots.reliability({part: bins})


def _mark(scores: Scores) -> plots.Mark:
    ends = scores.intervals.get("accuracy")
    return (scores.accuracy, None, None) if ends is None else (scores.accuracy, ends.low, ends.high)

"""Temperature and thresholds from pictures in folds: what `calibrate` fits, for use and for its report."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mri_tumor.models.deciding.conformal import ALWAYS, Conformal, scores, thresholds
from mri_tumor.models.deciding.observations import Observations
from mri_tumor.models.deciding.temperature import fit_temperature


@dataclass(frozen=True)
class Fitted:
    """What calibration finds.

    Args:
        temperature: what logits are divided by, above 0.
        conformal: how sets are made.
        threshold: the distance that is novelty 1; None where nothing measured distances.
        false_alarms: the share of ordinary pictures beyond it that was asked for, between 0 and 1.
    """

    temperature: float
    conformal: Conformal
    threshold: float | None
    false_alarms: float

    def always(self, labels: tuple[str, ...]) -> list[str]:
        """Return the classes that are in every set because they had too few pictures."""
        limits = zip(labels, self.conformal.thresholds, strict=True)
        return [label for label, limit in limits if limit >= ALWAYS]


@dataclass(frozen=True)
class Plan:
    """What calibration is asked for.

    Args:
        classes: how many classes.
        risk: between 0 and 1.
        method: `"plain"` or `"aps"`.
        false_alarms: between 0 and 1.
    """

    classes: int
    risk: float
    method: str
    false_alarms: float

    def fit(self, found: Observations, parts: NDArray[np.int64]) -> Fitted:
        """Fit all of it.

        Args:
            found: the pictures.
            parts: the fold of each, whole numbers (N,), of at least two folds: a picture's score is made with
                the temperature of the other folds.
        """
        true_scores = np.empty(len(found.labels))
        for part in np.unique(parts):
            held = parts == part
            temperature = fit_temperature(found.logits[~held], found.labels[~held])
            probabilities = softmax(found.logits[held], temperature)
            every = np.asarray(scores(probabilities, self.method))
            true_scores[held] = every[np.arange(len(every)), found.labels[held]]
        limits = thresholds(true_scores, found.labels, self.classes, self.risk)
        return Fitted(
            fit_temperature(found.logits, found.labels),
            Conformal(self.method, self.risk, limits),
            None if found.distances is None else distance_threshold(found.distances, self.false_alarms),
            self.false_alarms,
        )


def softmax(logits: NDArray[np.floating], temperature: float) -> NDArray[np.float64]:
    """Return the probabilities float64 (N, K) of logits (N, K) divided by the temperature."""
    from scipy.special import softmax as scipy_softmax

    found: NDArray[np.float64] = scipy_softmax(np.asarray(logits, np.float64) / temperature, axis=1)
    return found


def distance_threshold(distances: NDArray[np.floating], false_alarms: float) -> float:
    """Return the distance that a share of pictures like these lies beyond, at most.

    It is the ceil((n + 1) (1 - false_alarms))-th smallest of n, or the largest where n is too small for that.

    >>> distance_threshold(np.arange(1.0, 100.0), 0.1)
    90.0
    """
    rank = min(math.ceil(round((len(distances) + 1) * (1 - false_alarms), 9)), len(distances))
    return max(float(np.sort(distances)[rank - 1]), 1e-6)

"""Prediction sets: the classes that cannot be ruled out at a chosen risk, class by class."""

import math
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from mri_tumor.errors import ArgumentError

METHODS = ("plain", "aps")
"""The scores that `scores` knows."""

ALWAYS = 1.0
"""A threshold that every score meets: its class is in every set."""

TOLERANCE = 1e-5
"""What a score may exceed its threshold by: other engines round otherwise, and it must not decide a set."""


@dataclass(frozen=True)
class Conformal:
    """How sets are made: a score a class, and the threshold below which the class belongs to the set.

    Args:
        method: `"plain"` or `"aps"`, see `scores`.
        risk: the share of a class's pictures whose set may lack their true class, between 0 and 1.
        thresholds: one a class, in the order of the labels, 0-1; 1 puts the class into every set.

    Raises:
        ArgumentError: a value is outside its range.

    >>> sets = Conformal("plain", 0.1, (0.5, 0.7)).sets([[0.8, 0.2], [0.6, 0.4], [0.45, 0.55]])
    >>> keras.ops.convert_to_numpy(sets).tolist()
    [[True, False], [True, True], [False, True]]
    """

    method: str
    risk: float
    thresholds: tuple[float, ...]

    def __post_init__(self) -> None:
        check_method(self.method)
        check_risk(self.risk)
        if not self.thresholds or not all(0 <= value <= ALWAYS for value in self.thresholds):
            raise ArgumentError(
                f"thresholds is {self.thresholds}", "a number from 0 to 1 a class", "calibrate again"
            )

    def sets(self, probabilities: Any) -> Any:
        """Return which classes each picture's set holds, bool (N, K), for probabilities (N, K)."""
        limits = np.asarray(self.thresholds, np.float32) + np.float32(TOLERANCE)
        return scores(probabilities, self.method) <= limits


def scores(probabilities: Any, method: str) -> Any:
    """Return how badly each class fits each picture, float32 (N, K), 0-1; written in `keras.ops`.

    * `"plain"`: 1 - the class's probability (Sadinle, Lei and Wasserman 2019: the smallest sets on average).
    * `"aps"`: the probability of all classes that are at least as likely, the class itself included (Romano,
      Sesia and Candès 2020, without their random part, so that a picture always has the same set): sets that
      grow where the network is in doubt.

    Args:
        probabilities: float (N, K), rows that sum to 1.
        method: one of the two.

    Raises:
        ArgumentError: another method.

    >>> keras.ops.convert_to_numpy(scores([[0.5, 0.25, 0.25]], "aps")).tolist()
    [[0.5, 1.0, 1.0]]
    """
    check_method(method)
    probabilities = keras.ops.cast(keras.ops.convert_to_tensor(probabilities), "float32")
    if method == "plain":
        return 1.0 - probabilities
    others, own = probabilities[:, None, :], probabilities[:, :, None]
    # Equals up to rounding count as equals, else the engine would decide which of them comes first.
    likelier = keras.ops.cast(others >= own - TOLERANCE, "float32")
    return keras.ops.sum(others * likelier, axis=2)


def thresholds(
    true_scores: NDArray[np.floating], labels: NDArray[np.integer], classes: int, risk: float
) -> tuple[float, ...]:
    """Return each class's threshold: split-conformal prediction within every class (Vovk 2012, "Mondrian").

    A class's threshold is the ceil((n + 1) (1 - risk))-th smallest score of its n pictures. A new picture of
    the class, exchangeable with these, then lies at or below it with a probability of at least 1 - risk. With
    too few pictures, n below (1 - risk) / risk, no score promises that: the threshold is 1, and the class is
    in every set.

    Args:
        true_scores: each picture's score of its true class, (N,), 0-1.
        labels: the true classes, whole numbers (N,) from 0 to below `classes`.
        classes: how many classes there are.
        risk: between 0 and 1.

    Raises:
        ArgumentError: the risk is out of range.

    >>> thresholds(np.array([0.1, 0.4, 0.2, 0.3]), np.array([0, 0, 0, 1]), 2, 0.25)
    (0.4, 1.0)
    """
    check_risk(risk)
    found = []
    for label in range(classes):
        own = np.sort(np.asarray(true_scores, np.float64)[labels == label])
        # (n + 1) (1 - risk) may come out a hair above a whole number.
        rank = math.ceil(round((len(own) + 1) * (1 - risk), 9))
        found.append(float(min(own[rank - 1], ALWAYS)) if rank <= len(own) else ALWAYS)
    return tuple(found)


def check_method(method: Any) -> None:
    """Refuse a method that there is not, with an ArgumentError."""
    if method not in METHODS:
        raise ArgumentError(f"method is {method!r}", f"one of {', '.join(METHODS)}", 'pass method="plain"')


def check_risk(risk: Any) -> None:
    """Refuse a risk outside of 0 to 1, both excluded, with an ArgumentError."""
    if isinstance(risk, bool) or not isinstance(risk, int | float) or not 0 < risk < 1:
        raise ArgumentError(f"risk is {risk!r}", "a number between 0 and 1", "pass risk=0.1")

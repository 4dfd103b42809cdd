"""What was true and what was answered, picture by picture, as arrays that metrics are worked out from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from mri_tumor.models.judging.truth import Truth
from mri_tumor.models.prediction import Prediction

ABSTAINED = -1
"""The place in `Cases.answers` of a picture that was given no class."""


@dataclass(frozen=True, eq=False)
class Cases:
    """N judged pictures and K labels.

    Args:
        labels: the K class names in order.
        truth: int64 `(N,)`, the place of each picture's class in `labels`.
        top: int64 `(N,)`, the place of the most likely class.
        groups: what each picture belongs to, None where that is unknown.
        probabilities: float64 `(N, K)`, rows sum to 1; None where only classes were answered.
        answers: int64 `(N,)`, the place of the class that was given, or `ABSTAINED`; None where every
            picture is given its most likely class.
        sets: bool `(N, K)`, which classes each prediction set holds; None without sets.
    """

    labels: tuple[str, ...]
    truth: NDArray[np.int64]
    top: NDArray[np.int64]
    groups: tuple[str | None, ...]
    probabilities: NDArray[np.float64] | None = None
    answers: NDArray[np.int64] | None = None
    sets: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        return len(self.truth)

    @property
    def right(self) -> NDArray[np.bool_]:
        """Bool `(N,)`: whether the most likely class is the true one."""
        return np.asarray(self.truth == self.top)

    def take(self, chosen: NDArray[np.bool_]) -> Self:
        """Return the chosen pictures, bool `(N,)`."""

        def part(array: NDArray[np.generic] | None) -> NDArray[np.generic] | None:
            return None if array is None else array[chosen]

        groups = tuple(group for group, taken in zip(self.groups, chosen, strict=True) if taken)
        rows = [part(array) for array in (self.probabilities, self.answers, self.sets)]
        return type(self)(self.labels, self.truth[chosen], self.top[chosen], groups, *rows)  # type: ignore[arg-type]


def cases_of(truth: Truth, predictions: Sequence[Prediction], labels: Sequence[str]) -> Cases:
    """Bring truth and predictions together; both are in one order."""
    place = {label: number for number, label in enumerate(labels)}
    shares = np.array([[one.probabilities[label] for label in labels] for one in predictions], np.float64)
    answers = [ABSTAINED if one.label is None else place[one.label] for one in predictions]
    sets = [one.prediction_set for one in predictions]
    return Cases(
        tuple(labels),
        places_of(truth.labels, labels),
        places_of([one.top for one in predictions], labels),
        truth.groups,
        # Rounding in transport leaves sums a little off, which scikit-learn warns of.
        shares / shares.sum(axis=1, keepdims=True),
        np.array(answers, np.int64),
        None
        if None in sets
        else np.array([[label in one for label in labels] for one in sets if one is not None]),
    )


def places_of(names: Sequence[str], labels: Sequence[str]) -> NDArray[np.int64]:
    """Return the places of names in the labels: int64 `(N,)`.

    >>> places_of(["b", "a", "b"], ["a", "b"]).tolist()
    [1, 0, 1]
    """
    place = {label: number for number, label in enumerate(labels)}
    return np.array([place[name] for name in names], np.int64)

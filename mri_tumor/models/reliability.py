"""Do probabilities mean what they say? Brier score, expected calibration error, and the reliability curve."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mri_tumor.errors import ArgumentError


class ReliabilityCurve(NamedTuple):
    """Pictures in bins of like confidence, the least confident first; B bins that hold a picture.

    Args:
        confidence: float64 (B,), the mean probability of the most likely class.
        accuracy: float64 (B,), the share of pictures whose most likely class is the true one.
        counts: int64 (B,), pictures in the bin.
    """

    confidence: NDArray[np.float64]
    accuracy: NDArray[np.float64]
    counts: NDArray[np.int64]


def brier(probabilities: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """Return the Brier score (Brier 1950): the mean over pictures of the squared error, summed over classes.

    Args:
        probabilities: float (N, K), rows that sum to 1.
        labels: the true classes, whole numbers (N,) from 0 to below K.

    Returns:
        From 0 (sure and right) to 2 (sure and wrong). For two classes it is twice what scikit-learn gives.

    Raises:
        ArgumentError: the shapes do not fit, a value is out of range, or there is no picture.

    >>> brier(np.array([[0.5, 0.5], [1.0, 0.0]]), np.array([0, 0]))
    0.25
    """
    probabilities, labels = _checked(probabilities, labels)
    truth = np.eye(probabilities.shape[1])[labels]
    return float(((probabilities - truth) ** 2).sum(axis=1).mean())


def reliability_curve(
    probabilities: NDArray[np.floating], labels: NDArray[np.integer], bins: int = 15
) -> ReliabilityCurve:
    """Return confidence and accuracy of the most likely class, in bins of about as many pictures each.

    The bins lie between quantiles of the confidence, as scikit-learn's `calibration_curve` with
    `strategy="quantile"` has them; equal confidences share a bin, and bins without a picture are left out.

    Args:
        probabilities: float (N, K), rows that sum to 1.
        labels: the true classes, whole numbers (N,) from 0 to below K.
        bins: how many, at most.

    Raises:
        ArgumentError: as `brier`, or `bins` is not a whole number from 1.

    >>> curve = reliability_curve(np.array([[0.75, 0.25], [0.75, 0.25], [1.0, 0.0]]), np.array([0, 1, 0]), 2)
    >>> curve.confidence.tolist(), curve.accuracy.tolist(), curve.counts.tolist()
    ([0.75, 1.0], [0.5, 1.0], [2, 1])
    """
    probabilities, labels = _checked(probabilities, labels)
    if isinstance(bins, bool) or not isinstance(bins, int) or bins < 1:
        raise ArgumentError(f"bins is {bins!r}", "a whole number from 1", "pass bins=15")
    confidence = probabilities.max(axis=1)
    right = probabilities.argmax(axis=1) == labels
    inner = np.percentile(confidence, 100 * np.linspace(0, 1, bins + 1))[1:-1]
    place = np.searchsorted(inner, confidence)
    counts = np.bincount(place, minlength=bins)
    held = counts > 0
    sums = (np.bincount(place, weights, minlength=bins)[held] for weights in (confidence, right))
    mean_confidence, accuracy = (total / counts[held] for total in sums)
    return ReliabilityCurve(mean_confidence, accuracy, counts[held])


def expected_calibration_error(
    probabilities: NDArray[np.floating],
    labels: NDArray[np.integer],
    bins: int = 15,
    debiased: bool = True,
) -> float:
    """Return how far confidence is from accuracy: the root of the mean squared gap over the bins' pictures.

    It is the top-label calibration error in the l2 form, with bins of about as many pictures each. Even a
    perfectly calibrated classifier has gaps, since a bin's accuracy is that of a few pictures. The squared
    gap that comes of this alone is known without bias, accuracy (1 - accuracy) / (n - 1), and the debiased
    form leaves it out (Kumar, Liang and Ma 2019). The better known l1 form, the mean absolute gap (Guo et al.
    2017), has no such estimate and is never above the plain l2 form.

    Args:
        probabilities: float (N, K), rows that sum to 1.
        labels: the true classes, whole numbers (N,) from 0 to below K.
        bins: how many, at most.
        debiased: whether the part that comes of the bins' size is left out.

    Returns:
        0 to 1; 0 too where less than nothing is left.

    Raises:
        ArgumentError: as `reliability_curve`.

    >>> sure = np.array([[1.0, 0.0]] * 4)
    >>> expected_calibration_error(sure, np.array([0, 0, 1, 1]), debiased=False)
    0.5
    """
    curve = reliability_curve(probabilities, labels, bins)
    squared = (curve.confidence - curve.accuracy) ** 2
    if debiased:
        # A bin of one picture is right or wrong, so nothing is subtracted there.
        squared = squared - curve.accuracy * (1 - curve.accuracy) / np.maximum(curve.counts - 1, 1)
    return float(np.sqrt(max(0.0, float(np.average(squared, weights=curve.counts)))))


def _checked(probabilities: Any, labels: Any) -> tuple[NDArray[np.float64], NDArray[Any]]:
    probabilities, labels = np.asarray(probabilities, np.float64), np.asarray(labels)
    fits = probabilities.ndim == 2 and labels.shape == probabilities.shape[:1] and labels.dtype.kind in "iu"
    if not fits or not len(labels) or labels.min() < 0 or labels.max() >= probabilities.shape[1]:
        raise ArgumentError(
            f"probabilities of shape {probabilities.shape} with labels {labels.dtype} {labels.shape}",
            "(N, K), N from 1, and N whole numbers from 0 to K - 1",
            "pass the true class of each row as its place in the labels",
        )
    if not (np.abs(probabilities.sum(axis=1) - 1) <= 1e-3).all() or probabilities.min() < 0:
        raise ArgumentError(
            "a row of probabilities does not add up to 1, or is negative",
            "probabilities",
            "pass the softmax of logits",
        )
    return probabilities, labels

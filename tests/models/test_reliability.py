"""Scores of probabilities, with scikit-learn as the oracle."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from mri_tumor.errors import ArgumentError
from mri_tumor.models.deciding.plan import softmax
from mri_tumor.models.reliability import brier, expected_calibration_error, reliability_curve


def calibrated(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities (count, 4) and labels that are drawn from these very probabilities."""
    rng = np.random.default_rng(seed)
    probabilities = softmax(rng.normal(0, 2, (count, 4)), 1.0)
    return probabilities, (rng.random((count, 1)) > probabilities.cumsum(axis=1)[:, :-1]).sum(axis=1)


def test_brier_by_hand() -> None:
    assert brier(np.array([[1.0, 0.0, 0.0]]), np.array([0])) == 0
    assert brier(np.array([[1.0, 0.0, 0.0]]), np.array([2])) == 2
    assert brier(np.full((1, 4), 0.25), np.array([1])) == pytest.approx(0.75)


def test_brier_is_the_sum_of_scikit_learns_over_the_classes() -> None:
    probabilities, labels = calibrated(300, 0)
    expected = sum(brier_score_loss(labels == k, probabilities[:, k]) for k in range(4))
    assert brier(probabilities, labels) == pytest.approx(expected)


@pytest.mark.parametrize(("count", "bins"), [(300, 15), (301, 15), (40, 7), (5, 15), (300, 1)])
@pytest.mark.parametrize("digits", [12, 1])  # one digit: many equal confidences
def test_the_curve_is_scikit_learns(count: int, bins: int, digits: int) -> None:
    probabilities, labels = calibrated(count, 1)
    rounded = np.round(probabilities[:, :2], digits) / 2
    probabilities = np.column_stack([rounded, (1 - rounded.sum(axis=1)) / 2, (1 - rounded.sum(axis=1)) / 2])
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    accuracy, mean = calibration_curve(right, confidence, n_bins=bins, strategy="quantile")
    curve = reliability_curve(probabilities, labels, bins)
    np.testing.assert_allclose(curve.confidence, mean)
    np.testing.assert_allclose(curve.accuracy, accuracy)
    assert curve.counts.sum() == count


def test_a_calibrated_classifier_has_an_error_only_before_it_is_debiased() -> None:
    plain, debiased = (
        [expected_calibration_error(*calibrated(600, seed), debiased=way) for seed in range(40)]
        for way in (False, True)
    )
    assert np.mean(plain) > 0.06
    assert np.mean(np.square(debiased)) < 0.2 * np.mean(np.square(plain))
    assert np.median(debiased) < 0.02


@pytest.mark.parametrize("temperature", [0.4, 2.5])
def test_a_real_error_stays(temperature: float) -> None:
    probabilities, labels = calibrated(20_000, 3)
    wrong = softmax(np.log(probabilities), temperature)
    found = expected_calibration_error(wrong, labels)
    assert found == pytest.approx(expected_calibration_error(wrong, labels, debiased=False), abs=0.002)
    assert found > 0.1


def test_error_by_hand() -> None:
    probabilities = np.array([[0.75, 0.25]] * 4 + [[0.5, 0.5]] * 4)
    labels = np.array([0, 0, 1, 1, 0, 0, 0, 1])
    # Gaps of 0.25 in both bins; what chance adds is 0.25 / 3 and 0.1875 / 3.
    assert expected_calibration_error(probabilities, labels, 2, debiased=False) == pytest.approx(0.25)
    expected = max(0.0, 0.0625 - (0.25 + 0.1875) / 6) ** 0.5
    assert expected_calibration_error(probabilities, labels, 2) == pytest.approx(expected)


@given(st.integers(1, 60), st.integers(1, 20), st.integers(0, 10**6))
def test_order_does_not_count_and_values_stay_in_range(count: int, bins: int, seed: int) -> None:
    probabilities, labels = calibrated(count, seed)
    order = np.random.default_rng(seed).permutation(count)
    for debiased in (True, False):
        found = expected_calibration_error(probabilities, labels, bins, debiased)
        again = expected_calibration_error(probabilities[order], labels[order], bins, debiased)
        assert 0 <= found <= 1
        assert found == pytest.approx(again, abs=1e-9)


@pytest.mark.parametrize(
    ("probabilities", "labels"),
    [
        (np.zeros((0, 2)), np.zeros(0, int)),
        (np.full(2, 0.5), np.zeros(2, int)),
        (np.full((2, 2), 0.5), np.zeros(3, int)),
        (np.full((2, 2), 0.5), np.zeros(2)),
        (np.full((2, 2), 0.5), np.array([0, 2])),
        (np.full((2, 2), 0.5), np.array([-1, 0])),
        (np.full((2, 2), 0.6), np.zeros(2, int)),
        (np.array([[1.5, -0.5]]), np.zeros(1, int)),
        (np.full((2, 2), np.nan), np.zeros(2, int)),
    ],
)
def test_what_are_no_probabilities_or_labels(probabilities: np.ndarray, labels: np.ndarray) -> None:
    for score in (brier, reliability_curve, expected_calibration_error):
        with pytest.raises(ArgumentError, match="probabilities"):
            score(probabilities, labels)


@pytest.mark.parametrize("bins", [0, -1, 2.0, True])
def test_bins_that_are_none(bins: object) -> None:
    with pytest.raises(ArgumentError, match="bins is"):
        reliability_curve(np.full((2, 2), 0.5), np.zeros(2, int), bins)

"""Sets and thresholds, with crepes and MAPIE as oracles, and the promise on simulated pictures."""

import numpy as np
import pytest
from crepes import ConformalClassifier
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from mapie.classification import SplitConformalClassifier
from sklearn.base import BaseEstimator, ClassifierMixin

from mri_tumor.errors import ArgumentError
from mri_tumor.models.deciding.conformal import ALWAYS, METHODS, TOLERANCE, Conformal, scores, thresholds
from mri_tumor.models.deciding.plan import softmax

LOGITS = arrays(np.float64, (20, 4), elements=st.floats(-8, 8))


def drawn(count: int, seed: int, spread: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Return probabilities (count, 4) and labels; the third class is rarer and harder than the others."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(4, count, p=[0.35, 0.3, 0.1, 0.25])
    logits = (
        rng.normal(0, 1, (count, 4)) + spread * np.eye(4)[labels] * np.where(labels == 2, 0.5, 1)[:, None]
    )
    return softmax(logits, 1.0).astype(np.float32), labels


def true_scores(probabilities: np.ndarray, labels: np.ndarray, method: str) -> np.ndarray:
    return np.asarray(scores(probabilities, method))[np.arange(len(labels)), labels]


def fitted(method: str, risk: float, seed: int = 0, count: int = 500) -> Conformal:
    probabilities, labels = drawn(count, seed)
    return Conformal(method, risk, thresholds(true_scores(probabilities, labels, method), labels, 4, risk))


def test_scores_by_hand() -> None:
    row = np.array([[0.5, 0.25, 0.15, 0.1]])
    np.testing.assert_allclose(scores(row, "plain"), [[0.5, 0.75, 0.85, 0.9]], atol=1e-6)
    np.testing.assert_allclose(scores(row, "aps"), [[0.5, 0.75, 0.9, 1.0]], atol=1e-6)


def test_equals_share_a_score_whatever_rounding_makes_of_them() -> None:
    row = np.array([[0.3, 0.3 + 1e-7, 0.2, 0.2]])
    np.testing.assert_allclose(scores(row, "aps"), [[0.6, 0.6, 1.0, 1.0]], atol=1e-6)


def test_thresholds_by_hand() -> None:
    values = np.arange(1, 10) / 10  # nine scores: rank 9 of 9 at a risk of 0.1
    assert thresholds(values, np.zeros(9, int), 1, 0.1) == (0.9,)
    assert thresholds(values, np.zeros(9, int), 1, 0.5) == (0.5,)
    assert thresholds(values[:8], np.zeros(8, int), 1, 0.1) == (ALWAYS,)
    assert thresholds(values, np.zeros(9, int), 2, 0.5) == (0.5, ALWAYS)  # a class without a picture


def test_ranks_are_not_lost_to_rounding() -> None:
    for count in range(1, 400):
        for percent in (1, 5, 10, 20, 30):
            rank = -(-(count + 1) * (100 - percent) // 100)
            values = np.arange(1, count + 1) / count
            expected = values[rank - 1] if rank <= count else ALWAYS
            assert thresholds(values, np.zeros(count, int), 1, percent / 100) == (expected,)


@pytest.mark.parametrize("method", METHODS)
def test_each_class_is_covered_as_promised(method: str) -> None:
    """Over many calibrations a class is covered at 1 - risk to 1 - risk + 1 / (n + 1) in the mean."""
    test, labels = drawn(4000, 999)
    covered = np.zeros(4)
    for seed in range(60):
        sets = np.asarray(fitted(method, 0.2, seed).sets(test))
        covered += [sets[labels == label, label].mean() for label in range(4)]
    # Of 50 pictures of the rarest class; 0.02 is what 60 calibrations and 400 test pictures leave to chance.
    assert (covered / 60 > 0.8 - 0.02).all()
    assert (covered / 60 < 0.8 + 0.02 + 0.03).all()


@pytest.mark.parametrize("method", METHODS)
def test_without_classes_of_its_own_the_hard_one_would_be_missed(method: str) -> None:
    probabilities, labels = drawn(4000, 1)
    values = true_scores(probabilities, labels, method)
    common = thresholds(values, np.zeros(len(labels), int), 1, 0.1)[0]
    assert (values[labels == 2] <= common).mean() < 0.85


@given(LOGITS, st.sampled_from(METHODS), st.floats(0.02, 0.9), st.floats(0.02, 0.9))
def test_less_risk_never_makes_a_set_smaller(
    logits: np.ndarray, method: str, first: float, second: float
) -> None:
    low, high = sorted((first, second))
    probabilities = softmax(logits, 1.0)
    careful, bold = (np.asarray(fitted(method, risk).sets(probabilities)) for risk in (low, high))
    assert (careful | ~bold).all()


@given(LOGITS, st.sampled_from(METHODS))
def test_a_class_that_is_always_in_is_in(logits: np.ndarray, method: str) -> None:
    sets = np.asarray(Conformal(method, 0.1, (ALWAYS, 0.3, ALWAYS, 0.3)).sets(softmax(logits, 1.0)))
    assert sets[:, [0, 2]].all()


@pytest.mark.parametrize("method", METHODS)
def test_a_picture_on_the_threshold_is_in_however_it_is_rounded(method: str) -> None:
    probabilities, labels = drawn(300, 3)
    values = true_scores(probabilities, labels, method)
    limits = thresholds(values, labels, 4, 0.2)
    rng = np.random.default_rng(0)
    for label in range(4):
        (place,) = np.flatnonzero((labels == label) & (values == limits[label]))[:1]
        rows = probabilities[place] * (1 + rng.uniform(-3e-7, 3e-7, (50, 4)))
        assert np.asarray(Conformal(method, 0.2, limits).sets(rows))[:, label].all()
    assert TOLERANCE < 1e-4


@pytest.mark.parametrize("risk", [0.05, 0.1, 0.3])
@pytest.mark.parametrize("method", METHODS)
def test_crepes_gives_the_same_sets(method: str, risk: float) -> None:
    probabilities, labels = drawn(300, 5)
    test, _ = drawn(400, 6)
    values = true_scores(probabilities, labels, method)
    oracle = ConformalClassifier()
    oracle.fit(values, bins=labels)
    ours = np.asarray(Conformal(method, risk, thresholds(values, labels, 4, risk)).sets(test))
    for label, column in enumerate(np.asarray(scores(test, method)).T):
        # The class is the bin: its column is judged against the scores of that class alone.
        bins = np.full(len(test), label)
        p_values = oracle.predict_p(column[:, None], bins=bins, all_classes=True, smoothing=False)
        np.testing.assert_array_equal(ours[:, label], np.ravel(p_values) > risk)


class Given(ClassifierMixin, BaseEstimator):
    """A scikit-learn classifier whose answer is what it is asked."""

    def __init__(self) -> None:
        self.classes_ = np.arange(4)

    def fit(self, rows: np.ndarray, labels: np.ndarray) -> "Given":
        return self

    def predict_proba(self, rows: np.ndarray) -> np.ndarray:
        return rows

    def predict(self, rows: np.ndarray) -> np.ndarray:
        return rows.argmax(axis=1)


@pytest.mark.parametrize("risk", [0.05, 0.1, 0.3])
def test_mapie_gives_the_same_plain_sets(risk: float) -> None:
    """MAPIE knows one threshold for all classes, so here all pictures are of one; its APS is another."""
    (probabilities, labels), (test, _) = drawn(300, 5), drawn(400, 6)
    (limit,) = thresholds(true_scores(probabilities, labels, "plain"), np.zeros(300, int), 1, risk)
    ours = np.asarray(Conformal("plain", risk, (limit,) * 4).sets(test))
    oracle = SplitConformalClassifier(Given(), confidence_level=1 - risk, conformity_score="lac")
    oracle.conformalize(probabilities.astype(float), labels)
    np.testing.assert_array_equal(ours, oracle.predict_set(test.astype(float))[1][:, :, 0])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("raps", 0.1, (0.5, 0.5)), "method is 'raps'"),
        (("plain", 0, (0.5, 0.5)), "risk is 0"),
        (("plain", 1.0, (0.5, 0.5)), "risk is 1.0"),
        (("plain", True, (0.5, 0.5)), "risk is True"),
        (("plain", 0.1, ()), "thresholds is"),
        (("plain", 0.1, (0.5, 1.5)), "thresholds is"),
        (("plain", 0.1, (0.5, float("nan"))), "thresholds is"),
    ],
)
def test_refusals(arguments: tuple, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        Conformal(*arguments)

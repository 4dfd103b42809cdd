import keras
import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from sklearn.linear_model import LogisticRegression

from mri_tumor.models.fitting.features import Features
from mri_tumor.models.fitting.solver import Solution, judge, place, solve, try_strengths


def features(classes: int, count: int = 90, seed: int = 0) -> Features:
    """Return standardised features of overlapping classes."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, count)
    values = rng.normal(0, 1, (count, 5)) + 0.8 * np.eye(5)[labels]
    return Features(((values - values.mean(0)) / values.std(0)).astype(np.float32), labels)


WEIGHTS = {2: np.array([0.6, 1.7], np.float32), 4: np.array([0.5, 1.0, 2.0, 1.2], np.float32)}


@pytest.mark.parametrize("classes", [2, 4])
@pytest.mark.parametrize("strength", [0.003, 1.0])
def test_the_solution_is_the_minimum_that_is_promised(classes, strength):
    data, weights = features(classes), WEIGHTS[classes]
    kernel, bias = (np.asarray(part, np.float64) for part in solve(data, weights, strength))
    assert (kernel.shape, bias.shape) == ((5, classes), (classes,))
    each = weights[data.labels]
    errors = (softmax(data.values @ kernel + bias, axis=1) - np.eye(classes)[data.labels]) * each[:, None]
    # The derivatives of the sum that the docstring names, by kernel and bias.
    penalised = kernel if classes > 2 else 2 * kernel  # of two columns that are each other's negative
    by_kernel = data.values.T @ errors + penalised / strength
    assert np.abs(by_kernel).max() / each.sum() < 2e-3
    assert np.abs(errors.sum(axis=0)).max() / each.sum() < 2e-3
    assert np.abs(kernel).max() > 1e-3


@pytest.mark.parametrize("classes", [2, 4])
def test_the_solution_says_what_scikit_learns_does(classes):
    data, weights = features(classes), WEIGHTS[classes]
    solution = solve(data, weights, 0.3)
    model = LogisticRegression(C=0.3, tol=1e-8, max_iter=5000)
    model.fit(data.values.astype(np.float64), data.labels, sample_weight=weights[data.labels])
    expected = model.predict_proba(data.values.astype(np.float64))
    found = softmax(data.values @ solution.kernel + solution.bias, axis=1)
    np.testing.assert_allclose(found, expected, atol=5e-3)


def test_a_weaker_penalty_fits_closer():
    data, weights = features(4), WEIGHTS[4]
    trials = try_strengths(data, weights, [], (0.001, 0.1, 10.0))
    assert [trial.strength for trial in trials] == [0.001, 0.1, 10.0]
    losses = [trial.row["loss"] for trial in trials]
    assert losses == sorted(losses, reverse=True)
    sizes = [np.abs(trial.solution.kernel).sum() for trial in trials]
    assert sizes == sorted(sizes)
    assert all("val_loss" not in trial.row for trial in trials)
    assert [trial.row["epoch"] for trial in trials] == [0, 1, 2]


def test_validation_is_judged_by_the_mean_of_the_views():
    data, weights = features(4), np.ones(4, np.float32)
    one, other = features(4, 30, seed=1), features(4, 30, seed=2)
    views = [one, Features(other.values, one.labels)]
    trial = try_strengths(data, weights, views, (0.1,))[0]
    kernel, bias = trial.solution
    logits = (one.values @ kernel + other.values @ kernel) / 2 + bias
    losses = -log_softmax(logits, axis=1)[np.arange(30), one.labels]
    assert trial.row["val_loss"] == pytest.approx(losses.mean(), rel=1e-5)
    assert trial.row["val_accuracy"] == pytest.approx((logits.argmax(1) == one.labels).mean())
    assert (trial.row["loss"], trial.row["accuracy"]) == judge([data], trial.solution)


def test_a_solution_becomes_a_layer():
    solution = Solution(np.arange(10, dtype=np.float32).reshape(5, 2), np.array([1, -1], np.float32))
    layer = keras.layers.Dense(2)
    layer.build((None, 5))
    place(solution, layer)
    np.testing.assert_allclose(layer(np.ones((1, 5))), [[21, 24]])

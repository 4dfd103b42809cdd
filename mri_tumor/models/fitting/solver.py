"""The optimum of a head that is one dense layer: logistic regression on cached features."""

import logging
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mri_tumor.models.fitting.features import Features

logger = logging.getLogger(__name__)

_ITERATIONS = 1000
_TOLERANCE = 1e-5
"""Of the gradient. On real features probabilities are within .003 of the optimum then; with L-BFGS at 1e-3,
which takes longer, some are off by .27."""


class Solution(NamedTuple):
    """A dense layer: `kernel` float32 (F, K) and `bias` float32 (K,)."""

    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]


class Trial(NamedTuple):
    """One strength of the penalty, and how it fares: `row` has the columns of a history."""

    strength: float
    solution: Solution
    row: dict[str, float]


def solve(features: Features, weights: NDArray[np.float32], strength: float) -> Solution:
    """Return the minimum of the weighted cross-entropy plus the squared kernel / (2 strength).

    Of two classes the difference of the kernel's columns takes the kernel's place, as in scikit-learn.

    Args:
        features: standardised, (N, F), with pictures of every class.
        weights: one weight a class (K,).
        strength: scikit-learn's C, above 0: the larger, the weaker the penalty.
    """
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=strength, solver="newton-cg", max_iter=_ITERATIONS, tol=_TOLERANCE)
    model.fit(features.values, features.labels, sample_weight=weights[features.labels])
    kernel, bias = model.coef_.T, model.intercept_
    if len(weights) == 2:  # scikit-learn gives the difference of the two logits
        kernel, bias = np.hstack([-kernel, kernel]) / 2, np.hstack([-bias, bias]) / 2
    return Solution(kernel.astype(np.float32), bias.astype(np.float32))


def try_strengths(
    train: Features,
    weights: NDArray[np.float32],
    validation: Sequence[Features],
    strengths: Sequence[float],
) -> list[Trial]:
    """Solve for every strength and judge each by the validation pictures.

    Args:
        train: standardised features of the training pictures and their copies.
        weights: one weight a class.
        validation: standardised features of the validation pictures, once a view; their logits are averaged.
        strengths: what is tried.
    """
    trials = []
    for number, strength in enumerate(strengths):
        solution = solve(train, weights, strength)
        loss, accuracy = judge([train], solution)
        row = {"epoch": float(number), "strength": strength, "loss": loss, "accuracy": accuracy}
        if validation:
            row["val_loss"], row["val_accuracy"] = judge(validation, solution)
        values = "  ".join(f"{name} {value:.4g}" for name, value in row.items() if name != "epoch")
        logger.info("head %d/%d  %s", number + 1, len(strengths), values)
        trials.append(Trial(strength, solution, row))
    return trials


def judge(views: Sequence[Features], solution: Solution) -> tuple[float, float]:
    """Return the mean cross-entropy and the accuracy of the mean logits over the views."""
    from scipy.special import log_softmax

    logits = np.mean([view.values @ solution.kernel + solution.bias for view in views], axis=0)
    labels = views[0].labels
    losses = -log_softmax(logits, axis=1)[np.arange(len(labels)), labels]
    return float(losses.mean()), float((logits.argmax(axis=1) == labels).mean())


def place(solution: Solution, layer: Any) -> None:
    """Put a solution into a dense layer."""
    layer.set_weights([solution.kernel, solution.bias])

"""Temperature: one number that makes a network's probabilities as sure as they are right."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mri_tumor.errors import ArgumentError

LOWEST, HIGHEST = 0.05, 20.0
"""The temperatures that are looked through; a network without a mistake would ask for 0."""


def fit_temperature(logits: NDArray[np.floating], labels: NDArray[np.integer]) -> float:
    """Return the temperature T at which softmax(logits / T) has the lowest log loss (Guo et al. 2017).

    The log loss is convex in 1 / T, so there is one lowest point. Above 1 it makes probabilities less sure,
    below 1 surer; the most likely class stays what it is.

    Args:
        logits: float (N, K), finite.
        labels: the true classes, whole numbers (N,) from 0 to below K.

    Returns:
        T, from 0.05 to 20.

    Raises:
        ArgumentError: there is no picture, or a logit is not finite.

    >>> logits = np.array([[4.0, 0.0]] * 4)  # 98 % sure, and right three times in four
    >>> round(fit_temperature(logits, np.array([0, 0, 0, 1])), 2)
    3.64
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import logsumexp

    logits = np.asarray(logits, np.float64)
    if not len(logits) or not np.isfinite(logits).all():
        raise ArgumentError(
            f"{len(logits)} rows of logits, {int((~np.isfinite(logits)).sum())} numbers not finite",
            "at least one picture, and finite logits",
            "look at the network: it may not have learned",
        )
    true = logits[np.arange(len(logits)), labels]

    def loss(log_temperature: Any) -> float:
        factor = np.exp(-log_temperature)
        return float(np.mean(logsumexp(logits * factor, axis=1) - true * factor))

    found = minimize_scalar(
        loss, bounds=(np.log(LOWEST), np.log(HIGHEST)), method="bounded", options={"xatol": 1e-7}
    )
    return float(np.exp(found.x))

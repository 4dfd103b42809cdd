"""Judged pictures that are drawn, for whatever is worked out from them."""

from collections.abc import Callable

import numpy as np
import pytest

from mri_tumor.models.judging.cases import Cases


def draw(
    seed: int,
    count: int = 60,
    *,
    classes: int = 3,
    groups: int = 12,
    skill: float = 1.0,
    rounded: bool = False,
) -> Cases:
    """Return cases whose probabilities know the class a little; `groups` 0 leaves groups unknown."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, classes, count)
    raw = rng.gamma(1.0, size=(count, classes)) + skill * rng.random((count, 1)) * np.eye(classes)[truth]
    if rounded:  # many pictures of one probability
        raw = np.ceil(raw * 2)
    shares = raw / raw.sum(axis=1, keepdims=True)
    top = shares.argmax(axis=1)
    names = tuple(f"g{number}" for number in rng.integers(0, groups, count)) if groups else (None,) * count
    return Cases(tuple("abcdef"[:classes]), truth, top, names, shares)


@pytest.fixture(scope="session")
def make_cases() -> Callable[..., Cases]:
    """Return `draw`."""
    return draw

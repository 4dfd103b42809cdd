"""Classifiers of two networks, saved and calibrated, and pictures on which every kind of answer comes up."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mri_tumor.models.classifier import Classifier

NETWORKS = {"small_cnn": {}, "mobilenet_v2": {"alpha": 0.35, "depths": 1}}


def light(count: int, seed: int = 7, size: int = 32) -> np.ndarray:
    """Return noise of all brightnesses, uint8 (count, size, size, 1)."""
    rng = np.random.default_rng(seed)
    return (rng.uniform(0, 255, (count, 1, 1, 1)) * rng.random((count, size, size, 1))).astype(np.uint8)


@pytest.fixture(scope="session", params=NETWORKS)
def deciding(request: pytest.FixtureRequest, make_deciding: Callable[..., Classifier]) -> Classifier:
    """Return a calibrated classifier, of each network in turn."""
    return make_deciding(name=request.param, **NETWORKS[request.param])


@pytest.fixture(scope="session")
def small(make_deciding: Callable[..., Classifier]) -> Classifier:
    """Return a calibrated classifier of the smallest network."""
    return make_deciding()


@pytest.fixture
def saved(small: Classifier, tmp_path: Path) -> Path:
    """Return a folder that holds the smallest classifier."""
    small.save(tmp_path / "classifier")
    return tmp_path / "classifier"

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mri_tumor.errors import ManifestMismatch
from mri_tumor.models.deciding.conformal import Conformal
from mri_tumor.models.deciding.settings import Settings
from mri_tumor.models.novelty import Density

LABELS = ("glioma", "none")
CONFORMAL = {"method": "aps", "risk": 0.1, "thresholds": {"none": 0.5, "glioma": 1.0}}
NOVELTY = {"threshold": 2.5, "false_alarms": 0.01}
FULL = {"tta": "mirror", "temperature": 1.5, "conformal": CONFORMAL, "novelty": NOVELTY, "calibration": {}}


@pytest.fixture(scope="module")
def density() -> Density:
    rng = np.random.default_rng(0)
    return Density.fit(rng.normal(size=(40, 3)), np.arange(40) % 2)


def test_nothing_said_means_what_the_first_releases_did() -> None:
    assert Settings.of({}, LABELS, None) == Settings()


def test_all_of_it(density: Density) -> None:
    found = Settings.of(FULL, LABELS, density)
    # In the order of the labels, not of the manifest.
    assert found == Settings("mirror", 1.5, Conformal("aps", 0.1, (1.0, 0.5)), density, 2.5)


@pytest.mark.parametrize(
    "change",
    [
        {"tta": "crops"},
        {"temperature": 0},
        {"temperature": "1"},
        {"temperature": True},
        {"temperature": float("inf")},
        {"conformal": {}},
        {"conformal": CONFORMAL | {"thresholds": {"none": 0.5}}},
        {"conformal": CONFORMAL | {"thresholds": {"none": 0.5, "glioma": 0.5, "other": 0.5}}},
        {"conformal": CONFORMAL | {"thresholds": {"none": "a", "glioma": 0.5}}},
        {"conformal": CONFORMAL | {"thresholds": {"none": 2.0, "glioma": 0.5}}},
        {"conformal": CONFORMAL | {"thresholds": [0.5, 0.5]}},
        {"conformal": CONFORMAL | {"method": "raps"}},
        {"conformal": CONFORMAL | {"risk": 1.5}},
        {"novelty": {}},
        {"novelty": 2.5},
        {"novelty": {"threshold": -1}},
    ],
)
def test_impossible_values(density: Density, change: dict[str, Any]) -> None:
    with pytest.raises(ManifestMismatch, match="section 'decision' cannot be used"):
        Settings.of(FULL | change, LABELS, density)


@pytest.mark.parametrize("section", [None, [], "mirror"])
def test_what_is_no_section(section: Any) -> None:
    with pytest.raises(ManifestMismatch, match="section 'decision' cannot be used"):
        Settings.of(section, LABELS, None)


def test_a_threshold_without_its_density() -> None:
    with pytest.raises(ManifestMismatch, match="there is no density"):
        Settings.of(FULL, LABELS, None)


def test_a_density_alone_changes_nothing(density: Density, make_manifest: Callable) -> None:
    assert Settings.of({}, LABELS, density).threshold is None

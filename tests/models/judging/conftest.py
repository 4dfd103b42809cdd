"""Judged pictures that are drawn, for whatever is worked out from them."""

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from mri_tumor import LABELS
from mri_tumor.dataset.catalog import Catalog, Record
from mri_tumor.models.evaluation import Evaluation, evaluate
from mri_tumor.models.judging.cases import Cases
from mri_tumor.models.prediction import Prediction


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


@pytest.fixture
def judged(tmp_path: Path) -> Callable[..., Evaluation]:
    """Return a function that evaluates a classifier with answers of its own on pictures that lie there."""

    def make(seed: int = 0, *, count: int = 40, leaked: object = "first", **more: object) -> Evaluation:
        rng = np.random.default_rng(seed)
        truth = np.random.default_rng(0).integers(0, 4, count)
        answers = {}
        records = []
        for place, true in enumerate(truth):
            path = tmp_path / f"{place}.png"
            if not path.exists():
                image = np.random.default_rng(place).integers(0, 255, (40 + place, 60)).astype(np.uint8)
                cv2.imwrite(str(path), image)
            records.append(Record(path.name, path, LABELS[true], f"patient <{place // 3}> {LABELS[true]}"))
            shares = rng.dirichlet(np.ones(4) + 2 * np.eye(4)[true])
            answers[path.name] = prediction(path.name, shares)
        found = [f"{place}.png" for place in range(count // 2)] if leaked == "first" else leaked
        return evaluate(Answering(answers), Catalog(records), leaked=found, draws=100, **more)

    return make


class Answering:
    """A classifier that was given its answers."""

    labels = LABELS

    def __init__(self, answers: dict[str, Prediction]) -> None:
        self.answers = answers

    def predict(self, images: Catalog) -> list[Prediction]:
        return [self.answers[name] for name in images.ids]


def prediction(name: str, shares: np.ndarray) -> Prediction:
    """Return a prediction that abstains where three classes cannot be ruled out."""
    top = LABELS[int(shares.argmax())]
    held = tuple(label for label, share in zip(LABELS, shares, strict=True) if share > 0.2)
    abstained = len(held) > 2
    return Prediction(
        name,
        None if abstained else top,
        top,
        {label: float(share) for label, share in zip(LABELS, shares, strict=True)},
        held,
        0.5,
        abstained,
        "ambiguous" if abstained else None,
    )

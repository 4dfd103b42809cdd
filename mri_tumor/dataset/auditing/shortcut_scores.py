"""The forests behind the shortcut probe: what they see of a picture, their folds, scores and intervals."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mri_tumor.dataset.auditing.traits import FORMATS, Traits

STRONG, SOME = 0.25, 0.05
"""Where the interval's lower end lies between chance (0) and knowing every class (1)."""

SEED = 0
"""Of folds, forests and resampling: the same pictures give the same numbers."""

_TREES = 40
_RESAMPLES = 500

_Part: TypeAlias = tuple[NDArray[np.intp], NDArray[np.intp]]
"""The places that are fitted, and those that are held out."""


@dataclass(frozen=True)
class Sample:
    """One picture as the probe sees it.

    Args:
        label: its class.
        group: what stays on one side of a fold.
        traits: what is measured of it.
    """

    label: str
    group: str
    traits: Traits


@dataclass(frozen=True)
class Shortcut:
    """How well some outward traits tell the classes.

    Args:
        traits: what the forest sees, as in `"width and height"`.
        balanced_accuracy: mean recall of the classes over the held-out folds, 0-1.
        low: lower end of its 95 % interval (bootstrap over groups).
        high: upper end.
        accuracy: share of right answers over the held-out folds, 0-1.
        test_accuracy: share of right answers on the test set, fitted on the training set; None without one.
        strength: `"strong"`, `"some"` or `"none"`: where `low` lies between chance and certainty, with the
            limits `STRONG` and `SOME`.
    """

    traits: str
    balanced_accuracy: float
    low: float
    high: float
    accuracy: float
    test_accuracy: float | None
    strength: str


def scores(samples: Sequence[Sample], test: Sequence[Sample], folds: int) -> list[Shortcut]:
    """Score every kind of traits.

    Args:
        samples: the pictures to divide into folds: two classes or more, each with `folds` groups or more.
        test: pictures to score besides, or none.
        folds: how many, from 2.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    labels = np.array([sample.label for sample in samples])
    groups = np.unique([sample.group for sample in samples], return_inverse=True)[1]
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=SEED)
    parts = list(splitter.split(labels, labels, groups))
    return [_score(name, samples, test, labels, groups, parts) for name in _FEATURES]


def _size(traits: Traits) -> list[float]:
    return [traits.width, traits.height]


def _file(traits: Traits) -> list[float]:
    return [traits.file_bytes, FORMATS.index(traits.format)]


def _border(traits: Traits) -> list[float]:
    return [*traits.margins, *traits.frame]


def _brightness(traits: Traits) -> list[float]:
    return [*traits.brightness]


def _all(traits: Traits) -> list[float]:
    return [*_size(traits), *_file(traits), *_border(traits), *_brightness(traits)]


_FEATURES = {
    "width and height": _size,
    "file bytes and format": _file,
    "black border and frame": _border,
    "brightness": _brightness,
    "all of these": _all,
}


def _score(
    name: str,
    samples: Sequence[Sample],
    test: Sequence[Sample],
    labels: NDArray[np.str_],
    groups: NDArray[np.intp],
    parts: Sequence[_Part],
) -> Shortcut:
    features = _features(name, samples)
    right = _held_out(features, labels, parts) == labels
    recall = _recalls(right, labels, np.ones((1, len(samples))))[0]
    low, high = _interval(right, labels, groups)
    chance = 1 / len(np.unique(labels))
    return Shortcut(
        traits=name,
        balanced_accuracy=round(float(recall), 4),
        low=low,
        high=high,
        accuracy=round(float(right.mean()), 4),
        test_accuracy=_on_test(name, features, labels, test),
        strength=_strength((low - chance) / (1 - chance)),
    )


def _features(name: str, samples: Sequence[Sample]) -> NDArray[np.float64]:
    return np.array([_FEATURES[name](sample.traits) for sample in samples], np.float64)


def _held_out(
    features: NDArray[np.float64], labels: NDArray[np.str_], parts: Sequence[_Part]
) -> NDArray[np.str_]:
    """Return the class named for each picture by a forest that has not seen its group."""
    named = np.empty_like(labels)
    for fitted, held_out in parts:
        named[held_out] = _forest().fit(features[fitted], labels[fitted]).predict(features[held_out])
    return named


def _forest() -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(_TREES, class_weight="balanced", random_state=SEED)


def _on_test(
    name: str, features: NDArray[np.float64], labels: NDArray[np.str_], test: Sequence[Sample]
) -> float | None:
    if not test:
        return None
    named = _forest().fit(features, labels).predict(_features(name, test))
    return round(float(np.mean([sample.label for sample in test] == named)), 4)


def _recalls(
    right: NDArray[np.bool_], labels: NDArray[np.str_], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the mean recall of the classes for every row of weights `(rows, pictures)`."""
    of_class = labels[:, None] == np.unique(labels)
    total = weights @ of_class
    with np.errstate(invalid="ignore"):
        recalls = np.where(total > 0, (weights @ (of_class & right[:, None])) / total, np.nan)
    return np.asarray(np.nanmean(recalls, axis=1), np.float64)


def _interval(
    right: NDArray[np.bool_], labels: NDArray[np.str_], groups: NDArray[np.intp]
) -> tuple[float, float]:
    count = int(groups.max()) + 1
    drawn = np.random.default_rng(SEED).multinomial(count, np.full(count, 1 / count), _RESAMPLES)
    low, high = np.percentile(_recalls(right, labels, drawn[:, groups].astype(np.float64)), [2.5, 97.5])
    return round(float(low), 4), round(float(high), 4)


def _strength(share: float) -> str:
    if share >= STRONG:
        return "strong"
    return "some" if share >= SOME else "none"

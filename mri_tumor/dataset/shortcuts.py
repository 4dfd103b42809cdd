"""How well a classifier could cheat: the classes told by size, bytes, borders or brightness alone."""

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mri_tumor.dataset.tables import text_table
from mri_tumor.dataset.traits import Traits

logger = logging.getLogger(__name__)

FOLDS = 5
MOST = 5000
"""Of more pictures than this, as many are drawn: the answer does not get better, only slower."""

STRONG, SOME = 0.25, 0.05
"""Where the interval's lower end lies between chance (0) and knowing every class (1)."""

_TREES = 40
_RESAMPLES = 500
_SEED = 0

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


@dataclass(frozen=True)
class Shortcuts:
    """What the probe found on the training pictures.

    Args:
        scores: one for each kind of traits; empty if the probe could not run.
        chance: balanced accuracy of guessing, 1 / classes.
        majority: accuracy of always naming the most frequent class.
        test_majority: accuracy of naming that class for every test picture; None without a test set.
        pictures: how many were used.
        groups: how many groups they are in.
        folds: how many folds they were divided into; 0 if the probe could not run.
        note: why it could not run or used fewer pictures or folds; empty if there is nothing to say.
    """

    scores: tuple[Shortcut, ...]
    chance: float
    majority: float
    test_majority: float | None
    pictures: int
    groups: int
    folds: int
    note: str

    def rows(self) -> list[tuple[str, ...]]:
        """Return the scores as the rows of a table, a header first and chance last."""
        tested = self.test_majority is not None
        header = (
            "seen",
            "balanced",
            "95 % interval",
            "accuracy",
            *(["on test"] if tested else []),
            "shortcut",
        )
        majority = [f"{self.test_majority:.3f}"] if self.test_majority is not None else []
        nothing = ("nothing", f"{self.chance:.3f}", "", f"{self.majority:.3f}", *majority, "")
        return [header, *(_row(score) for score in self.scores), nothing]

    def summary(self) -> str:
        """Return the scores as a small table, next to chance."""
        if not self.scores:
            return f"not probed: {self.note}"
        return text_table(self.rows()) + (f"\n({self.note})" if self.note else "")


def probe(train: Sequence[Sample], test: Sequence[Sample] = ()) -> Shortcuts:
    """Fit small random forests to outward traits, by grouped cross-validation on the training pictures.

    Stratified folds hold whole groups (`StratifiedGroupKFold`); the forests (Breiman, 2001) weigh classes
    alike; the intervals resample groups. Everything is seeded: the same pictures give the same numbers.

    Args:
        train: the pictures to divide into folds.
        test: pictures to score besides.

    >>> probe([]).note
    'no pictures'
    """
    used = _drawn(train)
    counts = Counter(sample.label for sample in used)
    groups = len({sample.group for sample in used})
    folds, note = _folds(used, len(train))
    scores = _scores(used, test, folds) if folds else []
    favourite = max(sorted(counts), key=lambda label: counts[label], default="")
    return Shortcuts(
        scores=tuple(scores),
        chance=1 / max(1, len(counts)),
        majority=counts[favourite] / max(1, len(used)),
        test_majority=sum(sample.label == favourite for sample in test) / len(test) if test else None,
        pictures=len(used),
        groups=groups,
        folds=folds,
        note=note,
    )


def _row(score: Shortcut) -> tuple[str, ...]:
    on_test = [f"{score.test_accuracy:.3f}"] if score.test_accuracy is not None else []
    interval = f"{score.low:.3f} - {score.high:.3f}"
    numbers = (f"{score.balanced_accuracy:.3f}", interval, f"{score.accuracy:.3f}")
    return (score.traits, *numbers, *on_test, score.strength)


def _size(traits: Traits) -> list[float]:
    return [traits.width, traits.height]


def _file(traits: Traits) -> list[float]:
    return [traits.file_bytes]


def _border(traits: Traits) -> list[float]:
    return [*traits.margins, *traits.frame]


def _brightness(traits: Traits) -> list[float]:
    return [*traits.brightness]


def _all(traits: Traits) -> list[float]:
    return [*_size(traits), *_file(traits), *_border(traits), *_brightness(traits)]


_FEATURES = {
    "width and height": _size,
    "file bytes": _file,
    "black border and frame": _border,
    "brightness": _brightness,
    "all of these": _all,
}


def _drawn(samples: Sequence[Sample]) -> list[Sample]:
    if len(samples) <= MOST:
        return list(samples)
    places = np.random.default_rng(_SEED).choice(len(samples), MOST, replace=False)
    return [samples[place] for place in sorted(places)]


def _folds(samples: Sequence[Sample], given: int) -> tuple[int, str]:
    """Return the number of folds, 0 if there can be none, and what must be said about it."""
    if not samples:
        return 0, "no pictures"
    groups = _groups_by_class(samples)
    if len(groups) < 2:
        return 0, f"all pictures are of one class, {next(iter(groups))!r}"
    fewest = min(groups, key=lambda label: (groups[label], label))
    folds = min(FOLDS, groups[fewest])
    if folds < 2:
        return 0, f"class {fewest!r} has fewer than 2 groups of its own"
    notes = [f"{folds} folds: class {fewest!r} has only {folds} groups"] if folds < FOLDS else []
    notes += [f"{MOST} of {given} pictures, drawn"] if given > len(samples) else []
    return folds, "; ".join(notes)


def _groups_by_class(samples: Sequence[Sample]) -> Counter[str]:
    """Return how many groups each class has; a group of two classes counts for the one it holds most of."""
    labels: dict[str, Counter[str]] = {}
    for sample in samples:
        labels.setdefault(sample.group, Counter())[sample.label] += 1
    counts = Counter({sample.label: 0 for sample in samples})
    counts.update(max(sorted(held), key=lambda label: held[label]) for held in labels.values())
    return counts


def _scores(samples: Sequence[Sample], test: Sequence[Sample], folds: int) -> list[Shortcut]:
    from sklearn.model_selection import StratifiedGroupKFold

    labels = np.array([sample.label for sample in samples])
    groups = np.unique([sample.group for sample in samples], return_inverse=True)[1]
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=_SEED)
    parts = list(splitter.split(labels, labels, groups))
    return [_score(name, samples, test, labels, groups, parts) for name in _FEATURES]


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

    return RandomForestClassifier(_TREES, class_weight="balanced", random_state=_SEED)


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
    drawn = np.random.default_rng(_SEED).multinomial(count, np.full(count, 1 / count), _RESAMPLES)
    low, high = np.percentile(_recalls(right, labels, drawn[:, groups].astype(np.float64)), [2.5, 97.5])
    return round(float(low), 4), round(float(high), 4)


def _strength(share: float) -> str:
    if share >= STRONG:
        return "strong"
    return "some" if share >= SOME else "none"

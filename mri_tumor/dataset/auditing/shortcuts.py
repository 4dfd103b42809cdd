"""How well a classifier could cheat: the classes told by size, bytes, borders or brightness alone."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mri_tumor.dataset.auditing.shortcut_scores import SEED, Sample, Shortcut, scores
from mri_tumor.dataset.tables import text_table

__all__ = ["Sample", "Shortcut", "Shortcuts", "probe"]

FOLDS = 5
MOST = 5000
"""Of more pictures than this, as many are drawn: the answer does not get better, only slower."""


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
        on_test = ["on test"] if self.test_majority is not None else []
        header = ("seen", "balanced", "95 % interval", "accuracy", *on_test, "shortcut")
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
    favourite = max(sorted(counts), key=lambda label: counts[label], default="")
    return Shortcuts(
        scores=tuple(scores(used, test, folds)) if folds else (),
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


def _drawn(samples: Sequence[Sample]) -> list[Sample]:
    if len(samples) <= MOST:
        return list(samples)
    places = np.random.default_rng(SEED).choice(len(samples), MOST, replace=False)
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

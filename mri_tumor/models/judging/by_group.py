"""One answer a group: the mean of the probabilities over a patient's or a series' pictures."""

from dataclasses import dataclass

import numpy as np

from mri_tumor.models.judging.cases import Cases
from mri_tumor.models.judging.scores import Scores, Settings, score


@dataclass(frozen=True)
class GroupAnswer:
    """What is said of one group.

    Args:
        group: its name.
        pictures: how many pictures it has.
        label: their class.
        top: the class whose mean probability is the highest.
        probability: that mean, 0-1.
    """

    group: str
    pictures: int
    label: str
    top: str
    probability: float


@dataclass(frozen=True)
class GroupScores:
    """How a classifier fares group by group.

    Args:
        scores: of the groups' answers, each group counting once. Its `n` is the number of groups.
        answers: one a group, in the order of their first pictures.
        mixed: groups that hold pictures of several classes; no single answer would be right for them, so
            they are left out.
        ungrouped: how many pictures belong to no known group; they are left out too.
    """

    scores: Scores
    answers: tuple[GroupAnswer, ...]
    mixed: tuple[str, ...]
    ungrouped: int


def by_group(cases: Cases, settings: Settings) -> GroupScores | None:
    """Score the mean answers of groups; None if no group is known, or each holds several classes."""
    if cases.probabilities is None:
        return None
    members: dict[str, list[int]] = {}
    for place, group in enumerate(cases.groups):
        if group is not None:
            members.setdefault(group, []).append(place)
    mixed = tuple(group for group, own in members.items() if len(set(cases.truth[own].tolist())) > 1)
    kept = {group: own for group, own in members.items() if group not in set(mixed)}
    if not kept:
        return None
    means = np.array([cases.probabilities[own].mean(axis=0) for own in kept.values()])
    truth, top = cases.truth[[own[0] for own in kept.values()]], means.argmax(axis=1).astype(np.int64)
    answers = tuple(
        GroupAnswer(group, len(own), cases.labels[true], cases.labels[best], float(row[best]))
        for (group, own), true, best, row in zip(kept.items(), truth, top, means, strict=True)
    )
    together = Cases(cases.labels, truth, top, tuple(kept), means)
    return GroupScores(score(together, settings), answers, mixed, cases.groups.count(None))

"""One answer a group: the mean over its pictures."""

import numpy as np
import pytest

from mri_tumor.models.judging.by_group import by_group
from mri_tumor.models.judging.cases import Cases
from mri_tumor.models.judging.scores import Settings

FEW = Settings(draws=50)


def cases(truth, groups, shares) -> Cases:
    shares = np.array(shares, float)
    return Cases(("a", "b"), np.array(truth), shares.argmax(axis=1), tuple(groups), shares)


def test_the_mean_decides_not_the_majority() -> None:
    found = by_group(cases([0, 0, 0, 1], "pppq", [[0.4, 0.6], [0.4, 0.6], [0.9, 0.1], [0.2, 0.8]]), FEW)
    assert [(one.group, one.pictures, one.label, one.top) for one in found.answers] == [
        ("p", 3, "a", "a"),
        ("q", 1, "b", "b"),
    ]
    assert found.answers[0].probability == pytest.approx(1.7 / 3)
    assert (found.scores.n, found.scores.accuracy, found.scores.groups) == (2, 1.0, 2)


def test_groups_of_two_classes_and_pictures_of_none_are_left_out_and_counted() -> None:
    found = by_group(cases([0, 1, 0, 1], ["p", "p", "q", None], [[0.9, 0.1]] * 4), FEW)
    assert (found.mixed, found.ungrouped, found.scores.n) == (("p",), 1, 1)


def test_no_groups_no_scores(judged) -> None:
    assert by_group(cases([0, 1], [None, None], [[0.9, 0.1]] * 2), FEW) is None
    assert by_group(cases([0, 1], "pp", [[0.9, 0.1]] * 2), FEW) is None
    assert set(judged().by_group) == {"all", "leaked", "clean"}
    assert set(judged(leaked=None).by_group) == {"all"}

"""Draws of whole groups: their law, their independence of order and names, and their coverage."""

import dataclasses
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mri_tumor.errors import ArgumentError
from mri_tumor.models.judging.bootstrap import Interval, Resampling, interval
from mri_tumor.models.judging.cases import Cases
from mri_tumor.models.judging.intervals import intervals
from mri_tumor.models.judging.scores import Settings, score

FEW = Settings(draws=200)


def turned(cases: Cases, order: np.ndarray) -> Cases:
    groups = tuple(cases.groups[place] for place in order)
    return Cases(cases.labels, cases.truth[order], cases.top[order], groups, cases.probabilities[order])


@given(st.integers(0, 10**6), st.integers(0, 15))
@settings(max_examples=40)
def test_neither_order_nor_names_of_groups_count(make_cases, seed, groups):
    cases = make_cases(seed, 30, groups=groups, rounded=bool(seed % 2))
    order = np.random.default_rng(seed).permutation(30)
    renamed = dataclasses.replace(
        turned(cases, order),
        groups=tuple(
            None if cases.groups[place] is None else f"{hash(cases.groups[place])}" for place in order
        ),
    )
    first, second = score(cases, FEW), score(renamed, FEW)
    assert first.intervals.keys() == second.intervals.keys()
    for name, ends in first.intervals.items():
        other = second.intervals[name]
        assert (ends.low, ends.high) == (pytest.approx(other.low), pytest.approx(other.high)), name


@given(st.integers(0, 10**6), st.integers(2, 25))
@settings(max_examples=40)
def test_the_interval_of_the_accuracy_holds_it(make_cases, seed, groups):
    cases = make_cases(seed, 50, groups=groups)
    found = score(cases, Settings(draws=500))
    ends = found.intervals["accuracy"]
    assert 0 <= ends.low <= found.accuracy <= ends.high <= 1


def test_every_draw_takes_as_many_groups_as_there_are(make_cases):
    drawn = Resampling(make_cases(3, 40, groups=7), draws=50)
    assert drawn.weights.shape == (50, drawn.groups)
    assert np.all(drawn.weights.sum(axis=1) == drawn.groups)
    pictures = np.concatenate(list(drawn.of_pictures()))
    assert pictures.shape == (50, 40)
    np.testing.assert_allclose(drawn.sums(np.ones((40, 1)))[:, 0], pictures.sum(axis=1))


def test_a_seed_is_its_draws(make_cases):
    cases = make_cases(1)
    assert score(cases, Settings(seed=4)) == score(cases, Settings(seed=4))
    assert score(cases, Settings(seed=4)).intervals != score(cases, Settings(seed=5)).intervals


def test_pictures_of_one_group_are_not_so_many_patients(make_cases):
    """The interval of ten groups of ten equal pictures is that of ten pictures."""
    ten = make_cases(0, 10, groups=0)
    hundred = turned(ten, np.repeat(np.arange(10), 10))
    grouped = dataclasses.replace(hundred, groups=tuple(str(place // 10) for place in range(100)))
    assert score(grouped).intervals["accuracy"] == score(ten).intervals["accuracy"]
    wide, narrow = score(grouped).intervals["accuracy"], score(hundred).intervals["accuracy"]
    assert wide.high - wide.low > 2 * (narrow.high - narrow.low)
    assert (score(grouped).groups, score(hundred).groups, score(hundred).groups_known) == (10, 100, False)


def test_one_group_tells_nothing(make_cases):
    cases = make_cases(0, 20, groups=1)
    assert score(cases).intervals == {}
    truth = np.array([0, 0, 1, 2])
    some = Cases(("a", "b", "c"), truth, truth, ("p", "q", "p", "q"), np.eye(3)[truth])
    names = score(some, FEW).intervals
    assert "recall a" in names
    # All pictures of these lie in one group.
    assert not {"recall b", "roc_auc b", "recall c"} & set(names)


def test_labels_that_end_alike_are_told_apart():
    truth = np.array([0, 0, 1])
    some = Cases(("x y", "y"), truth, truth, ("p", "q", "r"), np.eye(2)[truth])
    assert "recall x y" in score(some, FEW).intervals
    assert "recall y" not in score(some, FEW).intervals


def test_intervals_of_no_value():
    assert interval(np.array([np.nan, np.nan])) is None
    assert interval(np.array([np.nan, 1.0])) == Interval(1.0, 1.0)


@pytest.mark.parametrize(
    ("options", "found"),
    [({"draws": 0}, "draws is 0"), ({"draws": 2.5}, r"draws is 2\.5"), ({"seed": -1}, "seed is -1")],
)
def test_numbers_out_of_range_are_refused(make_cases, options, found):
    with pytest.raises(ArgumentError, match=found):
        Resampling(make_cases(0), **options)


def simulated(rng: np.random.Generator, groups: int = 60) -> Cases:
    """Return answers that are right with a chance drawn for each group, 0.7 at mean."""
    sizes = rng.integers(1, 8, groups)
    chances = np.repeat(rng.beta(2.1, 0.9, groups), sizes)
    truth = np.zeros(len(chances), np.int64)
    top = (rng.random(len(chances)) > chances).astype(np.int64)
    names = tuple(str(name) for name in np.repeat(np.arange(groups), sizes))
    return Cases(("a", "b"), truth, top, names)


@pytest.mark.slow
def test_the_truth_lies_in_95_of_100_intervals():
    rng = np.random.default_rng(0)
    inside = grouped_inside = 0
    for _ in range(400):
        cases = simulated(rng)
        ends = intervals(cases, Resampling(cases, draws=400))["accuracy"]
        grouped_inside += ends.low <= 0.7 <= ends.high
        single = dataclasses.replace(cases, groups=(None,) * len(cases))
        ends = intervals(single, Resampling(single, draws=400))["accuracy"]
        inside += ends.low <= 0.7 <= ends.high
    assert 0.92 <= grouped_inside / 400 <= 0.97
    assert inside / 400 < 0.9  # what comes of counting slices as patients


def test_four_hundred_pictures_take_a_moment(make_cases):
    cases = make_cases(0, 400, classes=4, groups=150)
    score(cases, FEW)  # scikit-learn is imported
    start = time.perf_counter()
    score(cases)
    assert time.perf_counter() - start < 2

"""The metrics against counting by hand and scikit-learn; None where nothing can be computed."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from mri_tumor.errors import ArgumentError
from mri_tumor.models.judging.bootstrap import Resampling
from mri_tumor.models.judging.cases import ABSTAINED, Cases
from mri_tumor.models.judging.decisions import decisions
from mri_tumor.models.judging.intervals import confusions, of_confusion
from mri_tumor.models.judging.scores import Settings, score, score_part, scores
from mri_tumor.models.reliability import brier, expected_calibration_error

FEW = Settings(draws=50)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("abc")), min_size=1, max_size=20))
def test_scores_follow_from_the_confusion_matrix(pairs):
    found = scores([true for true, _ in pairs], [top for _, top in pairs], "abc")
    table = np.array(found.confusion)
    assert table.sum() == found.n == len(pairs)
    assert found.accuracy == pytest.approx(table.trace() / table.sum())
    f1s, recalls = [], []
    for place, label in enumerate("abc"):
        hit, called, there = table[place, place], table[:, place].sum(), table[place].sum()
        score = found.per_class[label]
        assert score.precision == (pytest.approx(hit / called) if called else None)
        assert score.recall == (pytest.approx(hit / there) if there else None)
        others = len(pairs) - there
        assert score.specificity == (pytest.approx(1 - (called - hit) / others) if others else None)
        if there:
            f1s.append(2 * hit / (called + there))
            recalls.append(hit / there)
            assert score.f1 == pytest.approx(f1s[-1])
    assert found.macro_f1 == pytest.approx(np.mean(f1s))
    assert found.balanced_accuracy == pytest.approx(np.mean(recalls))
    # Only classes were answered: nothing that needs probabilities can be said.
    assert {found.roc_auc, found.pr_auc, found.log_loss, found.decisions} == {None}
    assert {found.values()["brier"], found.values()["ece"]} == {None}


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.integers(2, 5))
def test_the_metrics_are_scikit_learns(make_cases, seed, classes):
    cases = make_cases(seed, 80, classes=classes)
    found = score(cases, FEW)
    if len(set(cases.truth.tolist())) == classes:
        areas = [
            metrics.roc_auc_score(cases.truth == place, cases.probabilities[:, place])
            for place in range(classes)
        ]
        assert found.roc_auc == pytest.approx(np.mean(areas))
        assert found.balanced_accuracy == pytest.approx(
            metrics.balanced_accuracy_score(cases.truth, cases.top)
        )
        assert found.macro_f1 == pytest.approx(metrics.f1_score(cases.truth, cases.top, average="macro"))
    assert found.calibration.brier == brier(cases.probabilities, cases.truth)
    assert found.values()["ece"] == expected_calibration_error(cases.probabilities, cases.truth)
    assert found.mcc == pytest.approx(metrics.matthews_corrcoef(cases.truth, cases.top))
    assert found.log_loss == pytest.approx(
        metrics.log_loss(cases.truth, cases.probabilities, labels=range(classes))
    )


@settings(max_examples=20)
@given(st.integers(0, 10**6))
def test_the_draws_values_are_those_of_the_pictures_drawn(make_cases, seed):
    cases = make_cases(seed, 10, groups=5)  # few, so that draws miss classes
    drawn = Resampling(cases, draws=8)
    values = of_confusion(confusions(cases, drawn), cases.labels)
    for row, weights in enumerate(np.concatenate(list(drawn.of_pictures()))):
        places = np.repeat(np.arange(10), weights.astype(int))
        own = scores(
            [cases.labels[place] for place in cases.truth[places]],
            [cases.labels[place] for place in cases.top[places]],
            cases.labels,
        )
        for name, column in values.items():
            expected = own.values()[name]
            assert np.isnan(column[row]) if expected is None else column[row] == pytest.approx(expected), name


def test_what_cannot_be_computed_is_none():
    one = scores(["a", "a"], ["a", "b"], ["a", "b", "c"])
    assert one.mcc is None
    assert one.per_class["a"].specificity is None
    assert (one.per_class["b"].recall, one.per_class["b"].precision) == (None, 0)
    assert scores(["a", "b"], ["a", "a"], ["a", "b"]).mcc is None
    truth = np.zeros(3, np.int64)
    alone = score(Cases(("a", "b"), truth, truth, (None,) * 3, np.full((3, 2), 0.5)), FEW)
    assert (alone.roc_auc, alone.per_class["a"].sensitivity) == (None, None)
    assert alone.log_loss == pytest.approx(np.log(2))
    text = json.dumps(alone.to_dict(), allow_nan=False)
    assert "NaN" not in text


def test_a_certain_mistake_costs_much_but_not_infinity():
    truth = np.array([0, 1])
    certain = Cases(("a", "b"), truth, truth[::-1], (None, None), np.eye(2)[truth[::-1]])
    assert 10 < score(certain, FEW).log_loss < 20


def test_abstaining_and_sets_are_counted():
    truth = np.array([0, 0, 1, 1])
    sets = np.array([[1, 0], [0, 1], [1, 1], [0, 0]], bool)
    answers = np.array([0, ABSTAINED, 0, ABSTAINED])
    cases = Cases(("a", "b"), truth, truth, tuple("pqrs"), np.eye(2)[truth], answers, sets)
    found = decisions(cases)
    assert (found.abstention_rate, found.selective_accuracy) == (0.5, 0.5)
    assert (found.coverage, found.set_size) == (0.5, 1.0)
    assert found.class_coverage == {"a": 0.5, "b": 0.5}
    ends = score(cases).intervals
    assert {"abstention_rate", "selective_accuracy", "coverage", "coverage a", "set_size"} <= set(ends)
    assert ends["coverage"].low <= 0.5 <= ends["coverage"].high
    silent = Cases(("a", "b"), truth, truth, (None,) * 4, None, np.full(4, ABSTAINED))
    assert (decisions(silent).abstention_rate, decisions(silent).selective_accuracy) == (1, None)
    assert score(silent, FEW).values()["selective_accuracy"] is None


def test_every_interval_bears_the_name_of_a_value(make_cases):
    found = score(make_cases(5), FEW)
    assert set(found.intervals) <= set(found.values())
    assert {"accuracy", "macro_f1", "recall a", "roc_auc", "pr_auc b"} <= set(found.intervals)


def test_a_part_without_pictures_is_none(make_cases):
    assert score_part(make_cases(0, 5), [False] * 5, FEW) is None
    assert score_part(make_cases(0, 5), [True] * 2 + [False] * 3, FEW).n == 2


@pytest.mark.parametrize("specificity", [0, 1, 1.5, "0.95"])
def test_a_specificity_out_of_range_is_refused(specificity):
    with pytest.raises(ArgumentError, match="specificity is"):
        Settings(specificity=specificity)

"""Areas under curves against scikit-learn's, and what cannot be computed."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, roc_auc_score

from mri_tumor.models.judging.ranking import Ranking, pr_curve, ranking, roc_curve, weighted_areas


@given(st.integers(0, 10**6), st.integers(2, 40), st.booleans())
@settings(max_examples=60)
def test_weighted_areas_are_scikit_learns(seed, count, tied):
    rng = np.random.default_rng(seed)
    score = rng.integers(0, 4, count) / 4 if tied else rng.random(count)
    positive = np.arange(count) < rng.integers(1, count)
    weights = rng.integers(0, 3, (5, count)).astype(float)
    roc, average = weighted_areas(score, positive, weights)
    for row, own_roc, own_average in zip(weights, roc, average, strict=True):
        if not (row[positive].any() and row[~positive].any()):
            assert np.isnan(own_roc)
            assert np.isnan(own_average)
            continue
        assert own_roc == pytest.approx(roc_auc_score(positive, score, sample_weight=row))
        assert own_average == pytest.approx(average_precision_score(positive, score, sample_weight=row))


def test_one_kind_alone_has_no_curve():
    score = np.array([0.1, 0.9])
    assert ranking(score, np.array([True, True]), 0.95) == Ranking(None, None, None)
    assert ranking(score, np.array([False, False]), 0.95) == Ranking(None, None, None)


def test_sensitivity_is_read_off_where_the_specificity_still_holds():
    score = np.concatenate([np.linspace(0, 1, 20), [0.96, 0.5, 0.99]])
    positive = np.arange(23) >= 20
    # One of twenty others is above 0.95: a specificity of exactly 0.95.
    assert ranking(score, positive, 0.95).sensitivity == pytest.approx(2 / 3)
    assert ranking(score, positive, 0.96).sensitivity == 0
    assert ranking(score, positive, 0.5).sensitivity == 1


@given(st.integers(0, 10**6))
@settings(max_examples=30)
def test_the_curves_have_the_areas(seed):
    rng = np.random.default_rng(seed)
    score, positive = np.round(rng.random(30), 1), np.arange(30) < 11
    found = ranking(score, positive, 0.9)
    alarms, hits = roc_curve(score, positive)
    assert np.trapezoid(hits, alarms) == pytest.approx(found.roc_auc)
    recall, precision = pr_curve(score, positive)
    assert np.sum(np.diff(recall) * precision[1:]) == pytest.approx(found.pr_auc)
    assert np.all(np.diff(recall) >= 0)

"""Two models compared on the same pictures: against counting and scipy, whatever their order."""

import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom

from mri_tumor.dataset.catalog import Catalog, Record
from mri_tumor.errors import ArgumentError
from mri_tumor.models.evaluation import evaluate
from mri_tumor.models.judging.comparison import compare, mcnemar
from mri_tumor.models.judging.truth import Truth


def test_differences_are_those_of_the_scores(judged) -> None:
    first, second = judged(1), judged(2)
    found = compare(first, second, draws=300)
    for part in ("all", "leaked", "clean"):
        own, one, other = getattr(found, part), getattr(first, part), getattr(second, part)
        assert own.n == one.n
        assert own.accuracy.value == pytest.approx(other.accuracy - one.accuracy)
        assert own.macro_f1.value == pytest.approx(other.macro_f1 - one.macro_f1)
        assert own.only_second - own.only_first == pytest.approx(own.accuracy.value * own.n)
        assert own.accuracy.interval.low <= own.accuracy.value <= own.accuracy.interval.high
    assert json.loads(json.dumps(found.to_dict(), allow_nan=False))["all"]["n"] == 40
    lines = found.summary().splitlines()
    assert lines[0].split() == ["second", "-", "first", "all", "leaked", "clean"]


def test_a_model_is_as_good_as_itself(judged) -> None:
    found = compare(judged(1), judged(1)).all
    assert (found.accuracy.value, found.accuracy.interval.low, found.accuracy.interval.high) == (0, 0, 0)
    assert (found.accuracy.below, found.p, found.only_first) == (0.5, None, 0)


def test_a_surely_better_model_is_called_so(judged) -> None:
    weak = judged(1)
    right = tuple(
        dataclasses.replace(one, top=label, label=label, abstained=False)
        for one, label in zip(weak.predictions, weak.truth.labels, strict=True)
    )
    perfect = evaluate(_Answers(right), Catalog(_records(weak.truth)), leaked=weak.leaked_ids, draws=50)
    found = compare(weak, perfect).all
    assert found.accuracy.interval.low > 0
    assert found.accuracy.below < 0.01
    assert found.p < 0.05
    assert compare(perfect, weak).all.accuracy.below > 0.99


def test_the_order_of_the_pictures_does_not_count(judged) -> None:
    first, second = judged(1), judged(2)
    turned = evaluate(
        _Answers(second.predictions),
        Catalog(reversed(_records(second.truth))),
        leaked=second.leaked_ids,
        draws=100,
    )
    assert compare(first, turned) == compare(first, second)
    first_turned = evaluate(
        _Answers(first.predictions),
        Catalog(reversed(_records(first.truth))),
        leaked=first.leaked_ids,
        draws=100,
    )
    assert compare(first_turned, second) == compare(first, second)


@given(st.integers(0, 60), st.integers(0, 60))
def test_mcnemar_is_the_two_tails_of_a_fair_coin(first: int, second: int) -> None:
    found = mcnemar(first, second)
    if first + second == 0:
        assert found is None
    else:
        assert found == pytest.approx(min(1, 2 * binom.cdf(min(first, second), first + second, 0.5)))


def test_other_pictures_are_refused(judged) -> None:
    found = judged()
    with pytest.raises(ArgumentError, match="second is a str"):
        compare(found, "model")
    with pytest.raises(ArgumentError, match=r"10 pictures, such as '\d+\.png', are in one evaluation only"):
        compare(found, judged(count=30))
    with pytest.raises(ArgumentError, match="different things about leaks"):
        compare(found, judged(leaked=None))
    truth = found.truth
    labels = ("none" if truth.labels[0] != "none" else "glioma", *truth.labels[1:])
    other = dataclasses.replace(found, truth=dataclasses.replace(truth, labels=labels))
    with pytest.raises(ArgumentError, match=r"'0\.png' has another label or group"):
        compare(found, other)
    groups = dataclasses.replace(found, truth=dataclasses.replace(truth, groups=(None, *truth.groups[1:])))
    with pytest.raises(ArgumentError, match=r"'0\.png' has another label or group"):
        compare(found, groups)
    nameless = dataclasses.replace(found, truth=dataclasses.replace(truth, known_ids=False))
    with pytest.raises(ArgumentError, match="the pictures of first have no ids"):
        compare(nameless, found)
    with pytest.raises(ArgumentError, match="draws is 0"):
        compare(found, found, draws=0)


class _Answers:
    def __init__(self, predictions) -> None:
        self.labels = tuple(predictions[0].probabilities)
        self.predictions = list(predictions)

    def predict(self, images):
        return self.predictions


def _records(truth: Truth) -> list[Record]:
    rows = zip(truth.ids, truth.paths, truth.labels, truth.groups, strict=True)
    return [Record(*row) for row in rows]

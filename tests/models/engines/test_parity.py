"""Differences are counted as they are, and what is no number never passes."""

import numpy as np
import pytest

from mri_tumor.models.engines.engine import Outputs
from mri_tumor.models.engines.parity import Parity, answers, compare, feature_difference


def outputs(**changes: np.ndarray) -> Outputs:
    plain = {
        "probabilities": np.array([[0.6, 0.4], [0.1, 0.9], [0.5, 0.5]], np.float32),
        "top": np.array([0, 1, 0], np.int32),
        "label": np.array([0, 1, -1], np.int32),
        "abstained": np.array([False, False, True]),
        "prediction_set": np.array([[True, False], [False, True], [True, True]]),
        "novelty": np.array([0.5, 0.6, 0.7], np.float32),
        "features": np.array([[0.0, 4.0], [1.0, 2.0], [0.0, 0.0]], np.float32),
    }
    return plain | changes


def test_the_same_is_the_same() -> None:
    found = compare(outputs(), outputs())
    assert found == Parity(3, 0.0, 0.0, 0.0, 3, 3, 3)
    assert found.agree
    assert found.same


def test_each_difference_is_counted_where_it_is() -> None:
    found = compare(
        outputs(),
        outputs(
            probabilities=np.array([[0.6, 0.4], [0.2, 0.8], [0.5, 0.5]], np.float32),
            label=np.array([0, -1, -1], np.int32),
            abstained=np.array([False, True, True]),
            prediction_set=np.array([[True, True], [True, True], [True, True]]),
            novelty=np.array([0.5, 0.6, 1.0], np.float32),
            features=np.array([[0.0, 5.0], [1.0, 2.0], [0.0, 0.0]], np.float32),
        ),
    )
    assert found.probabilities == pytest.approx(0.1)
    assert found.features == pytest.approx(0.25)
    assert found.novelty == pytest.approx(0.3)
    assert (found.labels, found.sets, found.abstentions) == (2, 1, 2)
    assert not found.agree
    assert "sets 1 of 3" in found.text()


def test_agreement_is_not_sameness() -> None:
    found = compare(outputs(), outputs(features=outputs()["features"] * 1.01))
    assert found.agree
    assert not found.same
    assert found.to_dict()["agree"]


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number_never_passes(value: float) -> None:
    broken = outputs()["probabilities"].copy()
    broken[1, 1] = value
    assert not compare(outputs(), outputs(probabilities=broken)).same
    assert feature_difference(np.ones((1, 2)), np.array([[1.0, value]])) > 1


def test_before_calibration_there_are_no_sets() -> None:
    plain = {name: values for name, values in outputs().items() if name not in ("prediction_set", "novelty")}
    found = compare(plain, plain)
    assert (found.sets, found.novelty) == (None, None)
    assert found.agree
    assert "sets" not in found.text()


def test_without_features_they_are_not_compared() -> None:
    other = {name: values for name, values in outputs().items() if name != "features"}
    assert compare(outputs(), other).features is None


def test_many_pictures_are_asked_for_some_at_a_time() -> None:
    asked = []

    class Counting:
        name = precision = ""

        def __call__(self, images: np.ndarray) -> Outputs:
            asked.append(len(images))
            return {"top": images[:, 0, 0, 0]}

    images = np.arange(70, dtype=np.uint8)[:, None, None, None]
    np.testing.assert_array_equal(answers(Counting(), images)["top"], np.arange(70))
    assert asked == [32, 32, 6]

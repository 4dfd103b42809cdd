import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from mri_tumor.errors import ArgumentError
from mri_tumor.models.deciding.conformal import METHODS, Conformal
from mri_tumor.models.deciding.settings import Settings
from mri_tumor.models.decision import decide, judge
from mri_tumor.models.novelty import Density
from mri_tumor.models.prediction import REASONS

LOGITS = arrays(
    np.float32,
    array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=5),
    elements=st.floats(-50, 50, width=32),
)


def test_hand_computed() -> None:
    found = decide(np.log([[1.0, 2.0, 5.0], [4.0, 4.0, 2.0]]))
    np.testing.assert_allclose(found["probabilities"], [[0.125, 0.25, 0.625], [0.4, 0.4, 0.2]], atol=1e-6)
    assert np.asarray(found["top"]).tolist() == [2, 0]


@given(LOGITS)
@example(np.array([[-0.0, 0.0], [-0.0, -0.0]], np.float32))
def test_probabilities_sum_to_one_and_top_is_the_largest(logits: np.ndarray) -> None:
    found = {name: np.asarray(value) for name, value in decide(logits).items()}
    assert set(found) == {"probabilities", "top", "label", "abstained", "reason"}
    np.testing.assert_array_equal(found["label"], found["top"])
    assert not found["abstained"].any()
    assert (found["probabilities"].dtype, found["top"].dtype) == (np.float32, np.int32)
    np.testing.assert_allclose(found["probabilities"].sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(found["top"], found["probabilities"].argmax(axis=1))


def test_zero_and_minus_zero_are_equals() -> None:
    assert np.asarray(decide(np.array([[-0.0, 0.0]], np.float32))["top"]).tolist() == [0]


def test_huge_and_half_precision_logits_stay_finite() -> None:
    for kind in ("float16", "bfloat16", "float32"):
        logits = keras.ops.cast([[6e4, 0.0, -6e4]], kind)
        found = decide(logits)
        assert found["probabilities"].dtype == tf.float32
        np.testing.assert_allclose(found["probabilities"], [[1, 0, 0]])


def test_the_same_inside_a_graph() -> None:
    logits = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
    graph = tf.function(decide, input_signature=[tf.TensorSpec((None, 4), tf.float32)])
    for name, value in decide(logits).items():
        np.testing.assert_allclose(graph(logits)[name], value, atol=1e-6)


def test_one_row_of_logits_is_no_batch() -> None:
    with pytest.raises(ArgumentError, match=r"shape \(4,\)"):
        decide(np.zeros(4))


def test_one_class_leaves_nothing_to_decide() -> None:
    with pytest.raises(ArgumentError, match=r"shape \(3, 1\)"):
        decide(np.zeros((3, 1)))


FEATURES = np.random.default_rng(0).normal(size=(60, 6)).astype(np.float32)
DENSITY = Density.fit(FEATURES, np.arange(60) % 3)
WHOLE = Settings("none", 1.7, Conformal("aps", 0.1, (0.6, 0.8, 0.7)), DENSITY, 1.2)


def said(found: dict) -> dict[str, list]:
    return {name: np.asarray(value).tolist() for name, value in found.items()}


@pytest.mark.parametrize(
    ("held", "novelty", "label", "reason"),
    [
        ([True, False], 0.5, 0, ""),
        ([False, True], 0.5, 1, ""),  # the label is the set's class, also where another is likelier
        ([True, True], 0.5, -1, "ambiguous"),
        ([False, False], 0.5, -1, "empty"),
        ([True, False], 1.0, 0, ""),  # 1 is the threshold itself
        ([True, False], 1.001, -1, "novel"),
        ([True, True], 7.0, -1, "novel"),  # what is not known is not ambiguous either
        ([False, False], 7.0, -1, "novel"),
        ([True, False], float("nan"), -1, "novel"),
        ([True, True], None, -1, "ambiguous"),
        (None, 0.5, 0, ""),
        (None, 7.0, -1, "novel"),
        (None, None, 0, ""),
    ],
)
def test_the_rule(held: list | None, novelty: float | None, label: int, reason: str) -> None:
    sets = None if held is None else np.array([held])
    found = said(judge(np.array([0], np.int32), sets, None if novelty is None else np.array([novelty])))
    assert found == {"label": [label], "abstained": [bool(reason)], "reason": [REASONS.index(reason)]}


def test_types_are_the_same_whatever_is_fitted() -> None:
    logits = np.zeros((2, 3), np.float32)
    for settings in (Settings(), Settings(conformal=WHOLE.conformal), WHOLE):
        found = {
            name: np.asarray(value).dtype for name, value in decide(logits, FEATURES[:2], settings).items()
        }
        assert (found["label"], found["reason"], found["abstained"]) == (np.int32, np.int32, bool)
        assert found.get("prediction_set", np.dtype(bool)) == np.dtype(bool)
        assert found.get("novelty", np.float32) == np.float32


def test_what_is_not_fitted_is_not_said() -> None:
    found = decide(np.zeros((2, 3)), settings=Settings(density=DENSITY))
    assert set(found) == {"probabilities", "top", "label", "abstained", "reason"}
    with pytest.raises(ArgumentError, match="features are missing"):
        decide(np.zeros((2, 3)), settings=WHOLE)


def test_everything_by_hand() -> None:
    logits = 1.7 * np.log([[0.7, 0.2, 0.1], [0.45, 0.45, 0.1], [0.05, 0.5, 0.45], [0.5, 0.3, 0.2]])
    settings = Settings("none", 1.7, Conformal("plain", 0.1, (0.4, 0.6, 0.6)), DENSITY, 1.2)
    features = DENSITY.means[[0, 0, 0, 0]] + np.float32([[0], [0], [0], [9]]) * DENSITY.scale
    found = said(decide(logits, features, settings))
    np.testing.assert_allclose(found["probabilities"][0], [0.7, 0.2, 0.1], atol=1e-6)
    assert found["prediction_set"] == [
        [True, False, False],
        [False, True, False],
        [False, True, True],
        [False, False, False],
    ]
    assert [REASONS[code] for code in found["reason"]] == ["", "", "ambiguous", "novel"]
    assert (found["top"], found["label"]) == ([0, 0, 1, 0], [0, 1, -1, -1])
    np.testing.assert_allclose(found["novelty"], DENSITY.distance(features) / 1.2, rtol=1e-6)


@given(LOGITS, st.floats(0.05, 20))
def test_temperature_never_changes_the_most_likely_class(logits: np.ndarray, temperature: float) -> None:
    plain = np.asarray(decide(logits)["probabilities"])
    top = np.asarray(decide(logits, settings=Settings(temperature=temperature))["top"])
    # Equals, as far as float32 can tell, are equals.
    np.testing.assert_allclose(plain[np.arange(len(top)), top], plain.max(axis=1), rtol=1e-4)


@given(st.integers(0, 59), st.integers(1, 9), st.sampled_from(METHODS))
def test_who_else_is_in_the_batch_does_not_count(start: int, size: int, method: str) -> None:
    logits = np.random.default_rng(3).normal(0, 2, (60, 3)).astype(np.float32)
    settings = Settings("none", 0.8, Conformal(method, 0.1, (0.6, 0.8, 0.7)), DENSITY, 1.2)
    part = slice(start, start + size)
    whole, alone = decide(logits, FEATURES, settings), decide(logits[part], FEATURES[part], settings)
    for name, value in alone.items():
        np.testing.assert_allclose(np.asarray(whole[name])[part], value, atol=1e-5, err_msg=name)


def test_all_of_it_is_the_same_inside_a_graph() -> None:
    logits = np.random.default_rng(0).normal(0, 2, (60, 3)).astype("float32")
    specs = [tf.TensorSpec((None, 3), tf.float32), tf.TensorSpec((None, 6), tf.float32)]
    for compiled in (False, True):
        graph = tf.function(lambda x, y: decide(x, y, WHOLE), input_signature=specs, jit_compile=compiled)
        found = graph(logits, FEATURES)
        for name, value in decide(logits, FEATURES, WHOLE).items():
            np.testing.assert_allclose(found[name], value, atol=1e-5, err_msg=name)

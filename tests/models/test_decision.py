import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from mri_tumor.errors import ArgumentError
from mri_tumor.models.decision import decide

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
    assert set(found) == {"probabilities", "top"}
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

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from mri_tumor.models.recipe import Recipe
from mri_tumor.models.steps.objective import (
    CrossEntropy,
    compile_model,
    correct,
    cross_entropy,
    rows,
    smoothed,
)

LOGITS = np.random.default_rng(0).normal(0, 3, (7, 4)).astype(np.float32)
LABELS = np.array([0, 1, 2, 3, 0, 1, 2])


def test_both_forms_of_labels_have_the_loss_and_accuracy_of_keras():
    expected = keras.losses.sparse_categorical_crossentropy(LABELS, LOGITS, from_logits=True)
    right = keras.metrics.sparse_categorical_accuracy(LABELS, LOGITS)
    for labels in (tf.constant(LABELS), rows(tf.constant(LABELS), 4)):
        np.testing.assert_allclose(cross_entropy(labels, tf.constant(LOGITS)), expected, rtol=1e-5)
        np.testing.assert_array_equal(correct(labels, tf.constant(LOGITS)), right)
        weights = np.arange(7, dtype=np.float32)
        loss = CrossEntropy()(labels, tf.constant(LOGITS), weights)
        assert float(loss) == pytest.approx(float(np.mean(weights * expected)), rel=1e-5)


def test_the_loss_of_half_precision_logits_is_float32():
    loss = cross_entropy(tf.constant(LABELS), tf.cast(LOGITS, tf.bfloat16))
    assert loss.dtype == tf.float32


@given(st.floats(0, 0.99), st.integers(2, 6))
@settings(max_examples=20)
def test_smoothed_labels_sum_to_one_and_keep_their_class(share, classes):
    labels = np.arange(classes)
    found = smoothed(tf.constant(labels), classes, share).numpy()
    np.testing.assert_allclose(found.sum(1), 1, rtol=1e-5)
    np.testing.assert_array_equal(found.argmax(1), labels)


def test_smoothing_is_that_of_keras():
    truth = rows(tf.constant(LABELS), 4)
    expected = keras.losses.categorical_crossentropy(truth, LOGITS, from_logits=True, label_smoothing=0.2)
    found = cross_entropy(smoothed(tf.constant(LABELS), 4, 0.2), tf.constant(LOGITS))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_biases_and_normalisation_are_not_decayed():
    inputs = keras.Input((3,))
    x = keras.layers.BatchNormalization()(keras.layers.Dense(4)(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2)(x))
    compile_model(model, Recipe(weight_decay=0.5))
    decayed = [v.path for v in model.trainable_variables if model.optimizer._use_weight_decay(v)]
    assert [path.split("/")[-1] for path in decayed] == ["kernel", "kernel"]


def test_half_precision_floats_scale_their_loss():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    compile_model(model, Recipe(precision="mixed_float16", weight_decay=0.1), learning_rate=0.5, clip_norm=2)
    assert isinstance(model.optimizer, keras.optimizers.LossScaleOptimizer)
    assert float(model.optimizer.learning_rate) == 0.5
    assert model.optimizer.inner_optimizer.global_clipnorm == 2

"""What training minimises and by what steps: loss, accuracy and optimizer, for both forms of labels."""

from typing import Any

import keras
from keras import ops

from mri_tumor.models.recipe import Recipe

NOT_DECAYED = ("bias", "gamma", "beta")
"""Variables whose names have this in them are few, and shrinking them regularises nothing."""


def rows(labels: Any, classes: int) -> Any:
    """Return labels as float32 rows (N, K): whole numbers (N,) as one 1 each, rows as they are.

    >>> rows(ops.convert_to_tensor([2, 0]), 3).numpy().tolist()
    [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """
    if len(labels.shape) == 2:
        return ops.cast(labels, "float32")
    return ops.one_hot(ops.cast(labels, "int32"), classes, dtype="float32")


def smoothed(labels: Any, classes: int, share: float) -> Any:
    """Return labels as rows (N, K) of which `share` is spread evenly over all classes.

    The method is Szegedy et al., "Rethinking the Inception architecture", 2016.

    >>> smoothed(ops.convert_to_tensor([1]), 2, 0.25).numpy().tolist()
    [[0.125, 0.875]]
    """
    return rows(labels, classes) * (1 - share) + share / classes


def cross_entropy(labels: Any, logits: Any) -> Any:
    """Return each picture's cross-entropy (N,) in nats, computed in float32.

    Args:
        labels: whole numbers (N,), or rows of shares (N, K) that sum to 1.
        logits: (N, K), of any precision.
    """
    logits = ops.cast(logits, "float32")
    return ops.categorical_crossentropy(rows(labels, logits.shape[-1]), logits, from_logits=True)


def correct(labels: Any, logits: Any) -> Any:
    """Return float32 (N,): 1 where the largest logit is at the label, or at the largest share of a row."""
    truth = rows(labels, logits.shape[-1])
    return ops.cast(ops.equal(ops.argmax(truth, -1), ops.argmax(logits, -1)), "float32")


class CrossEntropy(keras.losses.Loss):  # type: ignore[misc]  # keras has no types
    """`cross_entropy` as Keras takes it."""

    def call(self, labels: Any, logits: Any) -> Any:
        """Return each picture's loss."""
        return cross_entropy(labels, logits)


def compile_model(
    model: Any, recipe: Recipe, *, learning_rate: float | None = None, clip_norm: float | None = None
) -> None:
    """Compile a model that gives logits: AdamW, cross-entropy and accuracy.

    The optimizer is Loshchilov and Hutter, "Decoupled weight decay regularization", 2019. With
    `"mixed_float16"` it scales the loss so that small gradients do not vanish.

    Args:
        model: built; its trainable variables are those of now.
        recipe: weight decay and precision.
        learning_rate: the recipe's if None.
        clip_norm: the gradients' common norm is cut to this, None for not.
    """
    rate = recipe.learning_rate if learning_rate is None else float(learning_rate)
    optimizer = keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay, global_clipnorm=clip_norm)
    optimizer.exclude_from_weight_decay(var_names=list(NOT_DECAYED))
    if recipe.precision == "mixed_float16":
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    accuracy = keras.metrics.MeanMetricWrapper(correct, name="accuracy")
    model.compile(optimizer=optimizer, loss=CrossEntropy(), metrics=[accuracy], jit_compile=False)
    optimizer.build(model.trainable_variables)

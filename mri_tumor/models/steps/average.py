"""A moving average of a network's weights, which is what is validated and kept."""

from typing import Any

import keras
import tensorflow as tf


class MovingAverage(keras.callbacks.Callback):  # type: ignore[misc]  # keras has no types
    """Average the weights over the steps (EMA), and put the average into the network after each epoch.

    After step t, from 0, average += (1 - m) * (weights - average), where m is the momentum, but at most
    (1 + t) / (10 + t): so the random weights of the beginning are soon forgotten (that is
    `tf.train.ExponentialMovingAverage`; the method is Polyak and Juditsky, "Acceleration of stochastic
    approximation by averaging", 1992). The statistics of batch normalisation are averaged likewise, as they
    belong to the weights; what is frozen stays as it is, to the bit.

    It stands first among the callbacks: the others see the average from validation to the end of the epoch.
    At the beginning of the next one the weights themselves are put back.

    Args:
        momentum: between 0 and 1; at 0.98 an average looks back about 50 steps.
        steps: steps an epoch.
    """

    def __init__(self, momentum: float, steps: int) -> None:
        super().__init__()
        self.momentum, self.steps = momentum, steps
        self.epoch = 0
        self.raw_weights: list[Any] | None = None

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Begin with the network's weights: those at the start, or the average that a checkpoint held."""
        self.raw_weights = None
        self._own = [weight for weight in self.model.weights if "float" in weight.dtype]
        self._averages = [tf.Variable(weight.numpy(), trainable=False) for weight in self._own]
        self._update = tf.function(self._step, autograph=False)

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Go on with the weights themselves."""
        self.epoch = epoch
        if self.raw_weights is not None:
            for weight, value in zip(self._own, self.raw_weights, strict=True):
                weight.assign(value)
        self.raw_weights = None

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Take the step's weights into the average."""
        done = self.epoch * self.steps + batch
        share = 1 - min(self.momentum, (1 + done) / (10 + done))
        self._update(tf.constant(share, tf.float32))

    def on_test_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Validate the average."""
        self._show()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Let the other callbacks see the average, after an epoch without validation too."""
        self._show()

    def _show(self) -> None:
        if self.raw_weights is None:
            self.raw_weights = [weight.numpy() for weight in self._own]
            for weight, average in zip(self._own, self._averages, strict=True):
                weight.assign(average)

    def _step(self, share: tf.Tensor) -> None:
        for weight, average in zip(self._own, self._averages, strict=True):
            average.assign_add(tf.cast(share, average.dtype) * (weight.value - average))

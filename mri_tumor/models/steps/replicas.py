"""The epochs on several devices: what Keras' `fit` does on one, with the same callbacks and the same sums.

`fit` itself cannot be used: under several workers it fails (keras issue 20585), and on the devices of one
machine it takes the mean of the devices' means and cuts the norm of each device's gradient by itself, which
is another training whenever a batch does not divide evenly, or a norm is cut.
"""

import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mri_tumor.errors import TrainingError
from mri_tumor.models.steps.devices import Devices
from mri_tumor.models.steps.objective import correct, cross_entropy


class Replicas:
    """A network on several devices: one training step, and one validation.

    Each device takes its part of a batch. Losses and gradients are summed over all devices and divided by the
    number of pictures of the whole batch, so the steps are those of one device with the same batches.

    Args:
        model: built and compiled in the strategy's scope, its optimizer without a norm to cut.
        devices: where it is.
        clip_norm: the norm of the whole gradient is cut to this, None for not. The gradients then travel
            twice between the devices: once for the norm, once in Keras' optimizer, which adds them up itself.
    """

    def __init__(self, model: Any, devices: Devices, clip_norm: float | None = None) -> None:
        self.model, self.devices, self.clip_norm = model, devices, clip_norm
        self._train = tf.function(self._on_all(self._train_part), autograph=False, reduce_retracing=True)
        self._test = tf.function(self._on_all(self._test_part), autograph=False, reduce_retracing=True)

    def train(self, batch: Any) -> Any:
        """Take one step; return float64 (3,): summed loss, correct answers and number of pictures.

        Args:
            batch: inputs, labels and weights: this worker's part of the batch, or on one machine all of it.
        """
        return self._train(self.devices.parts(batch))[0].numpy().astype(np.float64)

    def test(self, batches: Iterable[Any]) -> Any:
        """Return the same sums over all workers' batches of inputs and labels, without learning."""
        sums = np.zeros(3)
        for batch in batches:
            for part in self._test(self.devices.parts(batch)):
                sums += part.numpy()
        return self.devices.total(sums)

    def _on_all(self, part: Callable[..., Any]) -> Callable[[Any], Any]:
        strategy = self.devices.strategy

        def step(batch: Any) -> Any:
            return strategy.experimental_local_results(strategy.run(part, args=batch))

        return step

    def _train_part(self, inputs: Any, labels: Any, weights: Any) -> Any:
        context, optimizer = tf.distribute.get_replica_context(), self.model.optimizer
        own = tf.cast(tf.shape(inputs)[0], tf.float32)
        count = context.all_reduce(tf.distribute.ReduceOp.SUM, own)
        variables = self.model.trainable_variables
        with tf.GradientTape() as tape:
            logits = self.model(inputs, training=True)
            losses = cross_entropy(labels, logits) * tf.cast(weights, tf.float32)
            loss = tf.reduce_sum(losses) / count + self._penalty() / context.num_replicas_in_sync
            scaled = optimizer.scale_loss(loss)
        gradients = self._clipped(tape.gradient(scaled, variables), context)
        optimizer.apply(gradients, variables)
        sums = tf.stack([loss * count, tf.reduce_sum(correct(labels, logits)), own])
        return context.all_reduce(tf.distribute.ReduceOp.SUM, sums)

    def _clipped(self, gradients: Any, context: Any) -> Any:
        if self.clip_norm is None:
            return gradients
        whole = context.all_reduce(tf.distribute.ReduceOp.SUM, gradients)
        cut, _ = tf.clip_by_global_norm(whole, self.model.optimizer.scale_loss(self.clip_norm))
        return [gradient / context.num_replicas_in_sync for gradient in cut]

    def _test_part(self, inputs: Any, labels: Any) -> Any:
        logits = self.model(inputs, training=False)
        own = tf.cast(tf.shape(inputs)[0], tf.float32)
        loss = tf.reduce_sum(cross_entropy(labels, logits)) + own * self._penalty()
        return tf.stack([loss, tf.reduce_sum(correct(labels, logits)), own])

    def _penalty(self) -> Any:
        return tf.add_n(self.model.losses) if self.model.losses else 0.0


def fit_replicas(
    replicas: Replicas,
    data: Callable[[int], Iterable[Any]],
    *,
    first: int,
    epochs: int,
    steps: int,
    validation: Iterable[Any] | None,
    callbacks: Sequence[Any],
) -> None:
    """Train as `keras.Model.fit` does, on all devices.

    Args:
        replicas: the network.
        data: epoch -> batches of (inputs, labels, weights).
        first: the epoch to begin with.
        epochs: where to end.
        steps: batches an epoch.
        validation: batches of (inputs, labels), or None.
        callbacks: Keras callbacks; the logs are the running means, as in `fit`.

    Raises:
        TrainingError: an epoch has too few batches.
    """
    model = replicas.model
    called = keras.callbacks.CallbackList(list(callbacks), model=model, epochs=epochs, steps=steps, verbose=0)
    model.stop_training = False
    called.on_train_begin()
    logs: dict[str, float] = {}
    for epoch in range(first, epochs):
        called.on_epoch_begin(epoch)
        logs = _train_epoch(replicas, data(epoch), steps, called)
        if validation is not None:
            logs |= {f"val_{name}": value for name, value in _test(replicas, validation, called).items()}
        called.on_epoch_end(epoch, logs)
        if model.stop_training:
            break
    called.on_train_end(logs)


def _train_epoch(replicas: Replicas, batches: Iterable[Any], steps: int, called: Any) -> dict[str, float]:
    sums, done = np.zeros(3), 0
    for batch in itertools.islice(batches, steps):
        called.on_train_batch_begin(done)
        sums += replicas.train(batch)
        called.on_train_batch_end(done, _means(sums))
        done += 1
    if done < steps:
        raise TrainingError(
            f"an epoch has {done} batches", f"{steps}", "pass the number of batches that the data has"
        )
    return _means(sums)


def _test(replicas: Replicas, validation: Iterable[Any], called: Any) -> dict[str, float]:
    called.on_test_begin()
    logs = _means(replicas.test(validation))
    called.on_test_end(logs)
    return logs


def _means(sums: Any) -> dict[str, float]:
    return {"loss": float(sums[0] / sums[2]), "accuracy": float(sums[1] / sums[2])}

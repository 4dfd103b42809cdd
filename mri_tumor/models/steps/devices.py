"""Where a network is trained: on one device, on all of this machine, or on those of several machines."""

import contextlib
import functools
import itertools
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mri_tumor.errors import ArgumentError, TrainingError
from mri_tumor.models.networks.copies import leaves
from mri_tumor.models.recipe import Recipe
from mri_tumor.models.steps.precision import synchronised

_GONE = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
)
"""What TensorFlow raises on a worker when another one has gone."""


@dataclass(frozen=True)
class Devices:
    """The devices of a run, and which part of the work falls to this process.

    Args:
        strategy: TensorFlow's strategy; None trains on one device, with Keras' own `fit`.
        worker: which of the workers this process is, from 0. Number 0 alone writes files.
        workers: how many there are.
    """

    strategy: Any = None
    worker: int = 0
    workers: int = 1

    @property
    def here(self) -> int:
        """How many devices this process has."""
        return 1 if self.strategy is None else len(self.strategy.extended.worker_devices)

    @property
    def chief(self) -> bool:
        """Whether this process writes the run's files."""
        return self.worker == 0

    def parts(self, batch: Any) -> Any:
        """Return a batch cut for the devices of this process: in order, as even as can be.

        Args:
            batch: a tuple of tensors (n, ...). With fewer rows than devices some parts are empty.

        Returns:
            A tuple of what `strategy.run` takes.
        """

        def part(tensor: Any) -> Any:
            cuts = [len(tensor) * place // self.here for place in range(self.here + 1)]
            return self._spread([tensor[start:end] for start, end in itertools.pairwise(cuts)])

        return tuple(map(part, batch))

    def total(self, values: Any) -> Any:
        """Return the sum of an array over all workers; every worker gets the same.

        Args:
            values: float32, float64, int32 or int64, of the same shape on all workers.
        """
        if self.workers == 1:
            return np.asarray(values)
        own = np.asarray(values)
        parts = self._spread([tf.constant(own)] + [tf.zeros_like(own)] * (self.here - 1))
        return self._sum(parts).numpy()

    def from_first(self, message: bytes | None) -> bytes:
        """Return the message of worker 0, on every worker; the others' own is not looked at."""
        own = message if self.chief and message is not None else b""
        length = int(self.total(np.array([len(own)], np.int64))[0])
        words = np.zeros(-(-length // 4), np.int32)
        words.view(np.uint8)[: len(own)] = np.frombuffer(own, np.uint8)
        return bytes(self.total(words).tobytes()[:length])

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Turn what TensorFlow raises when another worker has gone into an error of this library.

        Raises:
            TrainingError: another worker has gone. Measured on one machine, with `kill -9`: the others know
                within a second of worker 0, and after 10 to 12 s of another one.
        """
        try:
            yield
        except _GONE as error:
            if self.workers == 1:
                raise
            reason = re.search(r"aborted by: (.*)", str(error))
            raise TrainingError(
                f"worker {self.worker} lost another worker ({reason[1] if reason else error!s:.300})",
                f"all {self.workers} workers to the end",
                "start all of them again: the run goes on after its last whole epoch",
            ) from error

    def _spread(self, tensors: list[Any]) -> Any:
        rest = iter(tensors)
        return self.strategy.experimental_distribute_values_from_function(lambda context: next(rest))

    @functools.cached_property
    def _sum(self) -> Any:
        reduced = tf.distribute.ReduceOp.SUM
        return tf.function(lambda parts: self.strategy.reduce(reduced, parts, axis=None))


def devices_of(recipe: Recipe) -> Devices:
    """Return the devices that a recipe asks for.

    With `devices="workers"` this connects to the other machines, and waits until all are there. TensorFlow
    allows that only before it has done anything else in a process: call it before a network is built. A
    second call returns the same.

    Raises:
        ArgumentError: `TF_CONFIG` does not name the workers, or TensorFlow was in use already.

    >>> devices_of(Recipe())
    Devices(strategy=None, worker=0, workers=1)
    """
    if recipe.devices == "one":
        return Devices()
    return _mirrored() if recipe.devices == "mirrored" else _workers()


def training_copy(model: Any, devices: Devices, change: Callable[[Any], Any]) -> Any:
    """Return a copy of a model for several devices: its variables are kept alike on all of them.

    Raises:
        ArgumentError: a layer keeps a state of its own, which each device would change in another way.
    """
    _check_states(model)
    with devices.strategy.scope():
        return change(synchronised(model))


@functools.cache
def _mirrored() -> Devices:
    names = [device.name for kind in ("GPU", "CPU") for device in tf.config.list_logical_devices(kind)]
    kind = "GPU" if any("GPU" in name for name in names) else "CPU"
    return Devices(tf.distribute.MirroredStrategy([name for name in names if kind in name]))


@functools.cache
def _workers() -> Devices:
    place, count = _place(os.environ.get("TF_CONFIG", ""))
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except RuntimeError as error:
        raise ArgumentError(
            f"TensorFlow was used before the workers were connected ({error})",
            "devices_of(recipe) as the first thing that a worker does",
            "call mri_tumor.models.steps.devices.devices_of(recipe) before the network is built",
        ) from error
    return Devices(strategy, place, count)


def _place(text: str) -> tuple[int, int]:
    """Return which worker this is, and of how many, from the value of `TF_CONFIG`."""
    try:
        config = json.loads(text)
        cluster, task = config["cluster"], config["task"]
        names = [
            (kind, number) for kind in ("chief", "worker") for number in range(len(cluster.get(kind, [])))
        ]
        return names.index((task["type"], int(task["index"]))), len(names)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ArgumentError(
            f"TF_CONFIG is {text!r:.120}",
            '{"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}',
            'set it on every worker, or pass devices="one"',
        ) from error


def _check_states(model: Any) -> None:
    """Refuse layers that learn something beside their trainable weights, except batch normalisation."""
    for layer in leaves(model):
        known = isinstance(layer, keras.layers.BatchNormalization) or not layer.trainable
        if layer.non_trainable_weights and not known:
            raise ArgumentError(
                f"layer {layer.name} ({type(layer).__name__}) keeps a state of its own in training",
                "layers without one, or batch normalisation, which is synchronised",
                'train with devices="one", or leave the layer out',
            )

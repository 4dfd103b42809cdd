"""TensorFlow as the engine: the network as a graph whose weights are constants."""

import threading
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mri_tumor.models.deciding.settings import Settings
from mri_tumor.models.deciding.views import observe
from mri_tumor.models.decision import decide
from mri_tumor.models.engines.buckets import in_buckets
from mri_tumor.models.engines.engine import Outputs

_ON_CPU, _ON_GPU = 4, 64
"""Pictures a call. On a CPU four are faster than 32: the early layers' outputs stay in its cache."""


def pictures_a_call() -> int:
    """Return the most pictures that TensorFlow is best given at once, where a network only looks at them."""
    return _ON_GPU if tf.config.list_logical_devices("GPU") else _ON_CPU


_CONSTANT = 6_500_000
"""So many weights at most are constants: each graph takes some ten times their memory again, and keeps it."""

_TELLING = 8
"""Weights, spread over the network, that tell whether it was trained on."""


class TensorFlowEngine:
    """The network and its decision, compiled once for each shape that it is called with.

    The weights of networks that are not large are constants of the compiled graph, which lets TensorFlow join
    convolutions with the normalisation behind them. When some of them, spread over the network, are found
    changed, as any training leaves them, it is compiled anew. The weights of large networks are read at each
    call.

    Args:
        network: uint8 (N, size, size, 1) to logits, as `build` makes it.
        settings: how it decides.
    """

    name = "tensorflow"
    precision = "float32"

    def __init__(self, network: Any, settings: Settings) -> None:
        self._network, self._settings = network, settings
        weights = network.weights  # a network goes through all its layers for them
        self._constant = network.count_params() <= _CONSTANT
        self._telling = _telling(network, weights) if self._constant else []
        self._lock = threading.Lock()
        self._compiled_with: list[NDArray[Any]] = []
        self._trace: Any = None
        self._compiled: dict[int, Any] = {}

    def __call__(self, images: NDArray[np.uint8]) -> Outputs:
        """Return what is said about preprocessed pictures, uint8 (N, size, size, 1), N from 1."""
        self._notice_training()

        def call(part: NDArray[np.uint8]) -> Outputs:
            said = self._function_of(len(part))(tf.constant(part))
            return {name: value.numpy() for name, value in said.items()}

        return in_buckets(call, images, pictures_a_call())

    @property
    def shapes(self) -> int:
        """How many shapes it is compiled for."""
        return len(self._compiled)

    def _notice_training(self) -> None:
        """Forget what was compiled if the network was trained on since."""
        seen = [keras.ops.convert_to_numpy(one) for one in self._telling]
        with self._lock:
            known = self._compiled_with
            if self._trace is None or not all(map(_equal, seen, known)):
                self._compiled_with, self._compiled = seen, {}
                self._trace = compiled(self._network, self._settings, constant=self._constant)

    def _function_of(self, count: int) -> Any:
        # One by one: called with one shape after another, TensorFlow's own function would warn.
        with self._lock:
            if count not in self._compiled:
                shape = (count, *self._network.inputs[0].shape[1:])
                self._compiled[count] = self._trace.get_concrete_function(tf.TensorSpec(shape, tf.uint8))
            return self._compiled[count]


def compiled(network: Any, settings: Settings, *, constant: bool = True, **options: Any) -> Any:
    """Return a `tf.function` from pictures to what is said about them.

    It is compiled for each shape of its argument, uint8 (n, size, size, 1). The names of its operations begin
    with `network/` and `decision/`.

    Args:
        network: uint8 (N, size, size, 1) to logits, as `build` makes it.
        settings: how it decides.
        constant: keep the weights of this moment, as constants; otherwise they are read at each call.
        **options: of `tf.function`.
    """
    variables = network.variables if constant else []
    weights = [keras.ops.convert_to_numpy(one) for one in variables]

    def run(image: Any) -> dict[str, Any]:
        with tf.name_scope("network"):
            constants = [(one, tf.constant(value)) for one, value in zip(variables, weights, strict=True)]
            with keras.StatelessScope(state_mapping=constants):
                logits, features = observe(network, image, settings.tta)
        with tf.name_scope("decision"):
            said = decide(logits, features, settings)
        return said | {"logits": tf.cast(logits, tf.float32), "features": tf.cast(features, tf.float32)}

    return tf.function(run, **options)


def _telling(network: Any, weights: list[Any]) -> list[Any]:
    """Return some weights that tell whether a network was trained on, those of its last layer among them."""
    return [*weights[:: -(-len(weights) // _TELLING)], *network.get_layer("logits").weights]


def _equal(one: NDArray[Any], other: NDArray[Any]) -> bool:
    return np.array_equal(one, other, equal_nan=True)

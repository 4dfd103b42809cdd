"""A network and its decision as one graph of constants: what every other engine's model is made from."""

from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mri_tumor.models.deciding.settings import Settings
from mri_tumor.models.engines.tensorflow_engine import compiled

INPUT = "image"
"""The name of the one input of every export: preprocessed pictures, uint8 (N, size, size, 1)."""

NETWORK, DECISION = "network", "decision"
"""How the names of operations begin: what may be made int8, and what never is."""


class Frozen:
    """What is exported, with the weights of this moment.

    Args:
        network: uint8 (N, size, size, 1) to logits, as `build` makes it.
        settings: how it decides.
    """

    def __init__(self, network: Any, settings: Settings) -> None:
        self.name = str(network.name)
        self.shape: tuple[None, int, int, int] = (None, *map(int, network.inputs[0].shape[1:]))  # type: ignore[assignment]
        self._network, self._settings = network, settings

    @property
    def spec(self) -> Any:
        """The input, of any number of pictures."""
        return tf.TensorSpec(self.shape, tf.uint8, name=INPUT)

    @cached_property
    def function(self) -> Any:
        """A `tf.function` of `spec` to what `decide` gives, and beside it logits and features."""
        return compiled(self._network, self._settings, input_signature=[self.spec])

    @cached_property
    def concrete(self) -> Any:
        """The graph itself."""
        return self.function.get_concrete_function()


def one_by_one(pictures: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Return pictures (N, size, size, 1) as N batches of one, which is how calibrating tools take them."""
    return [picture[None] for picture in pictures]

"""A network and its decision as one graph of constants: what every other engine's model is made from."""

from collections.abc import Callable
from functools import cached_property, partial
from typing import Any, Self

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mri_tumor.models.deciding.settings import Settings
from mri_tumor.models.engines.tensorflow_engine import compiled

INPUT = "image"
"""The name of the one input of every export: preprocessed pictures, uint8 (N, size, size, 1)."""

OBSERVED = ("logits", "features")
"""The outputs that the network itself gives: what comes after them decides, and never is made int8."""

NETWORK = "network"
"""How the names of the network's operations begin in TensorFlow's graph."""


class Frozen:
    """What is exported, with the weights of this moment.

    Args:
        name: what errors call it.
        size: height and width of the pictures.
        make: returns a `tf.function` of pictures (N, size, size, 1) to what is said about them; takes options
            of `tf.function`.
    """

    def __init__(self, name: str, size: int, make: Callable[..., Any]) -> None:
        self.name, self.size, self._make = name, size, make

    @classmethod
    def of(cls, network: Any, settings: Settings) -> Self:
        """Return a network, as `build` makes it, and how it decides; logits and features are told as well."""
        return cls(network.name, int(network.inputs[0].shape[1]), partial(compiled, network, settings))

    @classmethod
    def of_signature(cls, signature: Any) -> Self:
        """Return what a SavedModel's signature `preprocessed` does."""
        (spec,) = signature.structured_input_signature[1].values()
        make = partial(tf.function, lambda image: signature(image=image))
        return cls("the SavedModel", int(spec.shape[1]), make)

    @property
    def spec(self) -> Any:
        """The input, of any number of pictures."""
        return tf.TensorSpec((None, self.size, self.size, 1), tf.uint8, name=INPUT)

    @cached_property
    def function(self) -> Any:
        """A `tf.function` of `spec` to what is said."""
        return self._make(input_signature=[self.spec])

    @cached_property
    def concrete(self) -> Any:
        """The graph itself."""
        return self.function.get_concrete_function()


def one_by_one(pictures: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Return pictures (N, size, size, 1) as N batches of one, which is how calibrating tools take them."""
    return [picture[None] for picture in pictures]

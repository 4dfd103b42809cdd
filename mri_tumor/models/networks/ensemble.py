"""Several networks as one: its logits are the mean of theirs."""

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers

from mri_tumor.errors import ArgumentError
from mri_tumor.models.builders import backbone, head
from mri_tumor.models.fitting.features import foldable
from mri_tumor.models.networks.copies import copy_of, put_weights


def merge(networks: Sequence[Any]) -> Any:
    """Return one network whose logits are the mean of the networks' logits.

    The mean of the logits is the geometric mean of the probabilities, up to their sum. As every head is one
    dense layer, the mean is one dense layer too: on the features themselves where all networks have the same
    backbone, weights included, and on all networks' features side by side where they have not.

    Args:
        networks: of one architecture, as `build` makes them, at least one.

    Raises:
        ArgumentError: a head has several layers.

    >>> from mri_tumor.models.builders import build
    >>> pair = [build("small_cnn", size=32, width=2) for _ in range(2)]
    >>> merge(pair).get_layer("features").output.shape
    (None, 64)
    """
    for network in networks:
        if not foldable(head(network)):
            raise ArgumentError(
                f"an ensemble of {network.name}, whose head has several layers",
                "one dense layer with a bias after the features",
                "train without folds",
            )
    kernels, biases = zip(*(network.get_layer("logits").get_weights() for network in networks), strict=True)
    if same_backbone(networks):
        merged = copy_of(networks[0])
        kernel = np.mean(kernels, axis=0)
    else:
        merged = _side_by_side(networks)
        kernel = np.concatenate(kernels) / len(networks)
    merged.get_layer("logits").set_weights([kernel, np.mean(biases, axis=0)])
    return merged


def same_backbone(networks: Sequence[Any]) -> bool:
    """Tell whether all networks have the same backbone, weights included: `merge` keeps one of it then."""
    first, *others = [backbone(network).get_weights() for network in networks]
    return all(all(map(np.array_equal, first, other)) for other in others)


def _side_by_side(networks: Sequence[Any]) -> Any:
    """Return a network with the layers of all backbones, their names prefixed by the networks' numbers."""
    image = keras.Input(networks[0].inputs[0].shape[1:], dtype="uint8", name="image")
    features = []
    for number, network in enumerate(networks):
        inside = backbone(network)
        member = keras.models.clone_model(inside, input_tensors=image, clone_function=_renamed(f"m{number}_"))
        put_weights(member, inside.get_weights())
        features.append(member.outputs[0])
    joined = layers.Concatenate(dtype="float32", name="features")(features)
    logits = layers.Dense(networks[0].outputs[0].shape[1], dtype="float32", name="logits")(joined)
    merged = keras.Model(image, logits, name=f"{networks[0].name}-members-{len(networks)}")
    for layer in backbone(merged).layers:
        layer.trainable = False
    return merged


def _renamed(prefix: str) -> Any:
    def clone(layer: Any) -> Any:
        config = layer.get_config()
        return layer.__class__.from_config({**config, "name": prefix + config["name"]})

    return clone

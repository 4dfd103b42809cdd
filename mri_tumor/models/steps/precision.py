"""Copies of a network that compute otherwise and mean the same: in half precision, or on several devices."""

from collections.abc import Callable
from typing import Any

import keras

from mri_tumor.errors import ArgumentError
from mri_tumor.models.networks.copies import put_weights


def with_precision(network: Any, precision: str) -> Any:
    """Return a copy of a network that computes in half precision, with the same float32 weights.

    The layers that give the network's outputs stay in float32, since a softmax over logits of 8 bits would be
    coarse; batch normalisation takes its means in float32 by itself.

    Args:
        network: functional, as `build` makes it.
        precision: `"float32"`, `"mixed_bfloat16"` or `"mixed_float16"`.

    Raises:
        ArgumentError: the network cannot be rebuilt from its configuration.

    >>> inputs = keras.Input((2,))
    >>> outputs = keras.layers.Dense(3, name="logits")(keras.layers.Dense(4, name="inner")(inputs))
    >>> mixed = with_precision(keras.Model(inputs, outputs), "mixed_bfloat16")
    >>> mixed.get_layer("inner").compute_dtype, mixed.get_layer("logits").compute_dtype
    ('bfloat16', 'float32')
    """
    last = getattr(network, "output_names", [])
    return rebuilt(network, {"dtype": precision}, lambda layer: layer.name not in last)


def synchronised(network: Any) -> Any:
    """Return a copy of a network whose batch normalisation takes its means over all devices' pictures."""
    kind = keras.layers.BatchNormalization
    return rebuilt(network, {"synchronized": True}, lambda layer: isinstance(layer, kind))


def rebuilt(network: Any, changes: dict[str, Any], chosen: Callable[[Any], bool]) -> Any:
    """Return a copy of a network in which the configuration of some layers is changed; the weights are kept.

    Args:
        network: functional; it stays as it is.
        changes: what to put into the chosen layers' configurations.
        chosen: which layers are changed.

    Raises:
        ArgumentError: the network cannot be rebuilt from its configuration.
    """

    def layer_of(layer: Any) -> Any:
        config = layer.get_config()
        # Some networks hold bare operations between their layers, which have no settings of their own.
        if isinstance(layer, keras.layers.Layer) and chosen(layer):
            config |= changes
        return type(layer).from_config(config)

    try:
        copy = keras.models.clone_model(network, clone_function=layer_of, recursive=True)
        put_weights(copy, network.get_weights())
    except (ValueError, TypeError, NotImplementedError) as error:
        raise ArgumentError(
            f"{getattr(network, 'name', network)!s} cannot be rebuilt from its layers ({error!s:.120})",
            "a functional network of Keras layers",
            'build it with models.build, or train with precision="float32" and devices="one"',
        ) from error
    return copy

"""Copies of a network that compute what it computes: weights alone do not bring all of it over."""

from collections.abc import Iterator, Sequence
from typing import Any

from keras import layers


def copy_of(network: Any, weights: Sequence[Any] | None = None) -> Any:
    """Return a network of the same form, as free or frozen, that shares nothing with the first.

    Args:
        network: functional, as `build` makes it.
        weights: what `get_weights` gave of such a network; None takes those of this one.

    >>> from mri_tumor.models.builders import build
    >>> network = build("small_cnn", size=32, width=2, frozen=True)
    >>> len(copy_of(network).trainable_weights)
    2
    """
    copy = network.__class__.from_config(network.get_config())
    put_weights(copy, network.get_weights() if weights is None else weights)
    return copy


def put_weights(network: Any, weights: Sequence[Any]) -> None:
    """Give a network these weights, and make it compute with all of them.

    A `Normalization` computes with constants that it draws from its weights when it is built, adapted or
    loaded, but not when they are set.
    """
    network.set_weights(weights)
    for layer in leaves(network):
        if isinstance(layer, layers.Normalization):
            layer.finalize_state()


def leaves(network: Any) -> Iterator[Any]:
    """Yield all layers in order, those of networks inside instead of these."""
    for layer in network.layers:
        yield from leaves(layer) if hasattr(layer, "layers") else [layer]

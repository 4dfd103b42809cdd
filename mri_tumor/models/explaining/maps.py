"""Where a network's maps are: those that its features are pooled from, and any other by its layer's name."""

from collections.abc import Iterator
from typing import Any

import keras

from mri_tumor.errors import ArgumentError
from mri_tumor.models.builders import backbone

LAST = "last"
"""The name that stands for the deepest map, whatever its layer is called."""


def functional(model: Any) -> Any:
    """Return a network whose graph can be walked: a Sequential as a functional model of the same layers."""
    return (
        model if hasattr(model, "operations") else keras.Model(model.inputs, model.outputs, name=model.name)
    )


def pooled_maps(model: Any) -> list[Any]:
    """Return the maps that the features are made of, in the order they are found: symbolic (N, h, w, C).

    From the features it goes back through whatever works on vectors (concatenation, normalisation, pooling
    itself) to the first tensors that still have a height and a width. Pools inside a network's blocks, as
    those of squeeze and excitation, lie further back and are not met.

    Args:
        model: a network as `build` makes it.

    Raises:
        ArgumentError: the features come from no map, or from maps of a single pixel, which show no place.

    >>> from mri_tumor.models import build
    >>> [tuple(one.shape) for one in pooled_maps(build("small_cnn", size=32, width=2))]
    [(None, 2, 2, 16)]
    """
    makers = {id(one): maker for maker in model.operations for one in _outputs(maker)}
    found: dict[int, Any] = {}
    for one in _behind(model.get_layer("features").output, makers):
        found.setdefault(id(one), one)
    maps = [one for one in found.values() if one.shape[1] is not None and one.shape[1] * one.shape[2] > 1]
    if not maps:
        raise ArgumentError(
            f"the features of {model.name} are pooled from no map with more than one pixel",
            "maps, as convolutions make them",
            f"pass layer= with one of {_some_layers(model)}, or larger pictures",
        )
    return maps


def layer_map(model: Any, layer: str) -> Any:
    """Return the output of one layer, symbolic (N, h, w, C).

    Args:
        model: a network as `build` makes it.
        layer: a layer's name; or `"last"` for the deepest map that the features are pooled from, which is
            what the last convolution gives once it is normalised and activated. Where a network is made of
            several, that is the last one's.

    Raises:
        ArgumentError: there is no such layer, or its output is no map; the error names some that have one.

    >>> from mri_tumor.models import build
    >>> tuple(layer_map(build("small_cnn", size=32, width=2), "last").shape)
    (None, 2, 2, 16)
    """
    if layer == LAST:
        order = {id(one): place for place, maker in enumerate(model.operations) for one in _outputs(maker)}
        return max(pooled_maps(model), key=lambda one: order[id(one)])
    known = {one.name: one for one in model.layers}
    if layer not in known:
        raise ArgumentError(
            f"{model.name} has no layer {layer!r}",
            f"the name of a layer with a map, such as {_some_layers(model)}",
            "correct layer=, or leave it out",
        )
    if layer not in {one.name for one in _with_maps(model)}:
        raise ArgumentError(
            f"layer {layer!r} of {model.name} has no map of its own between picture and features",
            f"a layer that gives (N, h, w, C), such as {_some_layers(model)}",
            "choose another layer, or leave layer= out",
        )
    return known[layer].output


def _behind(tensor: Any, makers: dict[int, Any]) -> Iterator[Any]:
    """Yield the nearest maps that a tensor is made of; a vector kept as (N, 1, 1, C) is no map."""
    maker = makers[id(tensor)]
    pooled = type(maker).__name__.startswith("Global")
    if len(tensor.shape) == 4 and not pooled:
        yield tensor
        return
    for one in tensors(maker.input):
        if id(one) in makers:
            yield from _behind(one, makers)


def tensors(value: Any) -> list[Any]:
    """Return a layer's input or output as a list, of one tensor too."""
    return list(value) if isinstance(value, list | tuple) else [value]


def _outputs(maker: Any) -> list[Any]:
    return tensors(maker.output)


def _with_maps(model: Any) -> list[Any]:
    """Return the layers with a map, after the picture has become floating point and before the features."""
    return [
        one
        for one in backbone(model).layers
        if not isinstance(one, keras.Model)  # of a model as a layer `output` is the inner one's
        and not isinstance(one.output, list | tuple)
        and len(one.output.shape) == 4
        and one.output.dtype != "uint8"
        and one.output.shape[1] * one.output.shape[2] > 1
    ]


def _some_layers(model: Any, most: int = 5) -> str:
    """Return the names of the last layers with a map, nearest the features first."""
    return ", ".join(repr(one.name) for one in _with_maps(model)[: -most - 1 : -1]) or "none"

"""Networks of `keras.applications` as builders: their features at several depths, with or without weights."""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import keras
from keras import layers

from mri_tumor.errors import ArgumentError
from mri_tumor.models.networks.applications import APPLICATIONS, SCALINGS, Application
from mri_tumor.models.networks.weights import fill

_MOST = 5


def backbones() -> dict[str, Callable[..., Any]]:
    """Return the builders by name: from a symbolic picture to its pooled features."""
    return {
        name: partial(_widened if entry.widths else _features, name) for name, entry in APPLICATIONS.items()
    }


def _widened(
    name: str,
    image: Any,
    *,
    weights: str | Path | None = None,
    alpha: float = 1.0,
    depths: int = _MOST,
) -> Any:
    """Return the pooled features of a network that comes in several widths; see `_features`.

    Args:
        name: of the network.
        image: symbolic uint8 (size, size, 1).
        weights: see `_features`.
        alpha: its width: one of those that there are ImageNet weights for.
        depths: see `_features`.
    """
    widths = APPLICATIONS[name].widths
    if alpha not in widths:
        raise ArgumentError(f"alpha is {alpha!r}", f"one of {', '.join(map(str, widths))}", "pass alpha=1.0")
    return _features(name, image, weights=weights, depths=depths, alpha=alpha)


def _features(
    name: str, image: Any, *, weights: str | Path | None = None, depths: int = _MOST, **width: float
) -> Any:
    """Return the pooled features of a network.

    Args:
        name: of the network.
        image: symbolic uint8 (size, size, 1).
        weights: None (random), `"imagenet"` (fetched by Keras) or a file of weights without the top layer.
        depths: at how many depths features are pooled, from 1 (the last layer, as Keras does it) to 5. The
            early layers of a network that knows photographs tell more about MR pictures than its last alone.
        width: `alpha`, where the network has several widths.

    Raises:
        ArgumentError: other depths, too small a picture, or weights that cannot be had or do not fit.
    """
    entry = APPLICATIONS[name]
    _check(name, entry, int(image.shape[1]), depths)
    network = entry.make(
        input_tensor=_scaled(image, entry), include_top=False, weights=None, pooling="avg", **width
    )
    fill(network, weights, name, **width)
    maps = entry.maps[len(entry.maps) + 1 - depths :]
    means = [
        layers.GlobalAveragePooling2D(name=f"mean_{place}")(_map(network, one))
        for place, one in enumerate(maps)
    ]
    if not means:
        return layers.Identity(name="features")(network.output)
    return layers.Concatenate(name="features")([*means, network.output])


def _check(name: str, entry: Application, size: int, depths: int) -> None:
    if isinstance(depths, bool) or not isinstance(depths, int) or not 1 <= depths <= _MOST:
        raise ArgumentError(
            f"depths is {depths!r}", f"a whole number from 1 to {_MOST}", f"pass depths={_MOST}"
        )
    if size < entry.least:
        raise ArgumentError(
            f"size is {size} for {name}", f"pictures from {entry.least} pixels", "pass size=224"
        )


def _scaled(image: Any, entry: Application) -> Any:
    """Return the grey picture as the three channels the network was trained with."""
    colour = layers.Concatenate(name="colour")([image, image, image])
    scaling = SCALINGS[entry.scaling]
    if scaling is None:
        return layers.Rescaling(1.0, name="scale")(colour)  # as floating point
    if len(set(scaling.scale)) == len(set(scaling.offset)) == 1:
        return layers.Rescaling(scaling.scale[0], offset=scaling.offset[0], name="scale")(colour)
    return layers.Rescaling(list(scaling.scale), offset=list(scaling.offset), name="scale")(colour)


def _map(network: Any, name: str) -> Any:
    layer = network.get_layer(name)
    return layer.input if isinstance(layer, keras.layers.ZeroPadding2D) else layer.output

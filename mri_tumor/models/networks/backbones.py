"""Networks of `keras.applications`, with their ImageNet weights or without."""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
from keras import layers

from mri_tumor.errors import ArgumentError

_SERVER = "https://storage.googleapis.com/tensorflow/keras-applications"
_ALPHAS = (0.35, 0.5, 0.75, 1.0, 1.3, 1.4)


_DEPTHS = {
    "mobilenet_v2": (
        "block_6_expand_relu",
        "block_10_project_BN",
        "block_13_expand_relu",
        "block_16_expand_relu",
        "out_relu",
    )
}
"""The layers whose outputs are pooled, from the picture's side to the last one."""


def mobilenet_v2(
    image: Any, *, weights: str | Path | None = None, alpha: float = 1.0, depths: int = 5
) -> Any:
    """Return the pooled features of MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381).

    Args:
        image: symbolic uint8 (size, size, 1).
        weights: None (random), `"imagenet"` (fetched by Keras) or a file of weights without the top layer.
        alpha: width of the network: 0.35, 0.5, 0.75, 1.0, 1.3 or 1.4.
        depths: at how many depths features are pooled, from 1 (the last layer) to 5. The early layers of a
            network that knows photographs tell more about MR pictures than its last one alone.

    Raises:
        ArgumentError: width or depths are others, or the weights cannot be had or do not fit.
    """
    if alpha not in _ALPHAS:
        raise ArgumentError(f"alpha is {alpha!r}", f"one of {', '.join(map(str, _ALPHAS))}", "pass alpha=1.0")
    colour = _colour(layers.Rescaling(1 / 127.5, offset=-1.0, name="scale")(image))
    network = keras.applications.MobileNetV2(
        input_tensor=colour, alpha=alpha, include_top=False, weights=None, name="mobilenet_v2"
    )
    file = f"mobilenet_v2/mobilenet_v2_weights_tf_dim_ordering_tf_kernels_{float(alpha)}_224_no_top.h5"
    _fill(network, weights, keras.applications.MobileNetV2, file, alpha=alpha)
    return _pooled(network, _DEPTHS["mobilenet_v2"], depths)


def _pooled(network: Any, names: Sequence[str], depths: int) -> Any:
    """Return the means over the maps of the last `depths` of these layers, one after the other."""
    if isinstance(depths, bool) or not isinstance(depths, int) or not 1 <= depths <= len(names):
        raise ArgumentError(
            f"depths is {depths!r}", f"a whole number from 1 to {len(names)}", f"pass depths={len(names)}"
        )
    outputs = [network.get_layer(name).output for name in names[-depths:]]
    if depths == 1:
        return layers.GlobalAveragePooling2D(name="features")(outputs[0])
    means = [
        layers.GlobalAveragePooling2D(name=f"mean_{place}")(output) for place, output in enumerate(outputs)
    ]
    return layers.Concatenate(name="features")(means)


def _colour(grey: Any) -> Any:
    """Return the grey picture as red, green and blue: what the ImageNet networks take."""
    return layers.Concatenate(name="colour")([grey, grey, grey])


def _fill(
    network: Any, weights: str | Path | None, application: Callable[..., Any], file: str, **options: Any
) -> None:
    if weights is None:
        return
    if weights == "imagenet":
        network.set_weights(_imagenet(application, file, **options).get_weights())
    else:
        _load(network, Path(weights))


def _imagenet(application: Callable[..., Any], file: str, **options: Any) -> Any:
    try:
        # 224 at any size: the weights are the same, and Keras warns about other sizes.
        return application(weights="imagenet", include_top=False, input_shape=(224, 224, 3), **options)
    except Exception as error:  # Keras raises a bare Exception when a download fails
        raise ArgumentError(
            f"the ImageNet weights cannot be fetched ({_first_line(error)})",
            "a way to storage.googleapis.com, or a file",
            f"download {_SERVER}/{file} where there is a network, copy it here and pass weights=its path",
        ) from error


def _load(network: Any, path: Path) -> None:
    if not path.is_file():
        raise ArgumentError(
            f"weights file {path} is not there", "None, 'imagenet' or a file that exists", "check the path"
        )
    if path.suffix != ".h5":
        raise ArgumentError(
            f"weights file {path} ends in {path.suffix!r}",
            "a file that ends in .weights.h5 (or .h5, in Keras' older form)",
            "save it with the network's save_weights('NAME.weights.h5')",
        )
    try:
        with warnings.catch_warnings():  # Keras warns for each layer that does not fit before it raises
            warnings.simplefilter("ignore")
            network.load_weights(path)
    except Exception as error:  # h5py and Keras raise many kinds for a damaged or foreign file
        raise ArgumentError(
            f"weights file {path} does not fit {network.name} ({_first_line(error)})",
            "weights of the same network and width, without the top layer",
            "choose the options, such as alpha, that the weights were made with, or another file",
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]

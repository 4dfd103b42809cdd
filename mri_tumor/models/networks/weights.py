"""Ready weights of the `keras.applications`: fetched by Keras, or from a file."""

import warnings
from pathlib import Path
from typing import Any

from keras import layers

from mri_tumor.errors import ArgumentError
from mri_tumor.models.networks.applications import APPLICATIONS, DEVIATION
from mri_tumor.models.networks.copies import put_weights


def fill(network: Any, weights: str | Path | None, name: str, **width: float) -> None:
    """Give a network its weights.

    Args:
        network: of `keras.applications`, without the top layer.
        weights: None (they stay random), `"imagenet"` or a file.
        name: its name in `APPLICATIONS`.
        width: `alpha`, where the network has several widths.

    Raises:
        ArgumentError: the weights cannot be had, or do not fit.
    """
    if weights is None:
        return
    if weights == "imagenet":
        put_weights(network, _imagenet(name, **width).get_weights())
    else:
        _load(network, Path(weights), name)
    if name == "efficientnet_b0":
        _rescale(network)


def _imagenet(name: str, **width: float) -> Any:
    entry = APPLICATIONS[name]
    try:
        # 224 at any size: the weights are the same, and Keras warns about other sizes.
        return entry.make(
            weights="imagenet", include_top=False, input_shape=(224, 224, 3), pooling="avg", **width
        )
    except Exception as error:  # Keras raises a bare Exception when a download fails
        file = entry.file.format(alpha=float(width.get("alpha", 1.0)))
        raise ArgumentError(
            f"the ImageNet weights cannot be fetched ({_first_line(error)})",
            "a way to storage.googleapis.com, or a file",
            f"download {file} where there is a network, copy it here and pass weights=its path",
        ) from error


def _load(network: Any, path: Path, name: str) -> None:
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
            f"weights file {path} does not fit {name} ({_first_line(error)})",
            "weights of the same network and width, without the top layer",
            "choose the options, such as alpha, that the weights were made with, or another file",
        ) from error


def _rescale(network: Any) -> None:
    """Divide by ImageNet's deviation, as Keras does it for EfficientNetB0 in a layer of its own.

    That layer is only there when Keras itself fetches the weights. Here it is part of the normalisation
    before it, whose variance is 1 in a network that never saw ImageNet.
    """
    layer = next(one for one in network.layers if isinstance(one, layers.Normalization))
    mean, variance, *rest = layer.get_weights()
    if (variance != 1).any():
        layer.set_weights([mean, variance * DEVIATION, *rest])
        layer.finalize_state()


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]

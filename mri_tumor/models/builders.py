"""The networks by name: all take uint8 pictures and scale them themselves, so nothing can be scaled twice."""

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
from keras import layers

from mri_tumor.errors import ArgumentError
from mri_tumor.files import sha256_of
from mri_tumor.models.networks.backbones import backbones
from mri_tumor.models.networks.cnn import residual_cnn, small_cnn, squeeze_excite_cnn
from mri_tumor.models.networks.copies import leaves

_BUILDERS: dict[str, Callable[..., Any]] = {
    "small_cnn": small_cnn,
    "residual_cnn": residual_cnn,
    "squeeze_excite_cnn": squeeze_excite_cnn,
    **backbones(),
}
_MIN_SIZE = 32


def available() -> tuple[str, ...]:
    """Return the names that `build` knows.

    The first three are trained from scratch; the others are networks of `keras.applications`, which also come
    with ImageNet weights.

    >>> available()[:4]
    ('small_cnn', 'residual_cnn', 'squeeze_excite_cnn', 'mobilenet_v2')
    """
    return tuple(_BUILDERS)


def build(
    name: str,
    weights: str | Path | None = None,
    *,
    size: int = 224,
    classes: int = 4,
    dropout: float = 0.2,
    frozen: bool | None = None,
    **options: Any,
) -> Any:
    """Return a `keras.Model` from uint8 (N, size, size, 1), values 0-255, to float32 logits (N, classes).

    Scaling is part of it. Its layer `"features"` gives the pooled vector (N, F), its layer `"logits"`
    the output; no model is nested in it, so every layer can be reached by name.

    Args:
        name: one of `available()`.
        weights: None (random), `"imagenet"`, or the path of a weights file without the top layer.
        size: height and width of the pictures, in pixels, from 32.
        classes: how many classes, from 2.
        dropout: share of the features dropped in training, from 0 to below 1.
        frozen: whether everything up to the features stays as it is in training; by default, when weights are
            given. Batch normalisation with given weights stays in inference mode in any case.
        options: what the network itself takes. Networks of one's own: `width`, the channels of the first
            step, and `depth`, the number of steps. The others: `depths`, at how many depths features are
            pooled, from 1 to 5; and the MobileNets `alpha`, their width.

    Raises:
        ArgumentError: an unknown name or option, a value out of range, weights that cannot be had or used, or
            Keras' policy is one of half precision.

    >>> model = build("small_cnn", size=32, width=2)
    >>> model.output.shape
    (None, 4)
    """
    builder = _builder(name)
    _check(weights, size, classes, dropout, frozen)
    settings = _settings(name, builder, weights, options)
    image = keras.Input((size, size, 1), dtype="uint8", name="image")
    features = builder(image, **settings)
    kept = layers.Dropout(dropout, name="dropout")(features)
    logits = layers.Dense(classes, dtype="float32", name="logits")(kept)
    model = keras.Model(image, logits, name=_model_name(name, weights, options))
    set_frozen(model, weights is not None if frozen is None else frozen)
    return model


def check_options(name: str, weights: str | Path | None = None, **options: Any) -> None:
    """Refuse a network's name, or an option that it does not take, without building it.

    Args:
        name: one of `available()`.
        weights: as in `build`.
        options: as in `build`; their values are looked at by `build` only.

    Raises:
        ArgumentError: an unknown name or option, or weights that this network has not.

    >>> check_options("small_cnn", width=8)
    """
    own = {key: value for key, value in options.items() if key not in ("dropout", "frozen")}
    _settings(name, _builder(name), weights, own)


def describe(model: Any) -> dict[str, Any]:
    """Return what a model was built from: name, weights, size, classes, dropout, frozen and options.

    Read from the model itself, so it also holds after saving and loading. `weights` is None, `"imagenet"` or
    the beginning of the file's SHA-256. A model of one's own is described by its own name.

    Raises:
        ArgumentError: the model does not take and give what the models of this library do, or computes in
            half precision.

    >>> describe(build("small_cnn", size=32, width=2))["options"]
    {'width': 2}
    """
    size, classes = _contract(model)
    name, *rest = model.name.split("-")
    found = {key: _value(text) for key, text in zip(rest[::2], rest[1::2], strict=False)}
    weights = found.pop("weights", None)
    if name not in _BUILDERS:
        name, weights, found = model.name, None, {}
    rates = [layer.rate for layer in model.layers if layer.name == "dropout"]
    return {
        "name": name,
        "weights": weights,
        "size": size,
        "classes": classes,
        "dropout": rates[0] if rates else 0.0,
        "frozen": not backbone(model).trainable_weights,
        "options": found,
    }


def backbone(model: Any) -> Any:
    """Return the part of a model from the uint8 picture to the features (N, F); it shares the weights."""
    _contract(model)
    return keras.Model(model.inputs[0], model.get_layer("features").output, name="backbone")


def head(model: Any) -> Any:
    """Return the part of a model from the features (N, F) to the logits (N, K); it shares the weights."""
    _contract(model)
    return keras.Model(model.get_layer("features").output, model.outputs[0], name="head")


def last_convolution(model: Any) -> Any:
    """Return the last convolution layer before the features, such as for a heat map of one's own.

    Raises:
        ArgumentError: the model has no convolution, or is no model of this form.
    """
    _contract(model)
    kinds = (layers.Conv2D, layers.DepthwiseConv2D, layers.SeparableConv2D)
    found = [layer for layer in backbone(model).layers if isinstance(layer, kinds)]
    if not found:
        raise ArgumentError(
            f"model {model.name} has no convolution", "a convolutional network", "use build()"
        )
    return found[-1]


def set_frozen(model: Any, frozen: bool) -> None:
    """Freeze or free everything up to the features; compile the model afterwards.

    Batch normalisation of a network with given weights stays frozen, which in Keras means inference mode: its
    statistics come from millions of pictures, and small batches of other pictures would ruin them.
    """
    given = _value_of_weights(model) is not None
    for layer in backbone(model).layers:
        layer.trainable = not (frozen or (given and isinstance(layer, layers.BatchNormalization)))


def free_top(model: Any, share: float) -> None:
    """Let the last layers before the features be trained; compile the model afterwards.

    Batch normalisation of a network with given weights stays frozen, as in `set_frozen`.

    Args:
        model: its backbone is frozen.
        share: of the backbone's layers that have weights, above 0, up to 1; at least one is freed.
    """
    given = _value_of_weights(model) is not None
    weighty = [layer for layer in backbone(model).layers if layer.weights]
    for layer in weighty[-max(1, round(share * len(weighty))) :]:
        layer.trainable = not (given and isinstance(layer, layers.BatchNormalization))


def _builder(name: str) -> Callable[..., Any]:
    if not isinstance(name, str) or name not in _BUILDERS:
        raise ArgumentError(
            f"there is no network {name!r}", f"one of {', '.join(_BUILDERS)}", "correct the name"
        )
    return _BUILDERS[name]


def _check(weights: Any, size: int, classes: int, dropout: float, frozen: Any) -> None:
    if not (weights is None or isinstance(weights, str | Path)):
        raise ArgumentError(f"weights is {weights!r:.60}", "None, 'imagenet' or a path", "pass one of them")
    if frozen not in (None, True, False):
        raise ArgumentError(f"frozen is {frozen!r:.60}", "None, True or False", "pass one of them")
    if not isinstance(size, int) or size < _MIN_SIZE:
        raise ArgumentError(f"size is {size!r}", f"a whole number from {_MIN_SIZE}", "pass size=224")
    if not isinstance(classes, int) or classes < 2:
        raise ArgumentError(f"classes is {classes!r}", "a whole number from 2", "pass classes=4")
    if not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        raise ArgumentError(f"dropout is {dropout!r}", "a number from 0 to below 1", "pass dropout=0.2")


def _settings(
    name: str, builder: Callable[..., Any], weights: str | Path | None, options: dict[str, Any]
) -> dict[str, Any]:
    known = set(inspect.signature(builder).parameters) - {"image"}
    unknown = sorted(set(options) - known)
    if unknown:
        listed = ", ".join(sorted(known - {"weights"}))
        raise ArgumentError(
            f"{name} has no option {', '.join(unknown)}",
            f"size, classes, dropout, frozen, and of its own {listed}",
            "correct the option",
        )
    if "weights" in known:
        return {**options, "weights": weights}
    if weights is not None:
        raise ArgumentError(
            f"{name} has no ready weights, got weights={str(weights)!r}",
            "weights=None",
            "train it from scratch, or load a trained Classifier with Classifier.load",
        )
    return options


def _model_name(name: str, weights: str | Path | None, options: dict[str, Any]) -> str:
    """Return the name that carries what cannot be read from the layers: it is saved with the model."""
    origin = {} if weights is None else {"weights": _origin(weights)}
    return "-".join([name, *(f"{key}-{value}" for key, value in {**origin, **options}.items())])


def _origin(weights: str | Path) -> str:
    return "imagenet" if weights == "imagenet" else f"sha256.{sha256_of(weights)[:16]}"


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _value_of_weights(model: Any) -> Any:
    return describe(model)["weights"]


def _contract(model: Any) -> tuple[int, int]:
    """Check that a model takes and gives what it should; return its size and its number of classes."""
    names = {layer.name for layer in getattr(model, "layers", ())}
    inputs, outputs = getattr(model, "inputs", None) or [], getattr(model, "outputs", None) or []
    if len(inputs) == len(outputs) == 1 and {"features", "logits"} <= names:
        shape, logits = tuple(inputs[0].shape), tuple(outputs[0].shape)
        square = len(shape) == 4 and shape[1] is not None and shape[1] == shape[2] and shape[3] == 1
        if square and inputs[0].dtype == "uint8" and len(logits) == 2 and logits[1] is not None:
            _check_precision(model)
            return int(shape[1]), int(logits[1])
    raise ArgumentError(
        f"{getattr(model, 'name', type(model).__name__)!r} is no model of the form this library uses",
        "uint8 (size, size, 1) in, logits (classes) out, with layers named 'features' and 'logits'",
        "build it with models.build, or give a model of your own this form",
    )


def _check_precision(model: Any) -> None:
    """Refuse half precision: a classifier, its engines and its thresholds are said to be of float32."""
    for layer in leaves(model):
        computes = not isinstance(layer, layers.InputLayer)  # which has a type for it all the same
        if computes and layer.compute_dtype in ("float16", "bfloat16"):
            raise ArgumentError(
                f"layer {layer.name} of {model.name} computes in {layer.compute_dtype}",
                "float32 in every layer",
                'call keras.config.set_dtype_policy("float32") before it is built; '
                f'Recipe(precision="mixed_{layer.compute_dtype}") trains it in half precision',
            )

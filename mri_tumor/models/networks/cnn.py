"""Networks that are trained from scratch: plain, residual, and with squeeze and excitation.

Batch normalisation keeps 90 % of its running statistics a step instead of Keras' 99 %: a run of a few hundred
steps would otherwise be judged by statistics of its beginning. The features are the mean and the maximum over
each map: a small bright spot vanishes in a mean.
"""

from typing import Any

from keras import layers

from mri_tumor.errors import ArgumentError

_SQUEEZE = 8  # Hu et al. take 16 for networks with up to 2048 channels; these have far fewer


def small_cnn(image: Any, *, width: int = 16, depth: int = 4) -> Any:
    """Return the features of a compact network: some steps, each at half the size of the last.

    The steps halve by the maximum, except the first, where strides save most of the time.

    Args:
        image: symbolic uint8 (size, size, 1).
        width: channels of the first step; each further one has twice as many.
        depth: how many steps, from 2.

    Raises:
        ArgumentError: width or depth is out of range.
    """
    x = _start(image, width, depth)
    x = _convolution(x, width, stride=2, name="step0")
    for step in range(1, depth):
        x = _convolution(x, width * 2**step, name=f"step{step}")
        x = layers.MaxPooling2D(name=f"step{step}_pool")(x)
    return _pooled(_convolution(x, width * 2 ** (depth - 1), name="last"))


def residual_cnn(image: Any, *, width: int = 16, depth: int = 4) -> Any:
    """Return the features of a residual network (He et al. 2016, arXiv:1512.03385): one block a step.

    Args:
        image: symbolic uint8 (size, size, 1).
        width: channels of the first step; each further one has twice as many.
        depth: how many steps, from 2, each at half the size of the last.

    Raises:
        ArgumentError: width or depth is out of range.
    """
    return _residual(image, width, depth, squeeze=False)


def squeeze_excite_cnn(image: Any, *, width: int = 16, depth: int = 4) -> Any:
    """Return the features of a residual network whose blocks weigh their channels.

    Each block learns from the means of its maps how much each of them counts (squeeze and excitation, Hu et
    al. 2018, arXiv:1709.01507).

    Args:
        image: symbolic uint8 (size, size, 1).
        width: channels of the first step; each further one has twice as many.
        depth: how many steps, from 2, each at half the size of the last.

    Raises:
        ArgumentError: width or depth is out of range.
    """
    return _residual(image, width, depth, squeeze=True)


def _residual(image: Any, width: int, depth: int, *, squeeze: bool) -> Any:
    x = _convolution(_start(image, width, depth), width, stride=2, name="step0")
    for step in range(1, depth):
        x = _block(x, width * 2**step, squeeze, name=f"step{step}")
    return _pooled(_convolution(x, width * 2 ** (depth - 1), name="last"))


def _block(x: Any, channels: int, squeeze: bool, *, name: str) -> Any:
    """Return a block at half the size; what goes past it is halved by the mean, which loses no pixel."""
    past = layers.AveragePooling2D(2, name=f"{name}_past_pool")(x)
    past = layers.Conv2D(channels, 1, use_bias=False, name=f"{name}_past")(past)
    past = _normalised(past, name=f"{name}_past")
    x = _convolution(x, channels, name=f"{name}_first")
    x = layers.MaxPooling2D(name=f"{name}_pool")(x)
    x = layers.Conv2D(channels, 3, padding="same", use_bias=False, name=f"{name}_second")(x)
    x = _normalised(x, name=f"{name}_second")
    if squeeze:
        x = _weighed(x, channels, name=name)
    x = layers.Add(name=f"{name}_add")([past, x])
    return layers.ReLU(name=f"{name}_relu")(x)


def _weighed(x: Any, channels: int, *, name: str) -> Any:
    weight = layers.GlobalAveragePooling2D(keepdims=True, name=f"{name}_squeeze")(x)
    weight = layers.Dense(max(4, channels // _SQUEEZE), activation="relu", name=f"{name}_narrow")(weight)
    weight = layers.Dense(channels, activation="sigmoid", name=f"{name}_excite")(weight)
    return layers.Multiply(name=f"{name}_weigh")([x, weight])


def _start(image: Any, width: int, depth: int) -> Any:
    """Return the scaled picture, once width and depth are found to be usable."""
    if isinstance(width, bool) or not isinstance(width, int) or width < 1:
        raise ArgumentError(f"width is {width!r}", "a whole number from 1", "pass width=16")
    most = int(image.shape[1]).bit_length() - 1  # steps until one pixel is left
    if isinstance(depth, bool) or not isinstance(depth, int) or not 2 <= depth <= most:
        raise ArgumentError(
            f"depth is {depth!r} for pictures of {image.shape[1]} pixels",
            f"a whole number from 2 to {most}",
            "pass depth=4",
        )
    return layers.Rescaling(1 / 127.5, offset=-1.0, name="scale")(image)


def _pooled(x: Any) -> Any:
    mean = layers.GlobalAveragePooling2D(name="mean")(x)
    peak = layers.GlobalMaxPooling2D(name="peak")(x)
    return layers.Concatenate(name="features")([mean, peak])


def _convolution(x: Any, channels: int, *, stride: int = 1, name: str) -> Any:
    x = layers.Conv2D(channels, 3, strides=stride, padding="same", use_bias=False, name=name)(x)
    return layers.ReLU(name=f"{name}_relu")(_normalised(x, name=name))


def _normalised(x: Any, *, name: str) -> Any:
    return layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)

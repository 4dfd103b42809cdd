"""Networks that are trained from scratch."""

from typing import Any

from keras import layers

from mri_tumor.errors import ArgumentError

_STEPS = 4


def small_cnn(image: Any, *, width: int = 16) -> Any:
    """Return the features of a compact network: four steps, each at half the size of the last.

    Batch normalisation keeps 90 % of its running statistics a step instead of Keras' 99 %: a run of a few
    hundred steps would otherwise be judged by statistics of its beginning. The features are the mean and the
    maximum over each map: a small bright spot vanishes in a mean. For the same reason the steps halve by the
    maximum, except the first, where strides save most of the time.

    Args:
        image: symbolic uint8 (size, size, 1).
        width: channels of the first step; the others have 2, 4 and 8 times as many.

    Raises:
        ArgumentError: the width is no whole number from 1.
    """
    if not isinstance(width, int) or width < 1:
        raise ArgumentError(f"width is {width!r}", "a whole number from 1", "pass width=16")
    x = layers.Rescaling(1 / 127.5, offset=-1.0, name="scale")(image)
    x = _convolution(x, width, stride=2, name="step0")
    for step in range(1, _STEPS):
        x = _convolution(x, width * 2**step, stride=1, name=f"step{step}")
        x = layers.MaxPooling2D(name=f"step{step}_pool")(x)
    x = _convolution(x, width * 2 ** (_STEPS - 1), stride=1, name="last")
    mean = layers.GlobalAveragePooling2D(name="mean")(x)
    peak = layers.GlobalMaxPooling2D(name="peak")(x)
    return layers.Concatenate(name="features")([mean, peak])


def _convolution(x: Any, channels: int, *, stride: int, name: str) -> Any:
    x = layers.Conv2D(channels, 3, strides=stride, padding="same", use_bias=False, name=name)(x)
    x = layers.BatchNormalization(momentum=0.9, name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x)

"""What a network sees of a picture: logits and features, of it alone or of its mirror image too."""

from typing import Any

import keras

from mri_tumor.errors import ArgumentError

TTA = ("none", "mirror")
"""The views that `observe` knows."""


def observe(network: Any, images: Any, tta: str = "none") -> tuple[Any, Any]:
    """Return the logits and the features of pictures; written in `keras.ops`, to be traced.

    With `"mirror"` both are the mean of a picture's and of its left-right mirror image's (test-time
    augmentation): twice the work. A head is nearly symmetric, so its mirror image is a second look at it.

    Args:
        network: a network as `build` makes it, with a layer `"features"`; it runs in inference mode.
        images: uint8 (N, size, size, 1), 0-255.
        tta: `"none"` or `"mirror"`.

    Returns:
        Logits (N, K) and features (N, F), in the network's type.

    Raises:
        ArgumentError: another `tta`.

    >>> from mri_tumor.models import build
    >>> logits, features = observe(build("small_cnn", size=32, width=2), keras.ops.zeros((3, 32, 32, 1)))
    >>> tuple(logits.shape), features.shape[0]
    ((3, 4), 3)
    """
    check_tta(tta)
    both = keras.Model(network.inputs[0], [network.outputs[0], network.get_layer("features").output])
    if tta == "none":
        logits, features = both(images, training=False)
        return logits, features
    mirrored = keras.ops.flip(images, axis=2)
    logits, features = both(keras.ops.concatenate([images, mirrored]), training=False)
    count = keras.ops.shape(images)[0]
    return (logits[:count] + logits[count:]) / 2, (features[:count] + features[count:]) / 2


def check_tta(tta: Any) -> None:
    """Refuse views that there are not, with an ArgumentError."""
    if tta not in TTA:
        raise ArgumentError(f"tta is {tta!r}", f"one of {', '.join(TTA)}", 'pass tta="none"')

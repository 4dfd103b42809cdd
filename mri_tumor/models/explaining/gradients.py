"""Heat maps from gradients: of all maps that the features are pooled from, or of one layer's.

The score that is explained is the logit of a class less the mean of all logits. Adding one number to all
logits changes no probability, so what a picture does to all of them alike is evidence for none.

The features are pooled at several depths. The last maps know most and have cells of 32 pixels, the early ones
show where things end. So the heat of each depth, put where its cells look, is brought to its own maximum, and
they are added up.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mri_tumor.errors import ArgumentError
from mri_tumor.models.engines.buckets import buckets
from mri_tumor.models.engines.tensorflow_engine import pictures_a_call
from mri_tumor.models.explaining.centres import to_pixels
from mri_tumor.models.explaining.maps import functional, layer_map, pooled_maps

Heat = NDArray[np.float32]
"""Evidence for a class, place by place: float32 (n, size, size); what is not above 0 is none."""


class GradientHeat:
    """The heat of gradients, compiled once for batches of any size.

    Args:
        network: uint8 (N, size, size, 1) to logits, as `build` makes it; its weights are read at each call.
        tta: the views whose logits the classifier takes the mean of: heat is the mean over them too.
        method: a key of `RULES`.
        layer: take the map of this layer only, as Grad-CAM was published; None takes all that the features
            are pooled from.

    Raises:
        ArgumentError: the layer is none or has no map, or no gradient comes through to it.
    """

    def __init__(self, network: Any, tta: str, method: str, layer: str | None) -> None:
        network = functional(network)
        maps = pooled_maps(network) if layer is None else [layer_map(network, layer)]
        self._maps = keras.Model(network.inputs[0], [network.outputs[0], *maps])
        self._to_pixels = to_pixels(network, maps)
        self._rule, self._mirrored, self._layer = RULES[method], tta == "mirror", layer
        pictures = tf.TensorSpec((None, *network.inputs[0].shape[1:]), tf.uint8)
        function = tf.function(self._heat, [pictures, tf.TensorSpec((None,), tf.int32)], autograph=False)
        self._compiled = function.get_concrete_function()

    def __call__(self, images: NDArray[np.uint8], targets: NDArray[np.int32]) -> Heat:
        """Return the heat of pictures, uint8 (n, size, size, 1), for a class each, int32 (n,), n from 1."""
        found, start = [], 0
        for count, _ in buckets(len(images), pictures_a_call()):
            part = slice(start, start + count)
            found.append(self._compiled(tf.constant(images[part]), tf.constant(targets[part])).numpy())
            start += count
        heat = np.concatenate(found)
        if self._layer is not None:
            return heat
        # Added up, there is some heat everywhere: what half of the picture has is not worth showing.
        return np.asarray(heat - np.median(heat, axis=(1, 2), keepdims=True), np.float32)

    def _heat(self, images: Any, targets: Any) -> Any:
        count = tf.shape(images)[0]
        if self._mirrored:
            images, targets = tf.concat([images, images[:, :, ::-1]], 0), tf.concat([targets, targets], 0)
        parts = [
            tf.matmul(tf.matmul(rows, part), columns, transpose_b=True)
            for part, (rows, columns) in zip(self._parts(images, targets), self._to_pixels, strict=True)
        ]
        if self._mirrored:
            parts = [(part[:count] + part[count:, :, ::-1]) / 2 for part in parts]
        return tf.add_n([_up_to_one(part) for part in parts]) / len(parts)

    def _parts(self, images: Any, targets: Any) -> list[Any]:
        """Return what speaks for the classes in each map: float32 (n, h, w), not below 0."""
        logits, *maps = self._maps(images, training=False)
        score = tf.gather(logits, targets, batch_dims=1) - tf.reduce_mean(logits, axis=1)
        # In a graph the gradient can be taken with respect to any tensor, frozen layers' too.
        gradients = tf.gradients(score, maps)
        if any(one is None for one in gradients):
            raise ArgumentError(
                f"no gradient of the logits reaches {'the maps' if self._layer is None else self._layer}",
                "a layer that the logits depend on smoothly",
                "choose another layer=, or method='occlusion', which needs no gradient",
            )
        return [
            tf.nn.relu(self._rule(tf.cast(values, tf.float32), tf.cast(gradient, tf.float32)))
            for values, gradient in zip(maps, gradients, strict=True)
        ]


def _up_to_one(heat: Any) -> Any:
    """Return heat (n, size, size) whose maximum is 1, unless there is none."""
    return tf.math.divide_no_nan(heat, tf.reduce_max(heat, axis=(1, 2), keepdims=True))


def _gradcam(values: Any, gradient: Any) -> Any:
    """Each channel weighs what its gradient is on average (Selvaraju et al. 2017, arXiv:1610.02391)."""
    return tf.reduce_sum(values * tf.reduce_mean(gradient, axis=(1, 2), keepdims=True), axis=-1)


def _gradcam_plus_plus(values: Any, gradient: Any) -> Any:
    """Each channel weighs what its positive gradients are, those of small areas more.

    As Chattopadhay et al. 2018 (arXiv:1710.11063) derive it for the exponential of the score, for maps that
    are never negative; of others the positive part stands in the sum. Their quotient of squared and cubed
    gradients is shortened, so that there is nothing to divide by zero.
    """
    positive = tf.nn.relu(gradient)
    total = tf.reduce_sum(tf.nn.relu(values), axis=(1, 2), keepdims=True)
    weight = tf.reduce_sum(positive / (2.0 + total * positive), axis=(1, 2), keepdims=True)
    return tf.reduce_sum(values * weight, axis=-1)


def _layercam(values: Any, gradient: Any) -> Any:
    """Each place of each channel weighs what its own gradient is (Jiang et al. 2021, TIP 30, 5875-5888).

    There the positive gradients count, for maps that are never negative. Of maps that can be, as those before
    an activation, a negative value whose gradient is negative speaks for the class as well.
    """
    return tf.reduce_sum(tf.nn.relu(values * gradient), axis=-1)


RULES: dict[str, Callable[[Any, Any], Any]] = {
    "layercam": _layercam,
    "gradcam": _gradcam,
    "gradcam++": _gradcam_plus_plus,
}
"""Method -> from a map and the score's gradient, float32 (n, h, w, C), to heat (n, h, w)."""

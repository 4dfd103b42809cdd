"""A NumPy function as a TensorFlow one: at once on eager values, one operation in a graph."""

from collections.abc import Callable
from typing import Any

import numpy as np


def run(function: Callable[..., Any], images: Any, *others: Any, check: Callable[..., None]) -> Any:
    """Return what `function` makes of pictures and other values, as a uint8 tensor like `images`.

    Args:
        function: from arrays to uint8 pictures of the same shape.
        images: an array or a tensor, eager or of a graph.
        others: arrays, tensors or plain values.
        check: called with all of them first, as arrays or as a graph's tensors.
    """
    import tensorflow as tf

    # A GPU would get the pictures only to give them back.
    with tf.device("CPU:0"):
        if not any(tf.is_symbolic_tensor(value) for value in (images, *others)):
            arrays = [np.asarray(value) for value in (images, *others)]
            check(*arrays)
            return tf.convert_to_tensor(function(*arrays))
        # By way of NumPy, as TensorFlow would make single precision of a plain number.
        given = [value if tf.is_tensor(value) else np.asarray(value) for value in (images, *others)]
        tensors = [tf.convert_to_tensor(value) for value in given]
        check(*tensors)
        result = tf.numpy_function(function, tensors, tf.uint8, stateful=False)
        return tf.ensure_shape(result, tensors[0].shape)


def shown(value: Any) -> tuple[str, tuple[int | None, ...]]:
    """Return the type's name and the shape of an array or a tensor, of which the rank may be unknown: ()."""
    if isinstance(value, np.ndarray):
        return value.dtype.name, value.shape
    return value.dtype.name, () if value.shape.rank is None else tuple(value.shape.as_list())

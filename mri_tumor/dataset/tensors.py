"""A NumPy function of a batch as a TensorFlow one: at once on eager values, one operation in a graph."""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mri_tumor.errors import ArgumentError

Specs = Sequence[tuple[str, tuple[int | None, ...]]]
"""Type and shape of each array that a function returns."""

_ALIGNMENT = 64  # bytes: where TensorFlow's own memory begins


def run(function: Callable[..., Any], *inputs: Any, specs: Callable[..., Specs]) -> list[Any]:
    """Return what `function` makes of the inputs, as tensors.

    Args:
        function: from arrays to a list of new arrays, which nothing else holds.
        inputs: arrays, tensors or plain values.
        specs: called with the inputs first, as arrays or as a graph's tensors, to check them; returns what
            `function` will.
    """
    import tensorflow as tf

    # A GPU would get the pictures only to give them back.
    with tf.device("CPU:0"):
        if not any(tf.is_symbolic_tensor(value) for value in inputs):
            arrays = [np.asarray(value) for value in inputs]
            specs(*arrays)
            return [as_tensor(made) for made in function(*arrays)]
        # By way of NumPy, as TensorFlow would make single precision of a plain number.
        given = [value if tf.is_tensor(value) else np.asarray(value) for value in inputs]
        tensors = [tf.convert_to_tensor(value) for value in given]
        expected = specs(*tensors)
        found = tf.numpy_function(function, tensors, [kind for kind, _ in expected], stateful=False)
        return [tf.ensure_shape(made, shape) for made, (_, shape) in zip(found, expected, strict=True)]


def aligned(shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return an array, not filled, that a tensor can share: it begins at a multiple of 64 bytes."""
    length = math.prod(shape)
    memory = np.empty(length + _ALIGNMENT - 1, np.uint8)
    start = -memory.ctypes.data % _ALIGNMENT
    return memory[start : start + length].reshape(shape)


def as_tensor(array: NDArray[Any]) -> Any:
    """Return a tensor of an array that nobody changes any more: over the same memory if that is aligned."""
    import tensorflow as tf

    if array.ctypes.data % _ALIGNMENT or not array.flags.c_contiguous:
        return tf.convert_to_tensor(array)
    return tf.experimental.dlpack.from_dlpack(array.__dlpack__())


def shown(value: Any) -> tuple[str, tuple[int | None, ...]]:
    """Return the type's name and the shape of an array or a tensor; () if not even its rank is known."""
    if isinstance(value, np.ndarray):
        return value.dtype.name, value.shape
    return value.dtype.name, () if value.shape.rank is None else tuple(value.shape.as_list())


def check_images(images: Any) -> tuple[int | None, ...]:
    """Return the shape of pictures, an array or a tensor.

    Raises:
        ArgumentError: they are not uint8 `(N, S, S, 1)`.
    """
    dtype, shape = shown(images)
    if dtype != "uint8" or len(shape) != 4 or shape[1] is None or shape[1] != shape[2] or shape[3] != 1:
        raise ArgumentError(
            f"images are {dtype} of shape {shape}",
            "uint8 (N, size, size, 1), 0-255",
            "pass a batch that Preprocess or load() made",
        )
    return shape


def check_indices(indices: Any, images: tuple[int | None, ...]) -> None:
    """Check the pictures' positions in their data set, for pictures of this shape.

    Raises:
        ArgumentError: they are no whole numbers, or not as many as pictures.
    """
    dtype, shape = shown(indices)
    if not np.issubdtype(dtype, np.integer) or len(shape) != 1 or differ(shape[0], images[0]):
        raise ArgumentError(
            f"indices are {dtype} {shape} for images {images}",
            "one whole number a picture",
            "pass the 'index' of the same batch",
        )


def differ(one: int | None, other: int | None) -> bool:
    """Tell whether two lengths, as far as they are known, are different."""
    return one is not None and other is not None and one != other

"""From logits to what is said about a picture: one function for the classifier and every export."""

from typing import Any

import keras

from mri_tumor.errors import ArgumentError


def decide(logits: Any) -> dict[str, Any]:
    """Return probabilities and the most likely class; traced into every export, so it is the same everywhere.

    Args:
        logits: float tensor (N, K): one row a picture, one column a class, in the order of the labels.

    Returns:
        `"probabilities"`: float32 (N, K), the softmax of the logits; each row sums to 1.
        `"top"`: int32 (N,), the index of the most likely class, the first one of equals.

    Raises:
        ArgumentError: the logits are not of rank 2, or there is one class only.

    >>> keras.ops.convert_to_numpy(decide([[0.0, 0.0], [-1.0, 9.0]])["top"]).tolist()
    [0, 1]
    """
    # Probabilities are float32 also where the network computes in half precision.
    logits = keras.ops.cast(keras.ops.convert_to_tensor(logits), "float32")
    if len(logits.shape) != 2 or logits.shape[1] == 1:
        raise ArgumentError(
            f"logits have shape {tuple(logits.shape)}", "(N, K), K from 2", "pass a batch of logits"
        )
    probabilities = keras.ops.softmax(logits, axis=-1)
    # Of the probabilities, which are what people see: Keras takes the logits 0 and -0 for different ones.
    top = keras.ops.argmax(probabilities, axis=-1)
    return {"probabilities": probabilities, "top": keras.ops.cast(top, "int32")}

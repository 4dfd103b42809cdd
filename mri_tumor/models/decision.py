"""From logits and features to what is said about a picture: one function, here and in every export."""

from typing import Any

import keras

from mri_tumor.errors import ArgumentError
from mri_tumor.models.deciding.settings import Settings
from mri_tumor.models.deciding.views import observe
from mri_tumor.models.prediction import REASONS

_NOVEL, _AMBIGUOUS, _EMPTY = (REASONS.index(name) for name in ("novel", "ambiguous", "empty"))


def answer(network: Any, images: Any, settings: Settings) -> dict[str, Any]:
    """Return what is said about pictures: `decide` of what the network sees of them.

    Args:
        network: a network as `build` makes it.
        images: uint8 (N, size, size, 1), 0-255.
        settings: the views, and how the answer is made of them.
    """
    return decide(*observe(network, images, settings.tta), settings)


def decide(logits: Any, features: Any = None, settings: Settings | None = None) -> dict[str, Any]:
    """Return what is said about pictures; traced into every export, so it is the same everywhere.

    Args:
        logits: float tensor (N, K): one row a picture, one column a class, in the order of the labels.
        features: float tensor (N, F), as `observe` gives them; needed where `settings` has a threshold of
            novelty.
        settings: temperature, thresholds and the rest; None for those of a network that was only trained.

    Returns:
        `"probabilities"`: float32 (N, K), the softmax of logits / temperature; each row sums to 1.
        `"top"`: int32 (N,), the index of the most likely class, the first one of equals.
        `"prediction_set"`: bool (N, K), the classes that cannot be ruled out; only once calibrated.
        `"novelty"`: float32 (N,), from 0, 1 at the threshold; only where a threshold was set.
        `"label"`, `"abstained"`, `"reason"`: see `judge`.

    Raises:
        ArgumentError: the logits are not of rank 2, there is one class only, or the features are missing.

    >>> found = decide([[0.0, 0.0], [-1.0, 9.0]])
    >>> {name: keras.ops.convert_to_numpy(found[name]).tolist() for name in ("top", "label", "reason")}
    {'top': [0, 1], 'label': [0, 1], 'reason': [0, 0]}
    """
    settings = settings or Settings()
    # Probabilities are float32 also where the network computes in half precision.
    logits = keras.ops.cast(keras.ops.convert_to_tensor(logits), "float32")
    if len(logits.shape) != 2 or logits.shape[1] == 1:
        raise ArgumentError(
            f"logits have shape {tuple(logits.shape)}", "(N, K), K from 2", "pass a batch of logits"
        )
    probabilities = keras.ops.softmax(logits / settings.temperature, axis=-1)
    # Of whole numbers: among floats Keras looks at the sign of zero, bit by bit, which no other engine can.
    highest = probabilities >= keras.ops.max(probabilities, axis=-1, keepdims=True)
    top = keras.ops.cast(keras.ops.argmax(keras.ops.cast(highest, "int32"), axis=-1), "int32")
    said: dict[str, Any] = {}
    if settings.conformal is not None:
        said["prediction_set"] = settings.conformal.sets(probabilities)
    if settings.density is not None and settings.threshold is not None:
        if features is None:
            raise ArgumentError("features are missing", "features (N, F)", "pass what observe gives")
        said["novelty"] = settings.density.measure(features) / settings.threshold
    verdict = judge(top, said.get("prediction_set"), said.get("novelty"))
    return {"probabilities": probabilities, "top": top, **said, **verdict}


def judge(top: Any, prediction_set: Any = None, novelty: Any = None) -> dict[str, Any]:
    """Return which class is named, or why none is.

    A picture whose novelty is above 1 gets no label, whatever its set is: `"novel"`. An empty set means that
    no class fits (`"empty"`), one of several that they cannot be told apart (`"ambiguous"`). The class of a
    set of one is the label, also in the rare case that another class, whose own threshold is stricter, is
    more likely. Before calibration the label is the most likely class.

    Args:
        top: int32 (N,), the most likely class.
        prediction_set: bool (N, K), or None before calibration.
        novelty: float32 (N,), 1 at the threshold, or None.

    Returns:
        `"label"`: int32 (N,), the named class, -1 where there is none.
        `"abstained"`: bool (N,), where there is none.
        `"reason"`: int32 (N,), the place in `prediction.REASONS`; 0 where a class is named.

    >>> found = judge([0, 0, 1], [[True, False], [True, True], [True, False]], [0.5, 0.5, 2.0])
    >>> keras.ops.convert_to_numpy(found["label"]).tolist()
    [0, -1, -1]
    """
    label = keras.ops.cast(keras.ops.convert_to_tensor(top), "int32")
    reason = keras.ops.zeros_like(label)
    if prediction_set is not None:
        held = keras.ops.cast(prediction_set, "int32")
        size = keras.ops.sum(held, axis=1)
        label = keras.ops.cast(keras.ops.argmax(held, axis=1), "int32")
        reason = keras.ops.where(size > 1, _AMBIGUOUS, keras.ops.where(size == 0, _EMPTY, reason))
    if novelty is not None:
        # What is no number is not known either.
        reason = keras.ops.where(keras.ops.convert_to_tensor(novelty) <= 1.0, reason, _NOVEL)
    reason = keras.ops.cast(reason, "int32")
    abstained = reason > 0
    label = keras.ops.cast(keras.ops.where(abstained, -1, label), "int32")
    return {"label": label, "abstained": abstained, "reason": reason}

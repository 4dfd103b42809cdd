"""What a batch is changed by: one value a picture for each name, checked."""

from collections.abc import Callable, Iterable
from typing import Any, NoReturn, TypedDict, Unpack

import numpy as np
from numpy.typing import NDArray

from mri_tumor.errors import ArgumentError

Values = dict[str, NDArray[Any]]
Picture = NDArray[np.uint8]
Step = Callable[[int, Picture, Picture], Picture]
"""Takes the place in the batch, a picture `(S, S)` and where to write the changed one; returns that, or the
picture itself if nothing changes. Both may be the same memory from the second step on."""

TERMS = ((1, 0), (0, 1), (2, 0), (1, 1), (0, 2), (3, 0), (2, 1), (1, 2), (0, 3))
"""Degree to the right and downwards of each coefficient of a bias field."""

_NEUTRAL: dict[str, Any] = {
    "rotation": 0.0,
    "brightness": 0.0,
    "contrast": 1.0,
    "mirror": False,
    "translation": (0.0, 0.0),
    "zoom": 1.0,
    "shear": 0.0,
    "gamma": 1.0,
    "noise": 0.0,
    "noise_seed": 0,
    "blur": 0.0,
    "bias_field": (0.0,) * len(TERMS),
    "updown": False,
}
_FORMS = {name: np.shape(neutral) for name, neutral in _NEUTRAL.items()}
_LEAST = {"zoom": 0.01, "gamma": 0.01, "noise": 0.0, "blur": 0.0, "noise_seed": 0}
_MOST = {"zoom": 100.0, "gamma": 100.0, "blur": 100.0, "noise_seed": 2**63 - 1}


class Changes(TypedDict, total=False):
    """The names that `apply` takes."""

    rotation: Any
    brightness: Any
    contrast: Any
    mirror: Any
    translation: Any
    zoom: Any
    shear: Any
    gamma: Any
    noise: Any
    noise_seed: Any
    blur: Any
    bias_field: Any
    updown: Any


def check_names(names: Iterable[str]) -> None:
    """Raise an ArgumentError if a change is of an unknown name."""
    if unknown := sorted(set(names) - _NEUTRAL.keys()):
        raise ArgumentError(f"a change by {unknown}", f"any of {list(_NEUTRAL)}", "correct the name")


def checked(count: int, **given: Unpack[Changes]) -> Values:
    """Return an array for every name: `(count,)`, or `(count, 2)` and `(count, 9)` for lists of numbers.

    Args:
        count: pictures in the batch.
        given: by name one value for all or one a picture; what is missing changes nothing.

    Raises:
        ArgumentError: a name is unknown, or a value of another type or form, not finite or outside its
            range.

    >>> checked(2, zoom=1.5)["zoom"].tolist()
    [1.5, 1.5]
    """
    check_names(given)
    return {name: _column(name, given.get(name, neutral), count) for name, neutral in _NEUTRAL.items()}


def filled(count: int, values: Values) -> Values:
    """Return the same without checks, for values that were drawn.

    >>> filled(2, {"zoom": np.array([1.5, 1.2])})["gamma"].tolist()
    [1.0, 1.0]
    """
    missing = _NEUTRAL.keys() - values.keys()
    return values | {name: np.full((count, *_FORMS[name]), _NEUTRAL[name]) for name in missing}


def _column(name: str, value: Any, count: int) -> NDArray[Any]:
    neutral = np.asarray(_NEUTRAL[name])
    form = (count, *neutral.shape)
    try:
        # Number from number and truth from truth: 1 is no answer to "mirror".
        found = np.asarray(value).astype(neutral.dtype, casting="same_kind")
        column = np.broadcast_to(found if found.ndim > neutral.ndim else found[None], form)
    except (TypeError, ValueError):
        found = None
    # One number does not stand for a list of them.
    if found is None or found.shape[found.ndim - neutral.ndim :] != neutral.shape:
        _refuse(name, value, f"one {_kind(neutral)} for all pictures, or {count} of them")
    low, high = _LEAST.get(name, -np.inf), _MOST.get(name, np.inf)
    if not (np.isfinite(column).all() and (column >= low).all() and (column <= high).all()):
        _refuse(name, value, f"finite, from {low} to {high}")
    return column


def _kind(neutral: NDArray[Any]) -> str:
    kind = {"f": "number", "i": "whole number", "b": "True or False"}[neutral.dtype.kind]
    return f"list of {neutral.size} numbers" if neutral.ndim else kind


def _refuse(name: str, value: Any, expected: str) -> NoReturn:
    raise ArgumentError(f"{name} is {value!r:.80}", expected, "pass what Augment.describe returns")

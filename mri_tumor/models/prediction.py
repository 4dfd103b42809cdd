"""What a classifier says about one picture.

This file uses the standard library only: it is also copied into packages, where the endpoint's handler
imports it without the rest of the library.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

try:
    from mri_tumor.errors import ArgumentError
    from mri_tumor.labels import NOTICE
except ImportError:  # a copy beside the handler; the tests hold both texts equal
    ArgumentError = ValueError  # type: ignore[assignment, misc]
    NOTICE = "Research and teaching only. Not a medical device: never use it for diagnosis."


@dataclass(frozen=True)
class Prediction:
    """What a classifier says about one picture; every consumer sees this form, here and from an endpoint.

    Args:
        id: the picture's id: as in its Catalog or Dataset, its path, or its position in the call.
        label: the class it is given, or None when the classifier abstains.
        top: the most likely class, also when the classifier abstains.
        probabilities: label -> probability in 0-1, in the order of the labels; they sum to 1.
        prediction_set: the classes that cannot be ruled out at the calibrated risk; None before calibration.
        novelty: distance from the training pictures, 1 at the threshold; None when it was not fitted.
        abstained: whether the classifier refuses to name a class.
        reason: why it abstained: `"novel"`, `"ambiguous"` or `"empty"`; None when it did not.
        notice: that this is no medical device.

    Raises:
        ArgumentError: a label together with `abstained`, or neither.

    >>> one = Prediction("a.png", "none", "none", {"glioma": 0.25, "none": 0.75})
    >>> Prediction.from_dict(one.to_dict()) == one
    True
    """

    id: str
    label: str | None
    top: str
    probabilities: dict[str, float]
    prediction_set: tuple[str, ...] | None = None
    novelty: float | None = None
    abstained: bool = False
    reason: str | None = None
    notice: str = NOTICE

    def __post_init__(self) -> None:
        if self.abstained != (self.label is None):
            _refuse(
                f"prediction {self.id!r} has label {self.label!r} and abstained={self.abstained}",
                "a label, or abstained=True",
                "pass label=None exactly when the classifier abstained",
            )

    def to_dict(self) -> dict[str, Any]:
        """Return the prediction as a JSON object, as endpoints send it."""
        card = {field.name: getattr(self, field.name) for field in fields(self)}
        card["probabilities"] = dict(self.probabilities)
        if self.prediction_set is not None:
            card["prediction_set"] = list(self.prediction_set)
        return card

    @classmethod
    def from_dict(cls, card: Mapping[str, Any]) -> Self:
        """Take over a JSON object as `to_dict` makes it; keys of a newer release are left out.

        Raises:
            ArgumentError: a field is missing or has another type.
        """
        names = [field.name for field in fields(cls)]
        missing = [name for name in names if not isinstance(card, Mapping) or name not in card]
        if missing:
            _refuse(
                f"a prediction lacks {', '.join(missing)}",
                f"a JSON object with {', '.join(names)}",
                "pass what to_dict() or an endpoint of this library gave",
            )
        values = {name: card[name] for name in names}
        try:
            values["probabilities"] = {str(key): float(value) for key, value in card["probabilities"].items()}
            values["prediction_set"] = (
                None if card["prediction_set"] is None else tuple(card["prediction_set"])
            )
        except (AttributeError, TypeError, ValueError):
            _refuse(
                f"prediction {card['id']!r} has a field of another type",
                "probabilities as label -> number, prediction_set as a list or null",
                "pass what to_dict() or an endpoint of this library gave",
            )
        return cls(**values)


def predictions(ids: Sequence[str], outputs: Mapping[str, Any], labels: Sequence[str]) -> list[Prediction]:
    """Return one prediction a picture, in the order of the ids.

    Args:
        ids: the pictures' ids.
        outputs: what `decide` returns, as arrays or nested lists: `"probabilities"` (N, K) and `"top"` (N,).
        labels: the K labels in the order of the columns.

    Raises:
        ArgumentError: an output is missing, or its size does not fit the ids or the labels.

    >>> predictions(["a"], {"probabilities": [[0.25, 0.75]], "top": [1]}, ["glioma", "none"])[0].label
    'none'
    """
    _check(ids, outputs, labels)
    return [
        Prediction(
            id=str(name),
            label=labels[int(top)],
            top=labels[int(top)],
            probabilities={label: float(value) for label, value in zip(labels, row, strict=True)},
        )
        for name, row, top in zip(ids, outputs["probabilities"], outputs["top"], strict=True)
    ]


def _check(ids: Sequence[str], outputs: Mapping[str, Any], labels: Sequence[str]) -> None:
    for name in ("probabilities", "top"):
        if name not in outputs or len(outputs[name]) != len(ids):
            count = len(outputs[name]) if name in outputs else "no"
            _refuse(
                f"{count} {name} for {len(ids)} pictures",
                f"one row of {name} a picture",
                "pass all outputs of the model for exactly these pictures",
            )
    for row, top in zip(outputs["probabilities"], outputs["top"], strict=True):
        if not 0 <= top < len(labels):
            _refuse(
                f"top is {top} for {len(labels)} labels",
                "the position of a label",
                "pass the labels of the model's manifest",
            )
        if len(row) != len(labels):
            _refuse(
                f"{len(row)} probabilities for {len(labels)} labels",
                "one probability a label",
                "pass the labels of the model's manifest",
            )


def _refuse(found: str, expected: str, fix: str) -> None:
    raise ArgumentError(found, expected, fix)

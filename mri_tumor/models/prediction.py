"""What a classifier says about one picture.

This file uses the standard library only: it is also copied into packages, where the endpoint's handler
imports it without the rest of the library.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Self

try:
    from mri_tumor.errors import ArgumentError
    from mri_tumor.labels import NOTICE
except ImportError:  # a copy beside the handler; the tests hold both texts equal
    ArgumentError = ValueError  # type: ignore[assignment, misc]
    NOTICE = "Research and teaching only. Not a medical device: never use it for diagnosis."

REASONS = ("", "novel", "ambiguous", "empty")
"""Why a classifier abstained, by the number that a model's output `reason` holds; 0 where it did not."""

_NEEDED = ("probabilities", "top")
_ROWS = ("probabilities", "prediction_set")
_NUMBERS: dict[str, tuple[int, int | None]] = {
    "top": (0, None),
    "label": (-1, None),
    "reason": (0, len(REASONS)),
}


@dataclass(frozen=True)
class Prediction:
    """What a classifier says about one picture; every consumer sees this form, here and from an endpoint.

    Args:
        id: the picture's id: as in its Catalog or Dataset, its path, or its position in the call.
        label: the class it is given, or None when the classifier abstains.
        top: the most likely class, also when the classifier abstains.
        probabilities: label -> probability in 0-1, in the order of the labels; they sum to 1.
        prediction_set: the classes that cannot be ruled out at the calibrated risk; None before calibration.
        novelty: distance from the training pictures, 1 at the threshold; None before that was set.
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
        outputs: what `decide` returns, as arrays or nested lists: `"probabilities"` (N, K) and `"top"` (N,);
            and, where they are there, `"label"` (N,), `"reason"` (N,), `"prediction_set"` (N, K) and
            `"novelty"` (N,). Models of the first releases give the first two only: they never abstain.
        labels: the K labels in the order of the columns.

    Raises:
        ArgumentError: an output is missing, or its size or values do not fit the ids or the labels.

    >>> predictions(["a"], {"probabilities": [[0.25, 0.75]], "top": [1]}, ["glioma", "none"])[0].label
    'none'
    """
    columns = _checked(ids, outputs, labels)
    rows = (dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True))
    return [_prediction(str(name), row, labels) for name, row in zip(ids, rows, strict=True)]


def _prediction(name: str, row: Mapping[str, Any], labels: Sequence[str]) -> Prediction:
    reason = REASONS[int(row.get("reason", 0))]
    label = int(row.get("label", row["top"]))
    held, novelty = row.get("prediction_set"), row.get("novelty")
    return Prediction(
        id=name,
        label=None if label < 0 else labels[label],
        top=labels[int(row["top"])],
        probabilities={name: float(value) for name, value in zip(labels, row["probabilities"], strict=True)},
        prediction_set=None if held is None else tuple(itertools.compress(labels, held)),
        novelty=None if novelty is None else float(novelty),
        abstained=bool(reason),
        reason=reason or None,
    )


def _checked(ids: Sequence[str], outputs: Mapping[str, Any], labels: Sequence[str]) -> dict[str, Any]:
    """Return the outputs that are read, once they fit the ids and the labels."""
    given = [name for name in (*_ROWS, *_NUMBERS, "novelty") if name in outputs or name in _NEEDED]
    for name in given:
        if name not in outputs or len(outputs[name]) != len(ids):
            count = len(outputs[name]) if name in outputs else "no"
            _refuse(
                f"{count} {name} for {len(ids)} pictures",
                f"one row of {name} a picture",
                "pass all outputs of the model for exactly these pictures",
            )
    for name in _ROWS:
        for row in outputs.get(name, ()):
            if len(row) != len(labels):
                _unfit(f"{len(row)} {name} for {len(labels)} labels", f"one of {name} a label")
    for name, (least, most) in _NUMBERS.items():
        below = len(labels) if most is None else most
        for value in outputs.get(name, ()):
            if not least <= value < below:
                _unfit(f"{name} is {value} for {len(labels)} labels", f"{least} to {below - 1}")
    return {name: outputs[name] for name in given}


def _unfit(found: str, expected: str) -> None:
    _refuse(found, expected, "pass the outputs of a model of this library, and the labels of its manifest")


def _refuse(found: str, expected: str, fix: str) -> None:
    raise ArgumentError(found, expected, fix)

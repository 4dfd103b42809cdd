"""Scores read again from the JSON that they were written to: an evaluation without its predictions."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, TypeVar

from mri_tumor.errors import ArgumentError, ManifestMismatch
from mri_tumor.models.judging.five_numbers import FiveNumbers
from mri_tumor.models.judging.floors import Floor
from mri_tumor.models.judging.result import PARTS, Evaluation, parts_of
from mri_tumor.models.judging.scores import Scores, Settings
from mri_tumor.models.seen import Shared

_Made = TypeVar("_Made")


@dataclass(frozen=True)
class Report:
    """What an `Evaluation` says of some pictures; the arguments are as there, its floors without answers.

    Args:
        labels: the class names in order.
        all: scores of all pictures.
        leaked: scores of the leaked pictures, or None.
        clean: scores of the others, or None.
        leaks_known: whether anything is known about leaks.
        shared: the pictures and groups that the classifier was trained on; None if that is not known.
        selected: those that something was selected by; None if that is not known.
        calibrated: those that the classifier was calibrated by; None if by none, or that is not known.
        classifier: which one was judged; None if that is not known.
        twins_removed: whether training was spared the pictures that are like the leaked ones.
        by_group: part -> scores of one answer a group, the parts whose groups are known.
        floors: what is reached without learning anything; None where they could not be worked out.
        floors_note: why there are none, else empty.
        settings: how pictures were scored.
    """

    labels: tuple[str, ...]
    all: Scores
    leaked: Scores | None
    clean: Scores | None
    leaks_known: bool
    shared: Shared | None
    selected: Shared | None
    calibrated: Shared | None
    classifier: str | None
    twins_removed: bool
    by_group: dict[str, Scores]
    floors: tuple[Floor, ...] | None
    floors_note: str
    settings: Settings

    @property
    def parts(self) -> dict[str, Scores]:
        """Part -> its scores, those parts that have pictures."""
        return parts_of(self)

    @classmethod
    def of(cls, source: Evaluation | str | Path) -> Self:
        """Return what an evaluation says, or the JSON file that `mri-tumor evaluate --json` wrote.

        Raises:
            ArgumentError: `source` is neither.
            ManifestMismatch: the file cannot be read, or holds something else.
        """
        card, name = _card_of(source, Evaluation, "evaluation")
        return _read(cls.from_dict, card, name, "what Evaluation.to_dict gives, and `evaluate --json` writes")

    @classmethod
    def from_dict(cls, card: Mapping[str, Any]) -> Self:
        """Read what `Evaluation.to_dict` gives; further keys are left aside.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: it is something else.
        """
        labels = tuple(map(str, card["labels"]))
        found = {part: _scores(card[part], labels) for part in PARTS}
        groups = {part: _scores(one, labels) for part, one in card["by_group"].items()}
        floors = card["floors"]
        if found["all"] is None:
            raise ValueError("no scores of all pictures")
        return cls(
            labels=labels,
            **found,  # type: ignore[arg-type]
            leaks_known=card["leaks_known"] is True,
            shared=_shared(card["trained_on"]),
            selected=_shared(card["selected_by"]),
            calibrated=_shared(card["calibrated_by"]),
            classifier=None if card["classifier"] is None else str(card["classifier"]),
            twins_removed=card["twins_removed"] is True,
            by_group={part: one for part, one in groups.items() if one is not None},
            floors=None
            if floors is None
            else tuple(_floor(name, one, labels) for name, one in floors.items()),
            floors_note=str(card["floors_note"]),
            settings=Settings(**card["settings"]),
        )


@dataclass(frozen=True)
class FiveReport:
    """What `FiveNumbers` say of a way of training.

    Args:
        name: what was trained.
        reports: protocol -> report; the first is the official test.
    """

    name: str
    reports: dict[str, Report]

    @classmethod
    def of(cls, source: FiveNumbers | str | Path) -> Self:
        """Return what the numbers say, or the JSON file of `mri-tumor evaluate --protocol five --json`.

        Raises:
            ArgumentError: `source` is neither.
            ManifestMismatch: the file cannot be read, or holds something else.
        """
        card, name = _card_of(source, FiveNumbers, "five")
        expected = "what FiveNumbers.to_dict gives, and `evaluate --protocol five --json` writes"
        return _read(cls.from_dict, card, name, expected)

    @classmethod
    def from_dict(cls, card: Mapping[str, Any]) -> Self:
        """Read what `FiveNumbers.to_dict` gives.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: it is something else.
        """
        reports = {name: Report.from_dict(one) for name, one in card["protocols"].items()}
        if not reports:
            raise ValueError("no protocol")
        return cls(str(card["name"]), reports)


def _card_of(source: Any, kind: Any, name: str) -> tuple[Any, str]:
    """Return the JSON object of a result or of a file, and what to call it."""
    if isinstance(source, kind):
        return source.to_dict(), name
    if not isinstance(source, str | Path):
        raise ArgumentError(
            f"{name} is a {type(source).__name__}",
            f"{kind.__name__}, or the JSON file that it was written to",
            "pass what made them, or mri-tumor evaluate --json",
        )
    try:
        return json.loads(Path(source).read_bytes()), str(source)
    except (OSError, ValueError, RecursionError) as error:
        raise ManifestMismatch(
            f"{source} cannot be read ({error})", "a JSON file of numbers", "check the path"
        ) from error


def _read(take: Callable[[Any], _Made], card: Any, name: str, expected: str) -> _Made:
    try:
        return take(card)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ManifestMismatch(
            f"{name} does not hold such numbers ({error!r:.200})",
            expected,
            "check the path, or write it anew",
        ) from error


def _scores(card: Any, labels: tuple[str, ...]) -> Scores | None:
    if card is None:
        return None
    found = Scores.from_dict(card)
    if set(found.per_class) != set(labels):
        raise ValueError(f"scores of {', '.join(found.per_class)} for the labels {', '.join(labels)}")
    return found


def _shared(card: Any) -> Shared | None:
    if card is None:
        return None
    return Shared(tuple(map(str, card["pictures"])), tuple(map(str, card["groups"])), card["by_file"] is True)


def _floor(name: str, card: Mapping[str, Any], labels: tuple[str, ...]) -> Floor:
    found = {part: _scores(card[part], labels) for part in PARTS}
    return Floor(name, str(card["about"]), (), **found)  # type: ignore[arg-type]

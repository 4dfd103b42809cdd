"""What the five numbers are, as rows, a table and a summary."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from mri_tumor.dataset.tables import percent, text_table
from mri_tumor.files import whole_file
from mri_tumor.models.judging.result import Evaluation, parts_of
from mri_tumor.models.judging.scores import Scores
from mri_tumor.models.judging.text import with_interval

TWINS_REMOVED = "twins removed"
"""The protocol whose training saw no near-duplicate of a test picture."""

_OF_FLOORS = ("accuracy", "balanced_accuracy", "macro_f1")


class Row(NamedTuple):
    """One number of the table.

    Args:
        protocol: how the model was trained and judged, as in `"official"`.
        part: `"all"`, `"leaked"` or `"clean"`.
        n: pictures, or groups where the metric is by group.
        groups: groups that they belong to.
        metric: as in `Scores.values`; before it stands the floor's name or `by group`.
        value: the number, None where it cannot be computed.
        low: lower end of its 95 % interval, None without one.
        high: upper end.
    """

    protocol: str
    part: str
    n: int
    groups: int
    metric: str
    value: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class FiveNumbers:
    """The five numbers of a model.

    Args:
        name: what was trained.
        evaluations: protocol -> evaluation: `"official"`, `"twins removed"`, `"grouped 5-fold"` with all
            held-out pictures together, and `"second set, grouped 5-fold"` if there was one. Floors,
            calibration and decisions are in each.
    """

    name: str
    evaluations: dict[str, Evaluation]

    def rows(self) -> list[Row]:
        """Return every number, a row each."""
        return [row for protocol, found in self.evaluations.items() for row in _rows(protocol, found)]

    def to_csv(self, path: str | Path) -> None:
        """Write the rows with the columns of `Row`; numbers have six decimals, None is an empty cell."""
        with whole_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(Row._fields)
            for row in self.rows():
                writer.writerow([*row[:5], *("" if value is None else f"{value:.6f}" for value in row[5:])])

    def to_dict(self) -> dict[str, Any]:
        """Return everything as a JSON object."""
        found = {protocol: one.to_dict() for protocol, one in self.evaluations.items()}
        return {"name": self.name, "protocols": found}

    def summary(self) -> str:
        """Return the main numbers as a table, a row a protocol and part."""
        rows = [("", "pictures", "accuracy %", "macro-F1 %", "best floor %", "ECE %", "Brier")]
        for protocol, found in self.evaluations.items():
            for part, scores in found.parts.items():
                floors = [parts_of(floor)[part].accuracy for floor in found.floors or ()]
                main = (with_interval(scores, "accuracy"), with_interval(scores, "macro_f1"))
                best = percent(max(floors, default=None))
                ece, brier = percent(scores.calibration.ece), scores.calibration.brier
                sure = "-" if brier is None else f"{brier:.3f}"
                rows.append((f"{protocol}, {part}", str(scores.n), *main, best, ece, sure))
        title = [self.name] if self.name else []
        return "\n".join([*title, text_table(rows), "in brackets: 95 % intervals by draws of whole groups"])


def _rows(protocol: str, found: Evaluation) -> Iterator[Row]:
    for part, scores in found.parts.items():
        for metric, value in scores.values().items():
            yield _row(protocol, part, scores, metric, value)
        for floor in found.floors or ():
            own = parts_of(floor)[part]
            for metric in _OF_FLOORS:
                yield _row(protocol, part, own, metric, own.values()[metric], f"floor {floor.name} ")
        by_group = found.by_group.get(part)
        if by_group is not None:
            for metric in _OF_FLOORS:
                own = by_group.scores
                yield _row(protocol, part, own, metric, own.values()[metric], "by group ")


def _row(protocol: str, part: str, scores: Scores, metric: str, value: float | None, before: str = "") -> Row:
    ends = scores.intervals.get(metric)
    low, high = (None, None) if ends is None else (ends.low, ends.high)
    return Row(protocol, part, scores.n, scores.groups, f"{before}{metric}", value, low, high)

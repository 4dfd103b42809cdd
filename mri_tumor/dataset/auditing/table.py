"""An audit's findings as a CSV table."""

import csv
from pathlib import Path
from typing import TYPE_CHECKING

from mri_tumor.dataset.auditing.file_checks import FileFinding
from mri_tumor.dataset.copies.pairs import Pair
from mri_tumor.files import whole_file

if TYPE_CHECKING:
    from mri_tumor.dataset.auditing.report import AuditReport

COLUMNS = (
    *("kind", "first", "second", "first_side", "second_side", "first_label", "second_label"),
    *("leak", "conflict", "correlation", "relation", "same_file", "found", "fix"),
)
"""The table's columns; see `AuditReport.to_csv`."""


def write_findings(path: str | Path, report: "AuditReport") -> None:
    """Write one row a pair and one row a finding about a file; the table is whole or not there."""
    labels = {(picture.side, picture.id): picture.label for picture in report.pictures}
    with whole_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="")
        writer.writeheader()
        writer.writerows(_pair_row(pair) for pair in report.pairs)
        writer.writerows(_file_row(found, labels[found.side, found.id]) for found in report.files)


def _pair_row(pair: Pair) -> dict[str, object]:
    return {
        "kind": pair.kind,
        "first": pair.first,
        "second": pair.second,
        "first_side": pair.sides[0],
        "second_side": pair.sides[1],
        "first_label": pair.labels[0],
        "second_label": pair.labels[1],
        "leak": _yes(pair.leak),
        "conflict": _yes(pair.conflict),
        "correlation": pair.correlation,
        "relation": pair.relation,
        "same_file": _yes(pair.same_file),
    }


def _file_row(finding: FileFinding, label: str) -> dict[str, object]:
    return {
        "kind": finding.kind,
        "first": finding.id,
        "first_side": finding.side,
        "first_label": label,
        "found": finding.found,
        "fix": finding.fix,
    }


def _yes(value: bool) -> str:
    return "yes" if value else ""

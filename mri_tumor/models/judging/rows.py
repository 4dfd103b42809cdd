"""Predictions as a CSV table beside what was true, written and read again."""

import csv
import json
from collections.abc import Collection, Sequence
from pathlib import Path

from mri_tumor.dataset.tables import read_table
from mri_tumor.errors import ManifestMismatch
from mri_tumor.files import whole_file
from mri_tumor.models.judging.truth import Truth
from mri_tumor.models.prediction import Prediction

_SHARE = "p_"
_COLUMNS = ("id", "label", "predicted", "leaked", "group", "answer", "reason", "set", "novelty")


def write_rows(
    path: str | Path,
    predictions: Sequence[Prediction],
    truth: Truth,
    labels: Sequence[str],
    leaked: Collection[str] | None = None,
) -> None:
    """Write one row a picture.

    The columns are id, label (the true class), predicted (the most likely one), leaked (0, 1 or empty),
    group, answer (the class that was given, empty if it abstained), reason, set (a JSON list, empty without
    sets), novelty, and the probabilities to the nine digits of float32.
    """
    with whole_file(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*_COLUMNS, *(f"{_SHARE}{label}" for label in labels)])
        for one, label, group in zip(predictions, truth.labels, truth.groups, strict=True):
            known = "" if leaked is None else int(one.id in leaked)
            held = "" if one.prediction_set is None else json.dumps(list(one.prediction_set))
            novelty = "" if one.novelty is None else f"{one.novelty:.9g}"
            shares = [f"{one.probabilities[name]:.9g}" for name in labels]
            decided = [one.label or "", one.reason or "", held, novelty]
            writer.writerow([one.id, label, one.top, known, group or "", *decided, *shares])


def read_predictions(path: str | Path) -> tuple[Prediction, ...]:
    """Read the predictions of a table that `write_rows` wrote.

    Raises:
        CatalogError: it cannot be read.
        ManifestMismatch: it is another table.
    """
    columns, rows = read_table(path)
    labels = [name.removeprefix(_SHARE) for name in columns if name.startswith(_SHARE)]
    if not labels or not set(_COLUMNS) <= set(columns):
        raise ManifestMismatch(
            f"{path} has the columns {', '.join(columns)}",
            f"{', '.join(_COLUMNS)} and probabilities",
            "write it with Evaluation.to_csv",
        )
    try:
        return tuple(_prediction(row, labels) for row in rows)
    except ValueError as error:
        raise ManifestMismatch(
            f"{path} holds something else than numbers ({error})",
            "the table as it was written",
            "write it anew",
        ) from error


def _prediction(row: dict[str, str], labels: Sequence[str]) -> Prediction:
    return Prediction(
        id=row["id"],
        label=row["answer"] or None,
        top=row["predicted"],
        probabilities={label: float(row[f"{_SHARE}{label}"]) for label in labels},
        prediction_set=None if not row["set"] else tuple(json.loads(row["set"])),
        novelty=float(row["novelty"]) if row["novelty"] else None,
        abstained=not row["answer"],
        reason=row["reason"] or None,
    )

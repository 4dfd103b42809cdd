"""The table of predictions: written and read again, the same."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from mri_tumor.errors import CatalogError, ManifestMismatch
from mri_tumor.models.judging.rows import read_predictions, write_rows


def test_what_is_read_is_what_was_written(judged, tmp_path: Path) -> None:
    found = judged()
    # Networks answer in float32.
    rounded = tuple(
        dataclasses.replace(
            one, probabilities={label: float(np.float32(value)) for label, value in one.probabilities.items()}
        )
        for one in found.predictions
    )
    rounded = (dataclasses.replace(rounded[0], prediction_set=()), *rounded[1:])
    rounded = (*rounded[:-1], dataclasses.replace(rounded[-1], prediction_set=None, novelty=None))
    write_rows(tmp_path / "rows.csv", rounded, found.truth, found.labels)
    again = read_predictions(tmp_path / "rows.csv")
    for before, after in zip(rounded, again, strict=True):
        assert dataclasses.replace(after, probabilities=before.probabilities) == before
        assert after.probabilities == pytest.approx(before.probabilities, rel=1e-8)
        assert [np.float32(value) for value in after.probabilities.values()] == [
            np.float32(value) for value in before.probabilities.values()
        ]


def test_another_table_is_refused(judged, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text("id,label\na,b\n")
    with pytest.raises(ManifestMismatch, match="has the columns id, label"):
        read_predictions(path)
    with pytest.raises(CatalogError, match="cannot be read"):
        read_predictions(tmp_path / "none.csv")
    judged().to_csv(path)
    path.write_text(path.read_text().replace("0.5,0.", "0.5,zero.", 1))
    with pytest.raises(ManifestMismatch, match="something else than numbers"):
        read_predictions(path)

"""Numbers read again from the JSON they were written to are the numbers that were written."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from mri_tumor.errors import ArgumentError, ManifestMismatch
from mri_tumor.models.evaluation import Evaluation
from mri_tumor.models.judging.five_numbers import FiveNumbers
from mri_tumor.models.judging.report import FiveReport, Report
from mri_tumor.models.judging.text import caveats, with_interval
from mri_tumor.models.judging.verdict import verdict

Judged = Callable[..., Evaluation]


def written(path: Path, card: object) -> Path:
    path.write_text(json.dumps(card))
    return path


@pytest.mark.parametrize("leaked", ["first", None, ()])
def test_an_evaluation_is_read_as_it_was_written(judged: Judged, tmp_path: Path, leaked: object) -> None:
    found = judged(leaked=leaked)
    read = Report.of(written(tmp_path / "evaluation.json", found.to_dict()))
    assert read == Report.of(found)
    assert read.parts == found.parts
    assert read.leaks_known == found.leaks_known == (leaked is not None)
    assert (verdict(read), caveats(read)) == (verdict(found), caveats(found))
    assert read.by_group["all"] == found.by_group["all"].scores
    assert with_interval(read.all, "accuracy") == with_interval(found.all, "accuracy")


def test_the_five_numbers_are_read_as_they_were_written(judged: Judged, tmp_path: Path) -> None:
    numbers = FiveNumbers("small", {"official": judged(), "grouped 3-fold": judged(1, leaked=None)})
    read = FiveReport.of(written(tmp_path / "five.json", numbers.to_dict()))
    assert read == FiveReport.of(numbers)
    assert read.name == "small"
    assert read.reports["grouped 3-fold"].all == numbers.evaluations["grouped 3-fold"].all


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("labels", ["a", "b"]),
        ("all", None),
        ("floors", {"size": {}}),
        ("settings", {"draws": 0}),
        ("trained_on", {"pictures": 3}),
    ],
)
def test_what_is_no_evaluation_is_refused(judged: Judged, tmp_path: Path, key: str, value: object) -> None:
    path = written(tmp_path / "evaluation.json", judged().to_dict() | {key: value})
    with pytest.raises(ManifestMismatch, match=r"evaluation\.json does not hold such numbers"):
        Report.of(path)


@pytest.mark.parametrize("value", ["0.9", True, None, float("nan")])
def test_a_number_that_is_none_is_refused(judged: Judged, tmp_path: Path, value: object) -> None:
    card = judged().to_dict()
    card["all"]["accuracy"] = value
    with pytest.raises(ManifestMismatch, match="is no number"):
        Report.of(written(tmp_path / "evaluation.json", card))


def test_an_evaluation_is_not_the_five_numbers(judged: Judged, tmp_path: Path) -> None:
    path = written(tmp_path / "evaluation.json", judged().to_dict())
    with pytest.raises(ManifestMismatch, match="protocols"):
        FiveReport.of(path)
    with pytest.raises(ManifestMismatch, match="no protocol"):
        FiveReport.of(written(path, {"name": "", "protocols": {}}))


@pytest.mark.parametrize("kind", [Report, FiveReport])
def test_other_things_and_unreadable_files_are_refused(kind: type, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="is a dict"):
        kind.of({})
    with pytest.raises(ManifestMismatch, match="cannot be read"):
        kind.of(tmp_path / "nowhere.json")
    (tmp_path / "text.json").write_text("{")
    with pytest.raises(ManifestMismatch, match="cannot be read"):
        kind.of(tmp_path / "text.json")

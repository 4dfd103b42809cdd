"""What a card says of scores is what the evaluation holds; machines read none that training made easy."""

import dataclasses
from collections.abc import Callable

import pytest

from mri_tumor.labels import LABELS, display_name
from mri_tumor.models.describing.results import evaluation, five_numbers, index, told
from mri_tumor.models.evaluation import Evaluation
from mri_tumor.models.judging.five_numbers import TWINS_REMOVED, FiveNumbers
from mri_tumor.models.judging.report import FiveReport, Report
from mri_tumor.models.judging.text import with_interval
from mri_tumor.models.seen import Shared

Judged = Callable[..., Evaluation]


@pytest.fixture
def floored(judged: Judged) -> Evaluation:
    """An evaluation with floors, which need training pictures at other places."""
    found = judged()
    floors = tuple(
        dataclasses.replace(floor, all=found.all, leaked=found.leaked, clean=found.clean)
        for floor in (_floor("size"), _floor("thumbnail"))
    )
    return dataclasses.replace(found, floors=floors)


def _floor(name: str) -> object:
    from mri_tumor.models.judging.floors import ABOUT, Floor

    return Floor(name, ABOUT[name], (), None)  # type: ignore[arg-type]


def row(text: str, begin: str) -> list[str]:
    """Return the cells of the first row that begins so."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {begin} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_an_evaluation_is_told_part_by_part_with_intervals(floored: Evaluation) -> None:
    text = evaluation(Report.of(floored))
    for part, scores in floored.parts.items():
        cells = row(text, f"evaluated, {part}")
        assert cells[1:4] == [str(scores.n), str(scores.groups), with_interval(scores, "accuracy")]
        assert cells[4] == with_interval(floored.by_group[part].scores, "accuracy")
        assert cells[5] == with_interval(scores, "macro_f1")
    tables = text.split("\n\n")
    recalls = row(next(one for one in tables if one.startswith("| recall")), "evaluated, clean")
    assert recalls[1:] == [
        f"{with_interval(floored.clean, f'recall {label}')} of {floored.clean.per_class[label].support}"
        for label in LABELS
    ]
    assert all(display_name(label) in text for label in LABELS)
    floors = row(next(one for one in tables if "thumbnail |" in one), "evaluated, all")
    assert floors[1:] == [with_interval(floored.all, "accuracy")] * 3
    decided = row(next(one for one in tables if "Brier" in one), "evaluated, all")
    made = floored.all.decisions
    assert decided[3:] == [
        with_interval(floored.all, "coverage"),
        f"{made.set_size:.2f}",
        with_interval(floored.all, "abstention_rate"),
        with_interval(floored.all, "selective_accuracy"),
    ]


def test_what_must_be_known_is_said(judged: Judged) -> None:
    assert "20 of 40 pictures leaked" in evaluation(Report.of(judged()))
    assert "training holds too is not known" in evaluation(Report.of(judged(leaked=None)))
    clean = evaluation(Report.of(judged(leaked=())))
    assert "None of these pictures leaked" in clean
    assert "evaluated, clean" not in clean  # the same pictures as all
    assert "Floors: not worked out" in clean
    shared = dataclasses.replace(judged(), shared=Shared(("0.png",), ()))
    assert "trained on 1 pictures" in evaluation(Report.of(shared))


def test_machines_read_the_clean_part_only(judged: Judged) -> None:
    found = judged()
    entry = index("x", [("evaluation", told(Report.of(found)))])[0]["results"][0]
    assert entry["dataset"]["split"] == "clean"
    assert entry["task"]["type"] == "image-classification"
    values = {metric["type"]: metric["value"] for metric in entry["metrics"]}
    assert values == {"accuracy": found.clean.accuracy, "f1": found.clean.macro_f1}
    assert all(f"n = {found.clean.n}" in metric["name"] for metric in entry["metrics"])


def test_machines_read_all_where_nothing_leaked_and_nothing_where_all_did(judged: Judged) -> None:
    for leaked in ((), None):
        entries = index("x", [("evaluation", told(Report.of(judged(leaked=leaked))))])
        assert [one["dataset"]["split"] for one in entries[0]["results"]] == ["all"]
    everything = judged(leaked=[f"{place}.png" for place in range(40)])
    assert index("x", [("evaluation", told(Report.of(everything)))]) == []
    shared = dataclasses.replace(judged(leaked=None), shared=Shared(("0.png",), ()))
    assert index("x", [("evaluation", told(Report.of(shared)))]) == []


def test_without_twins_nothing_leaked(judged: Judged) -> None:
    numbers = FiveReport.of(
        FiveNumbers(
            "", {"official": judged(), TWINS_REMOVED: dataclasses.replace(judged(), twins_removed=True)}
        )
    )
    text = five_numbers(numbers, None)
    assert "- official: 20 of 40 pictures leaked" in text
    assert f"- {TWINS_REMOVED}: 20 of 40" not in text
    assert f"{TWINS_REMOVED}, leaked" in text  # the same pictures, for comparison
    entries = index("x", [(name, told(one)) for name, one in numbers.reports.items()])
    assert [one["dataset"]["split"] for one in entries[0]["results"]] == ["clean", "all"]
    assert len({str(one["dataset"]) for one in entries[0]["results"]}) == 2


def test_whether_the_numbers_are_of_this_recipe(judged: Judged) -> None:
    numbers = FiveReport.of(FiveNumbers("cnn, recipe 0123456789ab", {"official": judged()}))
    assert "holds the digest of this classifier's recipe" in five_numbers(numbers, "0123456789ab" + "c" * 52)
    for other in (None, "f" * 64):
        assert "Nothing in it shows" in five_numbers(numbers, other)
    assert "it has no name" in five_numbers(dataclasses.replace(numbers, name=""), None)


def test_classes_that_a_protocol_lacks_are_a_dash(judged: Judged) -> None:
    found = judged(leaked=None)
    few = dataclasses.replace(Report.of(found), labels=LABELS[:2])
    alone = dataclasses.replace(
        few.all, per_class={label: few.all.per_class[label] for label in LABELS[:2]}, groups_known=False
    )
    numbers = FiveReport(
        "", {"official": Report.of(found), "second set": dataclasses.replace(few, all=alone)}
    )
    text = five_numbers(numbers, None)
    recalls = next(one for one in text.split("\n\n") if one.startswith("| recall"))
    assert row(recalls, "second set, all")[3:] == ["-", "-"]
    assert row(text, "second set, all")[2] == "unknown"
    assert "second set: groups: not known of every picture" in text

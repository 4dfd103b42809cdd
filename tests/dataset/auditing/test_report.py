"""An audit's report: derived lists, text, table and JSON."""

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from mri_tumor.dataset.audit import AuditReport, audit
from mri_tumor.dataset.catalog import scan
from mri_tumor.errors import ArgumentError


@pytest.fixture
def planted(make_folder: Callable[..., Path]) -> Path:
    """Two leaks, a copy inside training, a picture under two labels, and three odd files."""
    make_folder(per_class=4, split="Training")
    root = make_folder(per_class=2, split="Testing", seed=7)
    training, testing = root / "Training", root / "Testing"
    shutil.copy(training / "no_tumor" / "000.png", testing / "no_tumor" / "leak.png")
    turned = np.fliplr(cv2.imread(str(training / "glioma_tumor" / "001.png"), cv2.IMREAD_GRAYSCALE))
    (testing / "glioma_tumor" / "mirror.jpg").write_bytes(cv2.imencode(".jpg", turned)[1].tobytes())
    same = cv2.imread(str(training / "no_tumor" / "000.png"), cv2.IMREAD_GRAYSCALE)
    cv2.imwrite(str(training / "no_tumor" / "copy.png"), same, [cv2.IMWRITE_PNG_COMPRESSION, 9])
    shutil.copy(training / "glioma_tumor" / "002.png", training / "meningioma_tumor" / "wrong.png")
    (training / "pituitary_tumor" / "empty.png").touch()
    (training / "pituitary_tumor" / "text.png").write_text("no picture")
    shutil.copy(training / "pituitary_tumor" / "000.png", training / "pituitary_tumor" / "000.jpg")
    return root


@pytest.fixture
def report(planted: Path) -> AuditReport:
    return audit(scan(planted))


def test_pairs_hold_leaks_conflicts_and_copies(report: AuditReport) -> None:
    names = {(pair.first.split("/", 1)[1], pair.second.split("/", 1)[1]) for pair in report.pairs}
    assert names == {
        ("glioma_tumor/001.png", "glioma_tumor/mirror.jpg"),
        ("glioma_tumor/002.png", "meningioma_tumor/wrong.png"),
        ("no_tumor/000.png", "no_tumor/copy.png"),
        ("no_tumor/000.png", "no_tumor/leak.png"),
        ("pituitary_tumor/000.jpg", "pituitary_tumor/000.png"),
    }
    assert [pair.first for pair in report.conflicts] == ["Training/glioma_tumor/002.png"]
    assert len(report.leaks) == 2


@pytest.mark.parametrize("examples", [-1, 1.5, None])
def test_how_many_examples(report: AuditReport, examples: object) -> None:
    with pytest.raises(ArgumentError, match="examples is"):
        report.summary(examples)  # type: ignore[arg-type]
    assert "= " not in report.summary(0).split("Leaks, test = training")[1]


def test_the_same_file_is_told_from_the_same_pixels(report: AuditReport) -> None:
    same = {pair.second.rsplit("/", 1)[1]: pair.same_file for pair in report.pairs}
    assert same == {
        "mirror.jpg": False,
        "wrong.png": True,
        "copy.png": False,
        "leak.png": True,
        "000.png": True,
    }


def test_copies_are_sets(report: AuditReport) -> None:
    largest, *others = report.copies
    assert largest.ids == (
        "Training/no_tumor/000.png",
        "Training/no_tumor/copy.png",
        "Testing/no_tumor/leak.png",
    )
    assert (largest.sides, largest.kind, largest.correlation) == (
        ("train", "train", "test"),
        "pixel-identical",
        1,
    )
    assert sorted(len(copies.ids) for copies in others) == [2, 2, 2]
    assert {copies.kind for copies in others} == {"pixel-identical", "near-duplicate"}


def test_unreadable_are_the_files_that_were_not_compared(report: AuditReport) -> None:
    assert [(found.id.rsplit("/", 1)[1], found.kind) for found in report.files] == [
        ("000.jpg", "mistyped"),
        ("empty.png", "empty"),
        ("text.png", "unreadable"),
    ]
    assert report.unreadable == report.files[1:]


def test_balance_and_the_rule_for_mixed_groups(report: AuditReport) -> None:
    assert report.balance == {
        "train": {"glioma": 4, "meningioma": 5, "none": 5, "pituitary": 7},
        "test": {"glioma": 3, "meningioma": 2, "none": 3, "pituitary": 2},
    }
    (group,) = report.mixed_groups
    assert group == "Training/glioma_tumor/002.png"
    text = report.summary()
    assert "1 group holds two classes or more: it stays whole in a split" in text
    assert "(largest class to smallest: 1.8 in training; 1.5 in test)" in text


def test_the_summary_is_a_table(report: AuditReport) -> None:
    lines = report.summary().splitlines()
    assert lines[0] == "31 pictures (21 training, 10 test), 25 distinct; 26 groups, the largest of 3"
    rows = [line.split() for line in lines]
    assert ["class", "test", "identical", "near-duplicate", "clean"] in rows
    assert ["glioma", "3", "0", "1", "2"] in rows
    assert ["none", "3", "1", "0", "2"] in rows
    assert ["all", "10", "1", "1", "8"] in rows
    assert ["glioma", "4", "19%", "3", "30%"] in rows
    assert "  Testing/no_tumor/leak.png = Training/no_tumor/000.png, the same file" in lines
    assert "One picture under two labels: 1" in lines
    assert "Sets of copies: 4" in lines
    assert "Empty files, left out: 1" in lines
    assert "Mistyped: 1" in lines
    assert "and 1 more" in report.summary(examples=1)


def test_a_class_without_pictures_is_said(make_folder: Callable[..., Path]) -> None:
    catalog = scan(make_folder(per_class=2))
    text = audit(catalog.select(where=lambda record: record.label != "none")).summary()
    assert "unbounded in training, which lacks none" in text


def test_to_csv_has_one_row_a_finding(report: AuditReport, tmp_path: Path) -> None:
    report.to_csv(tmp_path / "new" / "findings.csv")
    with (tmp_path / "new" / "findings.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(report.pairs) + len(report.files) == 8
    kinds = [row["kind"] for row in rows]
    assert kinds == ["near-duplicate", *["pixel-identical"] * 4, "mistyped", "empty", "unreadable"]
    mirrored = rows[0]
    assert (mirrored["leak"], mirrored["conflict"], mirrored["same_file"]) == ("yes", "", "")
    assert (mirrored["first_side"], mirrored["second_side"]) == ("train", "test")
    assert 0.99 <= float(mirrored["correlation"]) <= 1
    assert [row["second_label"] for row in rows if row["conflict"]] == ["meningioma"]
    assert rows[-1]["first_label"] == "pituitary"
    assert "text" in rows[-1]["found"]
    assert all(row["fix"] for row in rows[-3:])


def test_to_dict_is_json(report: AuditReport) -> None:
    card = report.to_dict()
    assert json.loads(json.dumps(card, allow_nan=False)) == card
    assert card["pictures"] == {"train": 21, "test": 10, "distinct": 25}
    assert card["leaked_ids"] == ["Testing/glioma_tumor/mirror.jpg", "Testing/no_tumor/leak.png"]
    assert [found["kind"] for found in card["files"]] == ["mistyped", "empty", "unreadable"]
    assert len(card["copies"]) == 4


def test_a_report_without_shortcuts_is_not_slowed_by_them(planted: Path) -> None:
    assert "shortcuts" not in vars(audit(scan(planted)))

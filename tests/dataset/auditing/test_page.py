"""The audit's page: self-contained, escaped, with the right pairs and no more than asked for."""

import base64
import re
import shutil
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from mri_tumor.dataset.audit import AuditReport, audit
from mri_tumor.dataset.auditing.advice import advice
from mri_tumor.dataset.auditing.gallery import shelves
from mri_tumor.dataset.catalog import scan
from mri_tumor.dataset.copies.pairs import Pair
from mri_tumor.dataset.thumbnails import SIDE
from mri_tumor.errors import ArgumentError
from mri_tumor.labels import NOTICE

NASTY = "<b onload='x'>&\"name\".png"


class Tags(HTMLParser):
    """Checks that every tag is closed by its own."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in {"meta", "img", "br", "wbr"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture
def report(make_folder: Callable[..., Path]) -> AuditReport:
    """Four leaks under one nasty name, a conflict, and an unreadable file."""
    make_folder(per_class=4, split="Training")
    root = make_folder(per_class=2, split="Testing", seed=7)
    for number in range(4):
        shutil.copy(
            root / "Training" / "no_tumor" / f"00{number}.png",
            root / "Testing" / "no_tumor" / f"{number}{NASTY}",
        )
    shutil.copy(root / "Training/glioma_tumor/002.png", root / "Training/meningioma_tumor/wrong.png")
    (root / "Training" / "pituitary_tumor" / f"text{NASTY}").write_text("no picture")
    return audit(scan(root))


def written(report: AuditReport, folder: Path, **options: int) -> str:
    report.to_html(folder / "new" / "audit.html", **options)
    assert [path.name for path in (folder / "new").iterdir()] == ["audit.html"]
    return (folder / "new" / "audit.html").read_text(encoding="utf-8")


def test_the_page_is_well_formed_and_self_contained(report: AuditReport, tmp_path: Path) -> None:
    text = written(report, tmp_path)
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    assert not re.search(r'(?:src|href)="(?!data:)', text)
    assert "http" not in text
    assert NOTICE in text
    assert "This page holds pictures of the data set" in text


def test_names_are_escaped(report: AuditReport, tmp_path: Path) -> None:
    text = written(report, tmp_path)
    assert "<b onload" not in text
    assert "&lt;b onload=&#x27;x&#x27;&gt;&amp;&quot;name&quot;.png" in text


def test_pictures_are_small_and_hold_pixels_only(report: AuditReport, tmp_path: Path) -> None:
    encoded = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', written(report, tmp_path))
    assert len(encoded) == 2 * len(report.pairs) == 10
    for picture in map(base64.b64decode, encoded):
        image = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_UNCHANGED)
        assert image.ndim == 2
        assert max(image.shape) <= SIDE
        assert b"Exif" not in picture


def test_the_rest_is_counted(report: AuditReport, tmp_path: Path) -> None:
    text = written(report, tmp_path, pairs=1)
    assert text.count("data:image/jpeg") == 2 * 2
    assert "Identical between training and test: 4" in text
    assert "And 3 more, not shown." in text


def test_no_pairs_means_no_pictures(report: AuditReport, tmp_path: Path) -> None:
    text = written(report, tmp_path, pairs=0)
    assert "data:image/jpeg" not in text
    assert "This page holds pictures" not in text
    assert "And 4 more, not shown." in text


def test_long_lists_of_files_are_cut_and_counted(make_folder: Callable[..., Path], tmp_path: Path) -> None:
    root = make_folder(per_class=1)
    for number in range(43):
        (root / "no_tumor" / f"empty{number}.png").touch()
    text = written(audit(scan(root)), tmp_path)
    assert text.count("the file is empty") == 40
    assert "And 3 more empty: the table that to_csv writes has all." in text


def test_a_picture_gone_since_the_audit(report: AuditReport, tmp_path: Path) -> None:
    next(p.path for p in report.pictures if p.id.endswith("wrong.png")).unlink()
    assert "can no longer be read" in written(report, tmp_path)


def test_a_clean_set(make_folder: Callable[..., Path], tmp_path: Path) -> None:
    report = audit(scan(make_folder(per_class=1)))
    text = written(report, tmp_path)
    assert "No picture is there twice" in text
    assert "Not probed: class &#x27;glioma&#x27; has fewer than 2 groups of its own" in text
    assert "also in training" not in text
    assert advice(report) == ["Nothing was found that calls for something to be done."]


def test_no_pictures_at_all(make_folder: Callable[..., Path], tmp_path: Path) -> None:
    assert "Audit of 0 pictures" in written(audit(scan(make_folder(per_class=1))[:0]), tmp_path)


def test_advice_names_what_was_found(report: AuditReport) -> None:
    text = "\n".join(advice(report))
    for found in (
        "4 of 12 test pictures",
        "1 pairs are one picture under two labels",
        "1 files cannot be read",
    ):
        assert found in text


def test_the_most_doubtful_come_first_and_each_pair_once() -> None:
    def pair(name: str, correlation: float, **changed: object) -> Pair:
        near = "near-duplicate" if correlation < 1 else "pixel-identical"
        facts = {"sides": ("train", "train"), "labels": ("none", "none"), "kind": near, **changed}
        return Pair(first=name, second=f"{name}2", correlation=correlation, **facts)

    leak = {"sides": ("train", "test")}
    pairs = [
        pair("a", 1.0),
        pair("b", 0.999),
        pair("c", 0.991),
        pair("d", 0.995, **leak),
        pair("e", 0.992, labels=("none", "glioma"), **leak),
        pair("f", 1.0, **leak),
    ]
    found = shelves(pairs, 1)
    assert [[shown.first for shown in shelf.shown] for shelf in found] == [["e"], ["d"], ["c"], ["f"], ["a"]]
    assert [shelf.rest for shelf in found] == [0, 0, 1, 0, 0]


@pytest.mark.parametrize("pairs", [-1, 1.5, "3"])
def test_bad_arguments(report: AuditReport, tmp_path: Path, pairs: object) -> None:
    with pytest.raises(ArgumentError, match="pairs is"):
        report.to_html(tmp_path / "a.html", pairs=pairs)  # type: ignore[arg-type]

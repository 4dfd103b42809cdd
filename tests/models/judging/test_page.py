"""The page: whole, self-contained, escaped, honest in words, with as many pictures as were asked for."""

import dataclasses
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from mri_tumor.errors import ArgumentError
from mri_tumor.labels import NOTICE
from mri_tumor.models.judging.charts import curves_chart
from mri_tumor.models.judging.page import page
from mri_tumor.models.judging.verdict import telling, verdict


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


def test_the_page_is_well_formed_and_self_contained(judged, tmp_path: Path) -> None:
    judged().to_html(tmp_path / "new" / "report.html", pictures=3)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["report.html"]
    text = (tmp_path / "new" / "report.html").read_text(encoding="utf-8")
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    assert not re.search(r'(?:src|href)="(?!data:)', text)
    assert "http" not in text
    assert NOTICE in text
    assert "patient <" not in text
    assert "patient &lt;" in text


def test_every_section_is_there(judged) -> None:
    text = page(judged(), 2).to_html()
    sections = re.findall("<h2>(.+?)</h2>", text)
    assert [section.split(":")[0] for section in sections] == [
        "All pictures, and leaked and clean ones apart",
        "Beside what learns nothing about tumours",
        "Class by class",
        "What is taken for what",
        "How well each class is told from the rest",
        "Whether its probabilities mean what they say",
        "Where it may say that it cannot tell",
        "One answer a group",
        "The most confident mistakes",
        "How this was worked out",
    ]
    assert "No floors: not worked out, no training pictures were given" in text


def test_as_many_pictures_as_were_asked_for_the_most_confident_first(judged) -> None:
    found = judged()
    assert page(found, 2).to_html().count("data:image/jpeg") == 2
    none = page(found, 0).to_html()
    assert "data:image/jpeg" not in none
    assert "This page holds pictures" not in none
    shown = page(found, 1).to_html()
    worst = found.mistakes[0]
    assert worst.probability == max(one.probability for one in found.mistakes)
    assert f'alt="{worst.id}"' in shown
    with pytest.raises(ArgumentError, match="pictures is -1"):
        found.to_html("x.html", pictures=-1)


def test_a_file_that_is_gone_leaves_its_answer(judged) -> None:
    found = judged()
    found.mistakes[0].path.unlink()
    text = page(found, 1).to_html()
    assert "no picture" in text
    assert found.mistakes[0].id in text


def test_the_clean_part_tells_where_it_is_known(judged) -> None:
    assert telling(judged())[0] == "clean"
    unknown = judged(leaked=None)
    assert telling(unknown)[0] == "all"
    text = page(unknown, 0).to_html()
    assert "leaks: unknown" in text
    assert "accuracy, all" in text
    assert "<th>clean</th>" not in text


def test_without_twins_all_pictures_are_new(judged) -> None:
    found = dataclasses.replace(judged(), twins_removed=True)
    assert telling(found)[0] == "all"
    assert not any("leaked" in line for line in verdict(found))
    text = page(found, 0).to_html()
    assert "copies of each were taken out of training" in text
    assert "training holds a copy" not in text


def test_the_verdict_says_what_must_not_be_overlooked(judged) -> None:
    found = judged()
    assert any("20 of 40 pictures leaked" in line for line in verdict(found))
    assert not any("not surely better" in line for line in verdict(found))
    weak = dataclasses.replace(found, floors=(_floor(found),))
    assert any("'thumbnail' reaches 100.0 % on part 'clean'" in line for line in verdict(weak))
    kept = judged(
        leaked=[
            name for name, label in zip(found.truth.ids, found.truth.labels, strict=True) if label == "none"
        ]
    )
    assert any("'clean' has no picture of: No tumour" in line for line in verdict(kept))


def _floor(found):
    from mri_tumor.models.judging.asking import Answers
    from mri_tumor.models.judging.result import judge

    answers = {"thumbnail": found.truth.labels}
    again = judge(
        found.labels,
        Answers(found.truth, found.predictions),
        leaked=found.leaked_ids,
        settings=found.settings,
        floors=answers,
    )
    return again.floors[0]


def test_one_class_alone_has_no_curves(make_cases) -> None:
    cases = make_cases(0, 10)
    assert curves_chart(cases, "x") is not None
    assert curves_chart(dataclasses.replace(cases, truth=np.zeros(10, np.int64)), "x") is None


def test_nothing_wrong_is_said_too(judged) -> None:
    found = judged()
    right = tuple(
        dataclasses.replace(one, top=label, label=label, abstained=False, reason=None)
        for one, label in zip(found.predictions, found.truth.labels, strict=True)
    )
    assert (
        "Every picture was called right" in page(dataclasses.replace(found, predictions=right), 3).to_html()
    )

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from mri_tumor import plots
from mri_tumor.labels import NOTICE
from mri_tumor.page import Card, Page


class Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list) -> None:
        if tag not in {"meta", "img", "br", "wbr"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def page() -> Page:
    figure = plots.curves({"loss": [1.0, 0.5], "accuracy": [0.2, 0.9]}, best_epoch=1)
    made = Page("A <trial> & more").heading("Curves").figure(figure, 'loss "by" epoch')
    made = made.cards([Card("50 %", "of <all>", "note", bad=True)]).figures([(figure, "twice")] * 2)
    made.subheading("more").quiet("small").warn("look <here>").pictures(
        [(b"jpeg", "a/b_<c>", ["line"]), (None, "d", [])]
    )
    return made.table(["part", "accuracy"], [["all", 0.81234], ["clean", None]]).facts({"n": 3}).text("<b>")


def test_the_page_is_well_formed_and_self_contained() -> None:
    text = page().to_html()
    tags = Tags()
    tags.feed(text)
    assert tags.open == []
    assert not re.search(r'(?:src|href)="(?!data:)', text)
    picture = re.search(r"base64,([^\"]+)", text)
    assert picture is not None
    assert base64.b64decode(picture.group(1)).startswith(b"\x89PNG")


def test_texts_are_escaped_and_numbers_rounded() -> None:
    text = page().to_html()
    assert "A &lt;trial&gt; &amp; more" in text
    assert "<p>&lt;b&gt;</p>" in text
    assert '<div class="card bad"><b>50 %</b>of &lt;all&gt;<small>note</small></div>' in text
    assert '<p class="notice">look &lt;here&gt;</p>' in text
    assert "line<br>a/<wbr>b_<wbr>&lt;c&gt;</figcaption>" in text
    assert text.count("<figure>") == 5
    assert "no picture" in text
    assert "<td>0.812</td>" in text
    assert "<td>&ndash;</td>" in text


def test_every_page_says_that_it_is_no_medical_device() -> None:
    assert NOTICE in Page("x").to_html()


def test_a_page_is_whole_or_not_there(tmp_path: Path) -> None:
    path = page().save(tmp_path / "new" / "report.html")
    assert path.read_text(encoding="utf-8") == page().to_html()
    with pytest.raises(OSError, match="missing"):
        Page("x").figure(tmp_path / "missing.png", "none")
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]

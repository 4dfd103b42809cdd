"""Text of others stays text: no markup, no further cell, no further line."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mri_tumor.models.describing.markdown import UNKNOWN, choices, part, plain, said, table

MARKUP = re.compile(r"(?<!\\)(?:\\\\)*[`*_\[\]<>|#~$&!{}]")


@given(st.text())
def test_no_markup_is_left_and_no_line_ends(text: str) -> None:
    escaped = plain(text)
    assert not MARKUP.search(escaped)
    assert len(escaped.splitlines()) <= 1
    assert re.sub(r"\\(.)", r"\1", escaped) == " ".join(text.split())


def test_a_text_fills_one_cell() -> None:
    rows = table(["class", "pictures"], [[plain("a | b\n| c |"), "3"]]).split("\n")
    assert [len(re.findall(r"(?<!\\)\|", row)) for row in rows] == [3, 3, 3]


def test_words_stand_to_the_left() -> None:
    assert table(["a", "b", "c"], [], words=2).split("\n")[1] == "| --- | --- | ---: |"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, UNKNOWN),
        (False, "no"),
        (3, "3"),
        (1e-5, "1e-05"),
        (1 / 3, "0.333333"),
        ("<b>", r"\<b\>"),
        ([], ""),
    ],
)
def test_values_as_text(value: object, text: str) -> None:
    assert said(value) == text


def test_choices_have_one_order_whatever_the_file_had() -> None:
    card = {"b": None, "a": {"d": 1, "c": True}}
    assert choices(card) == "`a.c` yes, `a.d` 1, `b` none"
    assert choices(dict(sorted(card.items()))) == choices(card)


@pytest.mark.parametrize("card", [None, 3, [], {"a": None}, {"a": [1]}, {"b": {}}])
def test_a_part_that_is_not_there_is_empty(card: object) -> None:
    assert part(card, "a", "b") == {}

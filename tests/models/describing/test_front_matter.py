"""Front matter is YAML whatever the texts hold: by a strict grammar of our own, and by a YAML parser."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mri_tumor.models.describing.front_matter import front_matter

LINE = re.compile(r'( *)(- )*([A-Za-z][A-Za-z_-]*:)?( ?("(\\.|[^"\\])*"|-?\d+(\.\d{4})?))?')
AWKWARD = [
    'a "quoted" \\ text: with # signs',
    "---\n...\n- no",
    "null",
    "2024-01-01",
    "1e-05",
    "\x00\x07\x7f\x85\u2028\ufeff",
    "Müller \U0001f9e0",
    "",
]

texts = st.text(st.characters(exclude_categories=["Cs"]))
scalars = st.one_of(texts, st.integers(-(10**9), 10**9))
names = st.from_regex(r"[a-z][a-z_-]{0,8}", fullmatch=True).filter(
    lambda name: name not in {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}
)
fields = st.dictionaries(
    names,
    st.recursive(
        scalars,
        lambda inner: st.one_of(
            st.lists(inner, min_size=1, max_size=3), st.dictionaries(names, inner, min_size=1, max_size=3)
        ),
        max_leaves=8,
    ),
    min_size=1,
    max_size=4,
)


@given(fields)
def test_every_line_has_the_form_it_should(fields: dict) -> None:
    first, *lines, last = front_matter(fields).split("\n")
    assert first == last == "---"
    for line in lines:
        assert LINE.fullmatch(line), line
        assert line.isprintable()


@given(fields)
def test_a_parser_reads_what_was_written(fields: dict) -> None:
    yaml = pytest.importorskip("yaml")
    assert yaml.safe_load(front_matter(fields)[:-4]) == fields


@pytest.mark.parametrize("text", AWKWARD)
def test_awkward_texts_stay_texts(text: str) -> None:
    yaml = pytest.importorskip("yaml")
    assert next(yaml.safe_load_all(front_matter({"a": [text]}))) == {"a": [text]}


@pytest.mark.parametrize("text", AWKWARD[:5])
def test_texts_are_as_json_has_them(text: str) -> None:
    assert front_matter({"a": text}) == f"---\na: {json.dumps(text)}\n---"


def test_fractions_have_four_decimals_and_no_exponent() -> None:
    assert front_matter({"a": 0.00001, "b": 1 / 3, "c": 3}) == "---\na: 0.0000\nb: 0.3333\nc: 3\n---"

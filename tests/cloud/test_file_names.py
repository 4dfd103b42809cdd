"""Names that may be written below a folder."""

from pathlib import PurePosixPath, PureWindowsPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mri_tumor.cloud.file_names import name_problem, parents_of, place_of, problems_of

ODD = st.text(st.sampled_from(list("ab./\\: \n~")), max_size=12)


@given(st.one_of(ODD, st.text(max_size=20)))
def test_a_name_without_problem_stays_inside_on_every_system(name: str) -> None:
    if name_problem(name) is not None:
        return
    for kind in (PurePosixPath, PureWindowsPath):
        path = kind(name)
        assert not path.is_absolute()
        assert not path.drive
        assert ".." not in path.parts
        assert path.as_posix() == name


@given(st.lists(st.text(st.sampled_from("abA/"), min_size=1, max_size=6), max_size=8))
def test_names_without_problem_have_places_of_their_own(names: list[str]) -> None:
    if problems_of(names):
        return
    places = [place_of(name) for name in names]
    assert len(set(places)) == len(names)
    assert not {parent for place in places for parent in parents_of(place)} & set(places)


@pytest.mark.parametrize("names", [["a", "b"], ["a/b", "a/c", "ab"], ["x.tar.gz"], ["ü/ö 1"], [".a"], []])
def test_ordinary_names(names: list[str]) -> None:
    assert problems_of(names) == []


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/a",
        "a/",
        "a//b",
        ".",
        "a/..",
        "NUL.txt",
        "a /b",
        "x" * 241,
        "a\x00",
        *(f"a{c}b" for c in '<>"|?*'),
    ],
)
def test_names_with_a_problem(name: str) -> None:
    assert name_problem(name)
    assert problems_of([name])[0].startswith(repr(name[:100]))

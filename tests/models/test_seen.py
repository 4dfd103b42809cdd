import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mri_tumor.errors import ManifestMismatch
from mri_tumor.models.seen import Known, Seen

NAMES = st.lists(st.text(min_size=1, max_size=8), unique=True, max_size=8).map(tuple)


def known(names, files=()):
    return Known(tuple(names), (None,) * len(names), tuple(files))


@given(NAMES, NAMES)
def test_ids_are_shared_exactly_when_both_hold_them(first, second):
    shared = Seen.of([known(first)]).shared(known(second))
    assert shared.pictures == tuple(name for name in second if name in first)
    assert bool(shared) == bool(set(first) & set(second))


def test_files_decide_where_both_sides_know_them():
    seen = Seen.of([known(["a", "b"], ["f1", "f2"])])
    assert seen.shared(known(["a", "x"], ["f9", "f2"])).pictures == ("x",)
    assert seen.shared(known(["a", "x"])).pictures == ("a",)


def test_parts_are_joined_and_unknown_files_of_one_make_ids_decide():
    seen = Seen.of([known(["a"], ["f1"]), known(["b"])])
    assert seen.shared(known(["b", "c"], ["f1", "f3"])).pictures == ("b",)


def test_groups_that_are_unknown_are_not_shared():
    seen = Seen.of([Known(("a", "b"), (None, "p1"))])
    shared = seen.shared(Known(("c", "d", "e"), (None, "p1", "p2")))
    assert (shared.pictures, shared.groups) == ((), ("p1",))
    assert str(shared) == "1 groups (p1)"


def test_a_file_keeps_hashes_and_no_names(tmp_path):
    seen = Seen.of([Known(("patient-7/1.png",), ("patient-7",), ("f1",))])
    seen.save(tmp_path / "seen.json")
    assert "patient" not in (tmp_path / "seen.json").read_text()
    assert Seen.load(tmp_path / "seen.json") == seen


@pytest.mark.parametrize("text", ["", "[]", "{}", json.dumps({"ids": 1, "groups": [], "files": []}), "\xff"])
def test_what_is_no_such_file(tmp_path, text):
    (tmp_path / "seen.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(ManifestMismatch, match=r"seen\.json cannot be used"):
        Seen.load(tmp_path / "seen.json")

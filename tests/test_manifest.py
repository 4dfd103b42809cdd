"""The card of every artefact: it loads for ever, and nothing else passes for it."""

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mri_tumor.errors import ManifestMismatch
from mri_tumor.manifest import FILE_NAME, SCHEMA, Manifest, versions

FIXTURE = Path(__file__).parent / "fixtures" / "manifest_schema_1"


def card(**changes: Any) -> dict[str, Any]:
    return {**Manifest("shards", {"data": {"labels": ["a", "b"], "count": 3}}).to_dict(), **changes}


def test_the_fixture_of_schema_1_loads_for_ever() -> None:
    manifest = Manifest.load(FIXTURE, kind="shards")
    assert manifest.digest == "0aeb948e761258058f85a74002c4e8c91ed11952effbc182e35665e4f1e31da7"
    assert manifest.schema == "1.0"
    assert manifest.versions["tensorflow"] == "2.18.0"
    assert manifest.sections["data"]["labels"] == ["glioma", "meningioma", "none", "pituitary"]
    assert manifest.sections["skipped"][0]["id"] == "Training/glioma_tumor/Müller (1).jpg"


def test_writing_the_fixture_again_gives_its_bytes(tmp_path: Path) -> None:
    Manifest.load(FIXTURE, kind="shards").save(tmp_path)
    assert (tmp_path / FILE_NAME).read_bytes() == (FIXTURE / FILE_NAME).read_bytes()


@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), st.integers() | st.floats(-9, 9)))
def test_round_trip(section: dict[str, float]) -> None:
    manifest = Manifest("run", {"training": section})
    again = Manifest.from_json(manifest.to_json())
    assert again == manifest
    assert again.digest == manifest.digest


def test_versions_are_recorded_and_do_not_count() -> None:
    assert {"tensorflow", "keras", "numpy"} <= versions().keys()
    assert card()["versions"] == versions()
    other = Manifest("shards", card()["sections"], versions={"tensorflow": "99"})
    assert other.digest == card()["digest"]


@pytest.mark.parametrize("change", ["kind", "section", "digest"])
def test_an_altered_card(change: str) -> None:
    altered = copy.deepcopy(card())
    if change == "section":
        altered["sections"]["data"]["count"] = 4
    else:
        altered[change] = "run"
    with pytest.raises(ManifestMismatch, match=r"names digest .* but its content has.*nobody altered"):
        Manifest.from_dict(altered)


def test_a_newer_major_schema_is_refused_and_a_newer_minor_is_read() -> None:
    with pytest.raises(ManifestMismatch, match=f"schema 2.0. Expected: schema {SCHEMA} or older.*upgrade"):
        Manifest.from_dict(card(schema="2.0"))
    assert Manifest.from_dict(card(schema="1.9")).schema == "1.9"


@pytest.mark.parametrize("schema", ["", "x", "-1.0", "²", "9" * 5000])
def test_a_schema_that_is_no_number(schema: str) -> None:
    with pytest.raises(ManifestMismatch, match="has schema"):
        Manifest.from_dict(card(schema=schema))


@pytest.mark.parametrize(
    "wrong",
    [
        None,
        [],
        "text",
        {},
        {key: value for key, value in card().items() if key != "sections"},
        card(sections=[]),
        card(versions="1"),
        card(schema=1),
        card(kind=None),
        card(digest=None),
    ],
)
def test_what_is_no_manifest(wrong: Any) -> None:
    with pytest.raises(ManifestMismatch, match=r"box/x is not a manifest of this library.*digest, kind"):
        Manifest.from_dict(wrong, source="box/x")


@pytest.mark.parametrize(
    "text", ["", "{", "no", b"\xff\xfe\x00", '{"a": NaN}', "[" * 100_000, json.dumps(card())[:-2]]
)
def test_what_is_not_json(text: str | bytes) -> None:
    with pytest.raises(ManifestMismatch, match=r"box/x is not JSON"):
        Manifest.from_json(text, source="box/x")


def test_pictures_in_place_of_shards(tmp_path: Path) -> None:
    with pytest.raises(ManifestMismatch, match=r"dataset\.scan\(folder\)"):
        Manifest.load(tmp_path, kind="shards")


def test_loading_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(ManifestMismatch, match=r"manifest\.json cannot be read.*kind 'model'"):
        Manifest.load(tmp_path, kind="model")
    with pytest.raises(
        ManifestMismatch, match=r"manifest\.json is of kind 'shards'\. Expected: kind 'model'"
    ):
        Manifest.load(FIXTURE, kind="model")
    (tmp_path / FILE_NAME).write_text("{")
    with pytest.raises(ManifestMismatch, match=r"manifest\.json is not JSON"):
        Manifest.load(tmp_path, kind="model")

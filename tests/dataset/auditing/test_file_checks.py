"""What is odd about single files: each kind once, its limits, and none where nothing is."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mri_tumor.dataset.auditing.file_checks import HUGE, KINDS, TINY, odd, unread
from mri_tumor.dataset.auditing.traits import Traits
from mri_tumor.dataset.reader import read_image
from mri_tumor.errors import ReadError

USUAL = Traits(256, 256, 9000, "JPEG", (0.1, 0.1, 0.1, 0.1), (0.0, 1.0), (60.0, 50.0, 220.0), 0.0)


def kinds(traits: Traits, name: str = "a.jpg") -> list[str]:
    found = list(odd(name, "train", Path(name), traits))
    assert all(finding.found and finding.fix and finding.fix in finding.reason for finding in found)
    assert {finding.kind for finding in found} <= set(KINDS)
    return [finding.kind for finding in found]


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, []),
        ({"width": TINY, "height": TINY}, []),
        ({"width": TINY - 1}, ["tiny"]),
        ({"height": HUGE}, []),
        ({"height": HUGE + 1}, ["huge"]),
        ({"width": 10, "height": HUGE + 1}, ["tiny", "huge"]),
        ({"colour": 0.01}, ["coloured"]),
        ({"brightness": (7.0, 0.5, 7.0)}, ["blank"]),
    ],
)
def test_each_kind_and_its_limit(changed: dict[str, object], expected: list[str]) -> None:
    assert kinds(replace(USUAL, **changed)) == expected


@pytest.mark.parametrize(
    ("name", "form", "expected"),
    [
        ("a.JPG", "JPEG", []),
        ("a.jfif", "JPEG", []),
        ("a.jpg", "PNG", ["mistyped"]),
        ("a.tif", "TIFF", []),
        ("a.dcm", "PNG", ["mistyped"]),
        ("a", "PNG", []),
        ("a.1234", "JPEG", []),
        ("a.gif", "PNG", ["mistyped"]),
        ("a.nii.gz", "JPEG", ["mistyped"]),
        ("a.png", "", []),
    ],
)
def test_mistyped(name: str, form: str, expected: list[str]) -> None:
    assert kinds(replace(USUAL, format=form), name) == expected


def test_the_name_to_give_is_said() -> None:
    (found,) = odd("x/a.jpg", "test", Path("a.jpg"), replace(USUAL, format="PNG"))
    assert (found.id, found.side) == ("x/a.jpg", "test")
    assert "its name says JPEG, its bytes are PNG" in found.reason
    assert "rename it to .png" in found.reason


def test_empty_is_told_from_unreadable(tmp_path: Path) -> None:
    error = ReadError("a.png: the file is odd", "a picture", "fetch it again")
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("x")
    found: Callable[[str], str] = lambda name: unread(name, "train", tmp_path / name, error).kind  # noqa: E731
    assert [found("empty.png"), found("text.png"), found("gone.png")] == ["empty", "unreadable", "unreadable"]
    named = ReadError(f"{tmp_path / 'text.png'}: the file is odd", "a picture", "fetch it again")
    text = unread("a/text.png", "train", tmp_path / "text.png", named)
    assert text.reason == "a/text.png: the file is odd. To do: fetch it again"


@pytest.mark.parametrize(
    "found",
    [
        "{path}: the file is odd",
        "{path!r}: the file is odd",
        "the file is odd: {path!r}",
        "{path!r}: the file is odd: {path!r}",
    ],
)
def test_a_finding_does_not_tell_where_the_file_lies(tmp_path: Path, found: str) -> None:
    path = tmp_path / "it's.png"
    error = ReadError(found.format(path=str(path)), "a picture", "fetch it again")
    assert unread("a/it's.png", "train", path, error).found == "the file is odd"


def test_a_file_that_may_not_be_read_does_not_tell_it_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"x")

    def refuse(self: Path, *_: object) -> None:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ReadError) as caught:
        read_image(path)
    assert str(tmp_path) in caught.value.found
    found = unread("a.png", "train", path, caught.value).found
    assert "Permission denied" in found
    assert str(tmp_path) not in found

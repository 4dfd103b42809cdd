"""Keys that would lead out of the folder, or onto each other: refused, and nothing is written."""

from pathlib import Path

import pytest
from s3_servers import Bucket

from mri_tumor import cloud
from mri_tumor.errors import CloudError, MriTumorError
from mri_tumor.files import locked


@pytest.mark.parametrize(
    ("keys", "match"),
    [
        (["x/../../escaped"], "not normalised"),
        (["x/a/../../../escaped"], "not normalised"),
        (["x/./a"], "not normalised"),
        (["x//absolute"], "absolute"),
        (["x/a//b"], "not normalised"),
        (["x/C:/windows"], "Windows name"),
        (["x/..\\escaped"], "Windows name"),
        (["x/con"], "Windows keeps"),
        (["x/a."], "Windows keeps"),
        (["x/a\u202eb"], "control characters"),
        (["x/" + "n" * 300], "too long"),
        (["x/a", "x/a/b"], "'a' is also a folder"),
        (["x/a/b", "x/A"], "'A' is also a folder"),
        (["x/a", "x/A"], "cannot be told from another"),
        (["x/\u00e9", "x/e\u0301"], "cannot be told from another"),
        (["x/a/"], "not normalised"),
    ],
)
def test_keys_that_are_no_names(moto_s3: Bucket, tmp_path: Path, keys: list[str], match: str) -> None:
    for key in [*keys, "x/good"]:
        moto_s3.put(key, b"1")
    before = set(tmp_path.parent.rglob("*"))
    with pytest.raises(CloudError, match=f"(?s)cannot be fetched.*{match}"):
        cloud.download(moto_s3.address("x"), tmp_path / "deep" / "copy")
    assert set(tmp_path.parent.rglob("*")) == before


def test_folders_as_consoles_make_them_are_no_files(moto_s3: Bucket, tmp_path: Path) -> None:
    for key, body in {"x/": b"", "x/a/": b"", "x/a/b": b"1"}.items():
        moto_s3.put(key, body)
    assert cloud.download(moto_s3.address("x"), tmp_path / "copy").files == ("a/b",)


def test_a_prefix_is_a_folder_and_not_the_beginning_of_a_name(moto_s3: Bucket, tmp_path: Path) -> None:
    moto_s3.put("train/a", b"1")
    moto_s3.put("train2/b", b"2")
    assert cloud.download(moto_s3.address("train"), tmp_path / "copy").files == ("a",)


def test_one_download_a_place(moto_s3: Bucket, tmp_path: Path) -> None:
    moto_s3.put("x/a", b"1")
    with (
        locked(tmp_path / ".download-copy", tmp_path / "copy"),
        pytest.raises(MriTumorError, match="another process"),
    ):
        cloud.download(moto_s3.address("x"), tmp_path / "copy")


def test_a_link_in_the_place_of_a_file_is_not_followed(moto_s3: Bucket, tmp_path: Path) -> None:
    moto_s3.put("x/a", b"new")
    outside = tmp_path / "outside"
    outside.write_bytes(b"old")
    left = tmp_path / ".download-copy"
    left.mkdir()
    (left / "a").symlink_to(outside)
    (left / "b").symlink_to(tmp_path)
    cloud.download(moto_s3.address("x"), tmp_path / "copy")
    assert outside.read_bytes() == b"old"
    assert not (tmp_path / "copy" / "a").is_symlink()
    assert [path.name for path in (tmp_path / "copy").iterdir()] == ["a"]


def test_a_relative_folder(moto_s3: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    moto_s3.put("x/a", b"new")
    monkeypatch.chdir(tmp_path)
    assert cloud.download(moto_s3.address("x"), "copy").path == tmp_path / "copy"
    assert (tmp_path / "copy" / "a").read_bytes() == b"new"

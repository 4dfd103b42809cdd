"""Storage against a real S3 server: what arrives is what was sent, and nothing half is taken for whole."""

import hashlib
import json
import logging
import os
import random
import resource
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from s3_servers import Bucket, Fault, Proxy, session

from mri_tumor import cloud, dataset
from mri_tumor.cloud.aws.s3 import fetching
from mri_tumor.cloud.file_names import problems_of
from mri_tumor.errors import ArgumentError, CloudError, DownloadError, ManifestMismatch, ShardError
from mri_tumor.manifest import Manifest

LARGE = 40 * 2**20  # three parts


def content(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


def read(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


def write_shards(folder: Path, seed: int = 0, shards: int = 3) -> Path:
    """Write files with a manifest as shards have one; nobody looks into them here."""
    names = [f"part-{place:05d}-of-{shards:05d}.tfrecord" for place in range(shards)]
    files = {name: content(seed + place, 3000 + place) for place, name in enumerate(names)}
    cards = [
        {"name": name, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "records": 1}
        for name, data in files.items()
    ]
    write(folder, files)
    Manifest("shards", {"shards": cards}).save(folder)
    return folder


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return write(tmp_path / "tree", {"a.bin": content(1, 5000), "b/ü 1.txt": b"two", "b/c/empty": b""})


def test_a_folder_there_and_back(rclone: Bucket, tree: Path, tmp_path: Path) -> None:
    sent = cloud.upload(tree, rclone.address("some/where"))
    assert sorted(rclone.keys()) == ["some/where/a.bin", "some/where/b/c/empty", "some/where/b/ü 1.txt"]
    assert (sent.files, sent.there, sent.bytes) == (("a.bin", "b/c/empty", "b/ü 1.txt"), (), 5003)
    assert sent.address == rclone.address("some/where")
    assert sent.summary().startswith(f"sent 3 files (5.0 kB) to {sent.address} in ")
    got = cloud.download(sent.address, tmp_path / "copies" / "tree")
    assert read(tmp_path / "copies" / "tree") == read(tree)
    assert (sorted(got.files), got.there, got.bytes) == (list(sent.files), (), 5003)
    assert [path.name for path in (tmp_path / "copies").iterdir()] == ["tree"]


def test_what_is_there_is_not_moved_again(rclone: Bucket, proxy: Proxy, tree: Path, tmp_path: Path) -> None:
    cloud.upload(tree, rclone.address("x"))
    cloud.download(rclone.address("x"), tmp_path / "copy")
    proxy.seen.clear()
    (tree / "a.bin").touch()
    again = cloud.upload(tree, rclone.address("x"))
    assert (again.files, len(again.there), again.bytes) == ((), 3, 0)
    assert "3 were there already" in again.summary()
    back = cloud.download(rclone.address("x"), tmp_path / "copy")
    assert (back.files, len(back.there)) == ((), 3)
    assert not proxy.writes
    assert all("?" in path for method, path in proxy.seen if method == "GET")  # lists only


def test_what_is_missing_is_sent(rclone: Bucket, tree: Path) -> None:
    cloud.upload(tree, rclone.address("x"))
    rclone.client.delete_object(Bucket=rclone.name, Key="x/a.bin")
    assert cloud.upload(tree, rclone.address("x")).files == ("a.bin",)


def test_a_large_file_goes_in_parts(rclone: Bucket, proxy: Proxy, tmp_path: Path) -> None:
    write(tmp_path / "tree", {"large": content(3, LARGE)})
    cloud.upload(tmp_path / "tree", rclone.address("x"), threads=3)
    assert sum("partNumber" in path for _, path in proxy.seen) == 3
    proxy.seen.clear()
    cloud.download(rclone.address("x"), tmp_path / "copy", threads=3)
    assert sum(method == "GET" and path.endswith("x/large") for method, path in proxy.seen) == 3
    assert read(tmp_path / "copy") == read(tmp_path / "tree")
    assert cloud.upload(tmp_path / "tree", rclone.address("x")).there == ("large",)


@pytest.mark.parametrize("place", ["models", "models/model.tar.gz"])
def test_one_file(rclone: Bucket, tmp_path: Path, place: str) -> None:
    write(tmp_path, {"model.tar.gz": b"model"})
    sent = cloud.upload(tmp_path / "model.tar.gz", rclone.address(place))
    assert rclone.keys() == ["models/model.tar.gz"]
    assert sent.address == rclone.address("models/model.tar.gz")
    assert cloud.upload(str(tmp_path / "model.tar.gz"), rclone.address(place)).there == ("model.tar.gz",)
    write(tmp_path / "down", {"other": b"stays"})
    got = cloud.download(sent.address, tmp_path / "down")
    assert got.path == tmp_path / "down" / "model.tar.gz"
    assert cloud.download(sent.address, tmp_path / "down").there == ("model.tar.gz",)
    assert read(tmp_path / "down") == {"other": b"stays", "model.tar.gz": b"model"}
    (tmp_path / "down" / "model.tar.gz").write_bytes(b"mine!")
    with pytest.raises(
        ArgumentError, match=r"model\.tar\.gz is there and is not s3:.*nothing is overwritten"
    ):
        cloud.download(sent.address, tmp_path / "down")
    assert (tmp_path / "down" / "model.tar.gz").read_bytes() == b"mine!"


def test_a_whole_bucket(rclone: Bucket, tree: Path, tmp_path: Path) -> None:
    cloud.upload(tree, f"s3://{rclone.name}")
    cloud.download(f"s3://{rclone.name}/", tmp_path / "copy")
    assert read(tmp_path / "copy") == read(tree)


def test_a_dry_run_only_looks(rclone: Bucket, proxy: Proxy, tree: Path, tmp_path: Path) -> None:
    rclone.put("x/b/c/empty", b"")
    would = cloud.upload(tree, rclone.address("x"), dry_run=True)
    assert would.summary() == f"would send 2 files (5.0 kB) to {rclone.address('x')}; 1 was there already"
    assert not proxy.writes
    cloud.upload(tree, rclone.address("x"))
    would = cloud.download(rclone.address("x"), tmp_path / "copy", dry_run=True)
    assert would.summary() == f"would fetch 3 files (5.0 kB) to {tmp_path / 'copy'}"
    assert not (tmp_path / "copy").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["tree"]


def test_hidden_files_stay_here(rclone: Bucket, tree: Path, caplog: pytest.LogCaptureFixture) -> None:
    write(tree, {".partial-a/new/x": b"1", "b/.partial-zz.bin": b"2", ".DS_Store": b"3"})
    with caplog.at_level(logging.INFO):
        assert len(cloud.upload(tree, rclone.address("x")).files) == 3
    assert f"3 hidden files or folders of {tree} are not sent" in caplog.text


@pytest.mark.parametrize("kind", ["link", "folder link", "fifo"])
def test_only_regular_files_are_sent(rclone: Bucket, tree: Path, kind: str) -> None:
    place = tree / "b" / "odd"
    {"link": lambda: place.symlink_to(tree / "a.bin"), "folder link": lambda: place.symlink_to(tree)}.get(
        kind, lambda: os.mkfifo(place)
    )()
    with pytest.raises(ArgumentError, match="odd is a link, or no regular file"):
        cloud.upload(tree, rclone.address("x"))
    assert rclone.keys() == []


def test_names_that_no_other_system_can_write_are_not_sent(rclone: Bucket, tree: Path) -> None:
    write(tree, {"A.BIN": b"1", "con.txt": b"2"})
    with pytest.raises(ArgumentError, match=r"(?s)'a.bin' cannot be told.*'con.txt' has a name that Windows"):
        cloud.upload(tree, rclone.address("x"))


def test_more_objects_than_a_page_holds(rclone: Bucket, tmp_path: Path) -> None:
    for number in range(1005):
        rclone.put_here(f"x/{number:04d}", str(number).encode())
    would = cloud.download(rclone.address("x"), tmp_path / "copy", dry_run=True, threads=16)
    assert would.files == tuple(f"{number:04d}" for number in range(1005))


@pytest.mark.slow
def test_many_small_files_there_and_back(rclone: Bucket, tmp_path: Path) -> None:
    write(tmp_path / "tree", {f"{number:04d}": str(number).encode() for number in range(1005)})
    assert len(cloud.upload(tmp_path / "tree", rclone.address("x"), threads=16).files) == 1005
    assert len(cloud.upload(tmp_path / "tree", rclone.address("x"), threads=16).there) == 1005
    assert len(cloud.download(rclone.address("x"), tmp_path / "copy", threads=16).files) == 1005
    assert read(tmp_path / "copy") == read(tmp_path / "tree")


LETTERS = st.characters(categories=["L", "N", "P", "S"], exclude_characters="/\\:", include_characters=" ")
NAMES = st.lists(st.text(LETTERS, min_size=1, max_size=8), min_size=1, max_size=3).map("/".join)
TREES = st.dictionaries(NAMES, st.binary(max_size=40), min_size=1, max_size=5).filter(
    lambda files: not problems_of(files) and not any(f"/{name}".count("/.") for name in files)
)


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(files=TREES)
def test_any_tree_comes_back_as_it_was(rclone: Bucket, tmp_path: Path, files: dict[str, bytes]) -> None:
    for name in ("tree", "copy"):
        shutil.rmtree(tmp_path / name, ignore_errors=True)
    address = rclone.address(hashlib.sha256(repr(files).encode()).hexdigest())
    cloud.upload(write(tmp_path / "tree", files), address, session=session())
    cloud.download(address, tmp_path / "copy", session=session())
    assert read(tmp_path / "copy") == files


def test_shards_there_and_back(rclone: Bucket, proxy: Proxy, shards: dict[str, Path], tmp_path: Path) -> None:
    cloud.upload(shards["train"], rclone.address("train"))
    moves = [path.rpartition("/")[2] for method, path in proxy.seen if method in ("PUT", "HEAD")]
    assert moves[-1] == "manifest.json"
    assert "part-00000-of-00001.tfrecord" in moves[:-1]
    cloud.download(rclone.address("train"), tmp_path / "train")
    assert dataset.verify_tfrecords(tmp_path / "train") == dataset.verify_tfrecords(shards["train"])


def test_a_manifest_is_sent_and_fetched_last(rclone: Bucket, proxy: Proxy, tmp_path: Path) -> None:
    write_shards(tmp_path / "all" / "train")
    write_shards(tmp_path / "all" / "zz", seed=9)
    cloud.upload(tmp_path / "all", rclone.address("x"))
    puts = [path.partition("/x/")[2] for method, path in proxy.seen if method == "PUT"]
    assert {"train/manifest.json", "zz/manifest.json"} == set(puts[-2:])
    heads = [path for method, path in proxy.seen if method == "HEAD"]
    assert sum(path.endswith(".tfrecord") for path in heads) == 6  # each is asked for after it was sent
    proxy.seen.clear()
    cloud.download(rclone.address("x"), tmp_path / "copy")
    gets = [path.partition("/x/")[2] for method, path in proxy.seen if method == "GET"]
    assert {"train/manifest.json", "zz/manifest.json"} == set(gets[-2:])
    assert read(tmp_path / "copy") == read(tmp_path / "all")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda folder: (folder / "part-00001-of-00003.tfrecord").unlink(), "shard .*00001.* is missing"),
        (lambda folder: (folder / "part-00001-of-00003.tfrecord").write_bytes(content(8, 3001)), "SHA-256"),
        (lambda folder: (folder / "part-00001-of-00003.tfrecord").write_bytes(b"0"), "has 1 bytes"),
        (lambda folder: (folder / "part-00003-of-00004.tfrecord").write_bytes(b"0"), "not in the manifest"),
        (lambda folder: [path.unlink() for path in folder.glob("part*")], "is missing"),
    ],
)
def test_damaged_shards_are_not_sent(
    rclone: Bucket, tmp_path: Path, change: Callable[[Path], object], match: str
) -> None:
    folder = write_shards(tmp_path / "train")
    change(folder)
    with pytest.raises(ShardError, match=match):
        cloud.upload(folder, rclone.address("train"))
    assert rclone.keys() == []


def test_a_damaged_manifest(rclone: Bucket, tmp_path: Path) -> None:
    folder = write_shards(tmp_path / "train")
    card = json.loads((folder / "manifest.json").read_bytes())
    (folder / "manifest.json").write_text(json.dumps(card | {"digest": "0"}))
    with pytest.raises(ManifestMismatch, match="digest"):
        cloud.upload(folder, rclone.address("train"))
    for section in (
        {},
        {"shards": 3},
        {"shards": [3]},
        {"shards": [{"name": "a", "bytes": "x", "sha256": ""}]},
    ):
        Manifest("shards", section).save(folder)
        with pytest.raises(ManifestMismatch, match="lacks what shards need"):
            cloud.upload(folder, rclone.address("train"))
    other = write(tmp_path / "site", {"manifest.json": b"{}", "index.html": b"<p>"})
    assert len(cloud.upload(other, rclone.address("site")).files) == 2


def test_a_shard_that_changes_in_s3_meanwhile_is_found(rclone: Bucket, proxy: Proxy, tmp_path: Path) -> None:
    folder = write_shards(tmp_path / "train")
    first = "train/part-00000-of-00003.tfrecord"
    rclone.put(first, (folder / "part-00000-of-00003.tfrecord").read_bytes())

    def spoil() -> None:
        rclone.put(first, content(7, 3000))

    proxy.faults.append(Fault("call", "PUT", "part-00002", action=spoil))
    with pytest.raises(ShardError, match=r"part-00000-of-00003.tfrecord is not there, or not as .* was sent"):
        cloud.upload(folder, rclone.address("train"))
    sent = rclone.keys()
    assert "train/manifest.json" not in sent


def test_a_folder_that_cannot_be_read_is_not_passed_over(
    rclone: Bucket, tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.scandir

    def scandir(path: str) -> object:
        if str(path).endswith("b"):
            raise PermissionError(13, "Permission denied", path)
        return real(path)

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(DownloadError, match=r"tree/b cannot be read or written \(Permission denied\)"):
        cloud.upload(tree, rclone.address("x"))
    assert rclone.keys() == []


def test_a_stale_shard_is_refused_and_nothing_is_overwritten(rclone: Bucket, tmp_path: Path) -> None:
    old, new = write_shards(tmp_path / "old", shards=4), write_shards(tmp_path / "new", shards=3)
    cloud.upload(old, rclone.address("train"))
    before = rclone.keys()
    with pytest.raises(CloudError) as caught:
        cloud.upload(new, rclone.address("train"))
    assert "train/part-00003-of-00004.tfrecord is in S3 only" in str(caught.value)
    assert "train/manifest.json differs from" in str(caught.value)
    assert "choose another address" in caught.value.fix
    assert rclone.keys() == before
    # Beside shards, other things may lie; and so they may among files that are no shards.
    cloud.upload(new, rclone.address("train2"))
    cloud.upload(write(tmp_path / "notes", {"notes.txt": b"1"}), rclone.address("train2/notes"))
    cloud.upload(write(tmp_path / "notes", {"more.txt": b"2"}), rclone.address("train2/notes"))


def test_a_manifest_too_large_for_one_is_not_read(
    rclone: Bucket, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.upload(write_shards(tmp_path / "train"), rclone.address("train"))
    proxy.seen.clear()
    monkeypatch.setattr(fetching, "_LARGEST_MANIFEST", 100)
    with pytest.raises(ManifestMismatch, match=r"train/manifest.json has .*at most 100 bytes"):
        cloud.download(rclone.address("train"), tmp_path / "copy")
    assert not any(method == "GET" and "manifest" in path for method, path in proxy.seen)


def test_other_content_is_not_overwritten(rclone: Bucket, tree: Path) -> None:
    rclone.put("x/a.bin", content(2, 5000))
    with pytest.raises(
        CloudError, match=r"(?s)holds other things.*x/a.bin differs from .*nothing is overwritten"
    ):
        cloud.upload(tree, rclone.address("x"))
    assert rclone.keys() == ["x/a.bin"]


def test_half_a_folder_of_shards_is_not_fetched(rclone: Bucket, tmp_path: Path) -> None:
    cloud.upload(write_shards(tmp_path / "train"), rclone.address("train"))
    rclone.client.delete_object(Bucket=rclone.name, Key="train/part-00001-of-00003.tfrecord")
    with pytest.raises(ShardError, match=r"part-00001-of-00003.tfrecord is missing.*send the folder again"):
        cloud.download(rclone.address("train"), tmp_path / "copy")
    cloud.upload(tmp_path / "train", rclone.address("train"))
    rclone.put("train/part-00003-of-00004.tfrecord", b"stale")
    with pytest.raises(ShardError, match="not in the manifest"):
        cloud.download(rclone.address("train"), tmp_path / "copy")
    assert [path.name for path in tmp_path.iterdir()] == ["train"]


def test_a_shard_that_rotted_in_s3_is_found(rclone: Bucket, tmp_path: Path) -> None:
    cloud.upload(write_shards(tmp_path / "train"), rclone.address("train"))
    name = "part-00001-of-00003.tfrecord"
    data = bytearray((tmp_path / "train" / name).read_bytes())
    data[7] ^= 1
    sha256 = hashlib.sha256((tmp_path / "train" / name).read_bytes()).hexdigest()
    rclone.put(f"train/{name}", bytes(data), Metadata={"sha256": sha256})
    with pytest.raises(DownloadError, match=rf"{name} came with other content.*with sha256"):
        cloud.download(rclone.address("train"), tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
    rclone.client.delete_object(Bucket=rclone.name, Key=f"train/{name}")
    cloud.upload(tmp_path / "train", rclone.address("train"))
    again = cloud.download(rclone.address("train"), tmp_path / "copy")
    assert name in again.files
    assert read(tmp_path / "copy") == read(tmp_path / "train")


def test_something_else_in_the_place_stays(rclone: Bucket, tree: Path, tmp_path: Path) -> None:
    cloud.upload(tree, rclone.address("x"))
    write(tmp_path / "copy", {"mine.txt": b"1"})
    with pytest.raises(ArgumentError, match="copy is there and is not s3://"):
        cloud.download(rclone.address("x"), tmp_path / "copy")
    with pytest.raises(ArgumentError, match=r"mine.txt is there and is not s3://"):
        cloud.download(rclone.address("x"), tmp_path / "copy" / "mine.txt")
    assert read(tmp_path / "copy") == {"mine.txt": b"1"}
    (tmp_path / "empty").mkdir()
    cloud.download(rclone.address("x"), tmp_path / "empty")
    assert read(tmp_path / "empty") == read(tree)


def test_what_a_killed_call_left_is_taken_up(rclone: Bucket, tree: Path, tmp_path: Path) -> None:
    cloud.upload(tree, rclone.address("x"))
    left = write(tmp_path / ".download-copy", {"a.bin": content(1, 5000), "a.bin.1fA": b"12", "old/y": b""})
    write(left, {"b/ü 1.txt": b"tw"})
    got = cloud.download(rclone.address("x"), tmp_path / "copy")
    assert (sorted(got.files), got.there) == (["b/c/empty", "b/ü 1.txt"], ("a.bin",))
    assert read(tmp_path / "copy") == read(tree)
    assert not left.exists()


def test_a_full_disk_loses_nothing(rclone: Bucket, proxy: Proxy, tmp_path: Path) -> None:
    write(tmp_path / "tree", {"1": content(1, 5000), "2": content(2, 200_000), "3": content(3, 5000)})
    cloud.upload(tmp_path / "tree", rclone.address("x"))
    proxy.faults.append(Fault("call", "GET", "x/2", action=lambda: time.sleep(1)))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    # The limit on a file's size makes write() itself fail, as a full disk does.
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(DownloadError, match=r"/2.* cannot be read or written.*make room.*goes on"):
            cloud.download(rclone.address("x"), tmp_path / "copy")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not (tmp_path / "copy").exists()
    got = cloud.download(rclone.address("x"), tmp_path / "copy")
    assert got.there == ("1", "3")
    assert read(tmp_path / "copy") == read(tmp_path / "tree")


def test_a_disk_that_is_too_small_is_said_first(
    rclone: Bucket, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cloud.upload(tree, rclone.address("x"))
    real = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: real._replace(free=4000))
    with pytest.raises(DownloadError, match=r"room for 4.0 kB. Expected: room for 5.0 kB. To do: make room"):
        cloud.download(rclone.address("x"), tmp_path / "copy")


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"source": "nowhere"}, "there is no nowhere"),
        ({"source": 3}, "source is a int"),
        ({"address": "bucket/x"}, "no address in S3"),
        ({"threads": 0}, "threads is 0"),
        ({"threads": 33}, "threads is 33"),
        ({"threads": True}, "threads is True"),
        ({"kms_key": ""}, "kms_key is ''"),
        ({"tags": {"a": "b?"}}, "the tag 'a' is 'b\\?'"),
        ({"tags": {"": "b"}}, "the tag ''"),
        ({"tags": {"aws:x": "b"}}, "the tag 'aws:x'"),
        ({"tags": {"a": "b" * 257}}, "the tag 'a'"),
        ({"tags": {str(number): "x" for number in range(11)}}, "tags is"),
        ({"session": "profile"}, "session is a str"),
    ],
)
def test_wrong_arguments(rclone: Bucket, tree: Path, arguments: dict[str, object], match: str) -> None:
    given = {"source": tree, "address": rclone.address("x")} | arguments
    with pytest.raises(ArgumentError, match=match):
        cloud.upload(given.pop("source"), given.pop("address"), **given)  # type: ignore[arg-type]
    assert rclone.keys() == []


def test_an_empty_folder_is_not_sent(rclone: Bucket, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="holds no files"):
        cloud.upload(tmp_path, rclone.address("x"))
    with pytest.raises(CloudError, match="there is nothing at s3://") as caught:
        cloud.download(rclone.address("x"), tmp_path / "copy")
    assert caught.value.code == "NoSuchKey"


def test_no_such_bucket(rclone: Bucket, tree: Path, tmp_path: Path) -> None:
    with pytest.raises(CloudError, match="create it, or correct its name") as caught:
        cloud.upload(tree, "s3://another-bucket/x")
    assert caught.value.code == "NoSuchBucket"
    with pytest.raises(CloudError, match="create it"):
        cloud.download("s3://another-bucket/x", tmp_path / "copy")


def test_wrong_credentials(
    rclone: Bucket, tree: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")
    for call in (
        lambda: cloud.upload(tree, rclone.address("x")),
        lambda: cloud.download(rclone.address("x"), tmp_path / "copy"),
    ):
        with pytest.raises(CloudError, match="AWS_SECRET_ACCESS_KEY") as caught:
            call()
        assert caught.value.code == "SignatureDoesNotMatch"
    assert rclone.keys() == []

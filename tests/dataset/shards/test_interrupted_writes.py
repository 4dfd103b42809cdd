import errno
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from mri_tumor import files
from mri_tumor.dataset.catalog import Catalog, scan
from mri_tumor.dataset.preprocess import Preprocess
from mri_tumor.dataset.shards import writing
from mri_tumor.dataset.tfrecord import verify_tfrecords, write_tfrecords
from mri_tumor.errors import MriTumorError, ShardError

SMALL = Preprocess(size=16)
SCRIPT = Path(__file__).with_name("interrupted_writes.py")


def run(what: str, *arguments: Path) -> list | dict:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", SCRIPT, what, *arguments],
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def pictures(make_folder: Callable[..., Path]) -> Path:
    return make_folder(per_class=3)


@pytest.fixture
def catalog(pictures: Path) -> Catalog:
    return scan(pictures)


def test_a_killed_write_leaves_nothing_half_and_is_completed(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    found = run("kills", pictures, tmp_path / "out")
    assert sum(moment["killed"] for moment in found) == len(found) - 1  # the last moment never comes
    for moment in found:
        assert moment["between"] in ("nothing", "whole"), moment
        assert moment["whole"], moment
        assert moment["left"] == [], moment
    # Finished shards, of three pictures each, are not read again.
    read = {moment["moment"]: moment["read"] for moment in found}
    assert [read[f"_serialised-{call}"] for call in (0, 1, 4, 7, 11)] == [12, 12, 9, 6, 3]
    assert [read[f"_note-{call}"] for call in range(4)] == [12, 9, 6, 3]


def test_other_arguments_or_pictures_start_anew(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    assert run("mixes", pictures, tmp_path / "out") == {"gzip": 12, "changed": 12, "same": True}


def test_a_full_disk_is_named_and_nothing_is_left(pictures: Path, tmp_path: Path) -> None:
    # The limit on a file's size makes write() itself fail, wherever it happens to come.
    for found in run("limited", pictures, tmp_path / "out"):
        assert found["left"] == []
        for answer in found["answers"]:
            assert answer["error"] == "ShardError"
            assert str(tmp_path / "out" / "set") in answer["text"]
            assert "free some space" in answer["text"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=12k", "tmpfs", disk]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this user cannot mount a small disk")
    yield disk
    subprocess.run(["umount", disk], check=True)


def test_a_disk_that_fills_up(pictures: Path, small_disk: Path) -> None:
    found = run("filled", pictures, small_disk)
    assert found["answers"][0]["error"] == "ShardError"
    assert "No space left" in found["answers"][0]["text"]
    assert found["left"] == []


@pytest.mark.parametrize("old", [False, True])
def test_a_rename_that_fails(
    catalog: Catalog, tmp_path: Path, old: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "out" / "set"
    if old:
        write_tfrecords(catalog[:4], target, preprocess=SMALL)
    replace = Path.replace

    def fail(self: Path, other: Path) -> Path:
        if self.name == "new":
            raise OSError(errno.ENOSPC, "No space left on device")
        return replace(self, other)

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(ShardError, match=r"out/set cannot be written: No space left on device"):
        write_tfrecords(catalog, target, preprocess=SMALL)
    assert [path.name for path in target.parent.iterdir()] == (["set"] if old else [])
    if old:
        assert verify_tfrecords(target).sections["data"]["count"] == 4


def test_damaged_leftovers_are_written_again(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tfrecords(catalog, tmp_path / "expected", preprocess=SMALL, shards=3)
    with monkeypatch.context() as patch:
        # What a killed process leaves: nothing is tidied up behind it.
        patch.setattr(writing, "_numbered", lambda *_: 1 / 0)
        patch.setattr(files.shutil, "rmtree", lambda *_, **__: None)
        with pytest.raises(ZeroDivisionError):
            write_tfrecords(catalog, tmp_path / "set", preprocess=SMALL, shards=3)
    left = tmp_path / ".partial-set" / "new"
    damaged = left / "part-00001-of-00003.tfrecord"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    (left / ".partial-x.gz").write_bytes(b"half")
    (tmp_path / ".partial-set" / "notes" / "part-00002-of-00003.tfrecord.json").unlink()
    write_tfrecords(catalog, tmp_path / "set", preprocess=SMALL, shards=3)
    names = [path.name for path in sorted((tmp_path / "expected").iterdir())]
    assert [path.name for path in sorted((tmp_path / "set").iterdir())] == names
    assert all((tmp_path / "set" / n).read_bytes() == (tmp_path / "expected" / n).read_bytes() for n in names)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["expected", "pictures", "set"]


def test_two_writers_of_one_folder_do_not_mix(catalog: Catalog, tmp_path: Path) -> None:
    with files.whole_folder(tmp_path / "set", key="a") as partial:
        (partial / "a").write_text("a")
        with pytest.raises(MriTumorError, match="another process"):
            write_tfrecords(catalog, tmp_path / "set", preprocess=SMALL)
        assert (partial / "a").exists()
    assert (tmp_path / "set" / "a").read_text() == "a"


def test_a_bad_picture_ends_all_threads(catalog: Catalog, tmp_path: Path) -> None:
    catalog.paths[5].write_bytes(b"")
    with pytest.raises(MriTumorError, match=r"meningioma_tumor/002\.png"):
        write_tfrecords(catalog, tmp_path / "out" / "set", preprocess=SMALL, shards=6, workers=4)
    assert list((tmp_path / "out").iterdir()) == []
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("mri-tumor")]


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="this system does not say it")
@pytest.mark.parametrize("shards", [1, 8])
def test_memory_does_not_grow_with_the_catalog(
    make_folder: Callable[..., Path], tmp_path: Path, shards: int
) -> None:
    spec, workers, side = Preprocess(size=640), 2, 640
    found = scan(make_folder(per_class=40))
    write_tfrecords(found[:16], tmp_path / "first", preprocess=spec, shards=8)  # the libraries' own start
    before = resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")
    write_tfrecords(found, tmp_path / "set", preprocess=spec, shards=shards, workers=workers)
    # Six stored pictures a worker and some room for what preprocessing needs; 160 would take 65 MB.
    assert resident("VmHWM") - before < workers * 6 * side * side + 10_000_000


def resident(name: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024

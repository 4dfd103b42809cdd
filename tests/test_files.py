"""Files and folders are whole or not there."""

import hashlib
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mri_tumor.errors import ArgumentError, MriTumorError
from mri_tumor.files import check_replaceable, digest_of, sha256_of, whole_file, whole_folder, write_text

KILLED = """
import os, signal, sys
from pathlib import Path
from mri_tumor import files

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

target, moment = sys.argv[1:]
if moment == "before the flush":
    files._flush = die
if moment == "before the rename":
    Path.replace = die
with files.whole_file(target) as partial:
    partial.write_text("half")
    if moment == "inside the block":
        die()
"""


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def spoil(path: Path, error: BaseException | type[BaseException]) -> None:
    path.write_bytes(b"half")
    raise error


class TestWholeFile:
    def test_appears_at_the_end_and_keeps_its_ending(self, tmp_path: Path) -> None:
        target = tmp_path / "new" / "a.keras"
        with whole_file(target) as partial:
            partial.write_bytes(b"12")
            assert not target.exists()
            assert partial.suffix == ".keras"
            assert partial.parent == target.parent
        assert target.read_bytes() == b"12"
        assert names(target.parent) == ["a.keras"]

    @pytest.mark.parametrize("old", [None, b"old"])
    @pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
    def test_an_exception_leaves_what_was_there(
        self, tmp_path: Path, old: bytes | None, error: type[BaseException]
    ) -> None:
        target = tmp_path / "a.bin"
        if old is not None:
            target.write_bytes(old)
        before = names(tmp_path)
        with pytest.raises(error), whole_file(target) as partial:
            spoil(partial, error)
        assert names(tmp_path) == before
        assert old is None or target.read_bytes() == old

    def test_replaces_a_file(self, tmp_path: Path) -> None:
        write_text(tmp_path / "a", "old")
        write_text(str(tmp_path / "a"), "neu: ü\n")
        assert (tmp_path / "a").read_bytes() == "neu: ü\n".encode()
        assert names(tmp_path) == ["a"]

    def test_others_may_read_it_as_any_file(self, tmp_path: Path) -> None:
        plain = tmp_path / "plain"
        plain.write_text("x")
        write_text(tmp_path / "whole", "x")
        assert stat.S_IMODE((tmp_path / "whole").stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)

    @pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="this system has no SIGKILL")
    @pytest.mark.parametrize("moment", ["inside the block", "before the flush", "before the rename"])
    def test_a_killed_process_leaves_what_was_there(self, tmp_path: Path, moment: str) -> None:
        write_text(tmp_path / "a.txt", "old")
        done = subprocess.run([sys.executable, "-c", KILLED, tmp_path / "a.txt", moment], check=False)
        assert done.returncode == -signal.SIGKILL
        assert (tmp_path / "a.txt").read_text() == "old"
        left = [name for name in names(tmp_path) if name != "a.txt"]
        assert len(left) == 1
        assert left[0].startswith(".partial-")  # hidden, so that no scan takes it for a picture
        write_text(tmp_path / "a.txt", "new")
        assert (tmp_path / "a.txt").read_text() == "new"

    def test_a_full_disk_leaves_what_was_there(self, tmp_path: Path) -> None:
        resource = pytest.importorskip("resource")
        write_text(tmp_path / "a.txt", "old")
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        # The limit on a file's size makes write() itself fail, as a full disk does.
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
        try:
            with pytest.raises(OSError, match="File too large"):
                write_text(tmp_path / "a.txt", "x" * 5000)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert names(tmp_path) == ["a.txt"]
        assert (tmp_path / "a.txt").read_text() == "old"

    def test_a_folder_in_the_place_of_the_file(self, tmp_path: Path) -> None:
        (tmp_path / "a" / "b").mkdir(parents=True)
        with pytest.raises(OSError, match="a"):
            write_text(tmp_path / "a", "x")
        assert names(tmp_path) == ["a"]
        assert names(tmp_path / "a") == ["b"]


class TestWholeFolder:
    def test_appears_at_the_end(self, tmp_path: Path) -> None:
        target = tmp_path / "deep" / "set"
        with whole_folder(target) as partial:
            (partial / "in").mkdir()
            (partial / "in" / "a").write_text("1")
            assert not target.exists()
        assert (target / "in" / "a").read_text() == "1"
        assert names(target.parent) == ["set"]
        assert stat.S_IMODE(target.stat().st_mode) == stat.S_IMODE(target.parent.stat().st_mode)

    def test_replaces_the_whole_folder(self, tmp_path: Path) -> None:
        (tmp_path / "set").mkdir()
        (tmp_path / "set" / "old").write_text("old")
        with whole_folder(tmp_path / "set") as partial:
            (partial / "new").write_text("new")
        assert names(tmp_path / "set") == ["new"]
        assert names(tmp_path) == ["set"]

    @pytest.mark.parametrize("old", [False, True])
    def test_an_exception_leaves_what_was_there(self, tmp_path: Path, old: bool) -> None:
        target = tmp_path / "set"
        if old:
            target.mkdir()
            (target / "old").write_text("old")
        before = names(tmp_path)
        with pytest.raises(ValueError, match="stop"), whole_folder(target) as partial:
            spoil(partial / "new", ValueError("stop"))
        assert names(tmp_path) == before
        assert not old or names(target) == ["old"]

    def test_a_swap_that_fails_is_undone(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        target = tmp_path / "set"
        target.mkdir()
        (target / "old").write_text("old")
        replace = Path.replace

        def fail(self: Path, other: Path) -> Path:
            if self.name == "new":
                raise PermissionError("no")
            return replace(self, other)

        monkeypatch.setattr(Path, "replace", fail)
        with pytest.raises(PermissionError), whole_folder(target) as partial:
            (partial / "new").write_text("new")
        assert names(target) == ["old"]
        assert names(tmp_path) == ["set"]


class TestResumedFolder:
    """What `whole_folder(key=...)` does with what a killed process left."""

    def left(self, path: Path, key: str) -> Path:
        work = path.parent / f".partial-{path.name}"
        (work / "new").mkdir(parents=True)
        (work / "notes").mkdir()
        (work / "new" / "a").write_text("half the work")
        (work / "key").write_text(key)
        return work

    @pytest.mark.parametrize("same", [False, True])
    def test_only_the_same_key_gets_it(self, tmp_path: Path, same: bool) -> None:
        self.left(tmp_path / "set", "one")
        with whole_folder(tmp_path / "set", key="one" if same else "two") as partial:
            assert names(partial) == (["a"] if same else [])
            assert (partial.parent / "notes").exists() == same
            (partial / "b").write_text("the rest")
        assert names(tmp_path / "set") == (["a", "b"] if same else ["b"])
        assert names(tmp_path) == ["set"]

    @pytest.mark.parametrize("made_anew", [False, True])
    def test_a_folder_lost_between_two_renames_comes_back(self, tmp_path: Path, made_anew: bool) -> None:
        work = self.left(tmp_path / "set", "one")
        if made_anew:
            (tmp_path / "set").mkdir()
        (work / "old").mkdir()
        (work / "old" / "mine").write_text("years of work")
        with pytest.raises(ValueError, match="stop"), whole_folder(tmp_path / "set", key="two"):
            raise ValueError("stop")
        assert (tmp_path / "set" / "mine").read_text() == "years of work"
        assert names(tmp_path) == ["set"]

    @pytest.mark.parametrize("key", ["one", "two"])
    def test_a_folder_replaced_before_the_kill_is_in_nobodys_way(self, tmp_path: Path, key: str) -> None:
        work = self.left(tmp_path / "set", "one")
        (work / "old").mkdir()
        (work / "old" / "first").write_text("the earlier folder")
        (work / "new").replace(tmp_path / "set")
        with whole_folder(tmp_path / "set", key=key) as partial:
            (partial / "second").write_text("new")
        assert names(tmp_path / "set") == ["second"]
        assert names(tmp_path) == ["set"]

    def test_one_process_at_a_time(self, tmp_path: Path) -> None:
        def again() -> None:
            with whole_folder(tmp_path / "set", key="one"):
                raise AssertionError("two writers at once")

        with whole_folder(tmp_path / "set", key="one") as partial:
            with pytest.raises(MriTumorError, match="another process"):
                again()
            (partial / "a").write_text("1")
        assert names(tmp_path / "set") == ["a"]


def test_only_an_earlier_folder_of_the_same_kind_is_replaced(tmp_path: Path) -> None:
    def strange(path: Path) -> str:
        return "" if (path / "mine").exists() else f"{path} is somebody else's"

    check_replaceable(tmp_path / "new", strange)
    check_replaceable(tmp_path, lambda _: "an empty folder needs no look")
    (tmp_path / "file").write_text("")
    with pytest.raises(ArgumentError, match="is a file"):
        check_replaceable(tmp_path / "file", strange)
    with pytest.raises(ArgumentError, match="somebody else's"):
        check_replaceable(tmp_path, strange)
    (tmp_path / "mine").write_text("")
    check_replaceable(tmp_path, strange)


def test_the_current_directory_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for folder in (".", "..", tmp_path / "here"):
        with pytest.raises(ArgumentError, match="is or holds the current directory"):
            check_replaceable(folder, lambda _: "")


def test_sha256_of_a_file(tmp_path: Path) -> None:
    content = os.urandom(3_000_000)
    (tmp_path / "a").write_bytes(content)
    assert sha256_of(tmp_path / "a") == hashlib.sha256(content).hexdigest()


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("aé脳 "),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab"), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text("abc", max_size=2), json_values))
def test_the_order_of_keys_does_not_count(value: dict[str, object]) -> None:
    assert digest_of(dict(reversed(value.items()))) == digest_of(value)


def test_digests_stay_for_ever() -> None:
    assert (
        digest_of({"b": [1, 2.5, None], "a": "é"})
        == hashlib.sha256('{"a":"é","b":[1,2.5,null]}'.encode()).hexdigest()
    )
    assert digest_of([1, 2]) != digest_of([2, 1])
    assert digest_of(1) != digest_of("1")


def test_no_digest_of_nan() -> None:
    with pytest.raises(ValueError, match="JSON"):
        digest_of({"loss": float("nan")})

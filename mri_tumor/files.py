"""Files and folders that appear whole under their name, or not at all; and their digests."""

import contextlib
import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from mri_tumor.errors import ArgumentError, MriTumorError


@contextlib.contextmanager
def whole_file(path: str | Path) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block ends without an exception.

    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> with whole_file(folder / "a.txt") as partial:
    ...     _ = partial.write_text("done")
    >>> sorted(file.name for file in folder.iterdir())
    ['a.txt']
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # The ending is kept: libraries such as Keras choose the format by it.
    handle, name = tempfile.mkstemp(prefix=".partial-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        _flush(partial)
        partial.chmod(0o666 & ~_umask())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_folder(path: str | Path, *, key: str | None = None) -> Iterator[Path]:
    """Yield a temporary folder beside `path`; put it in the place of `path` when the block ends well.

    A folder that stands at `path` is replaced as a whole; after an exception it stands as it was. The
    temporary folder lies in a folder of its own, where notes on the work may be kept (`partial.parent`); all
    of that goes when the block ends, whatever way it ends.

    Args:
        path: the folder to make.
        key: what the content follows from. What a killed process left then lies in `.partial-<name>`, and is
            handed to the next call if its key is the same, and emptied otherwise. One process at a time.

    Raises:
        MriTumorError: another process is making this folder, with a key.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _fresh(path) if key is None else _resumed(path, key) as work:
        partial = work / "new"
        partial.mkdir(exist_ok=True)
        yield partial
        for file in partial.rglob("*"):
            if file.is_file():
                _flush(file)
        partial.chmod(0o777 & ~_umask())
        _swap(partial, path, work / "old")


def check_replaceable(path: str | Path, strange: Callable[[Path], str]) -> None:
    """Refuse to write a folder in the place of something else.

    Args:
        path: the target. What is not there, or is an empty folder, is fine.
        strange: says what shows a folder that holds something not to be an earlier one of the same kind; an
            empty text if it is one.

    Raises:
        ArgumentError: it is a file, a folder with other content, or one that this process runs in.
    """
    path = Path(path)
    if not path.exists():
        return
    here = Path.cwd()
    if path.resolve() in (here, *here.parents):
        raise ArgumentError(
            f"{path} is or holds the current directory",
            "a new or empty folder elsewhere",
            "name a folder in it",
        )
    found = f"{path} is a file" if not path.is_dir() else strange(path) if any(path.iterdir()) else ""
    if found:
        raise ArgumentError(
            found,
            "a new or empty folder, or an earlier one of the same kind, which is replaced",
            "choose another folder",
        )


def write_text(path: str | Path, text: str) -> None:
    """Write UTF-8 text so that the file is either whole or not there."""
    with whole_file(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def discard(folder: str | Path) -> None:
    """Remove a temporary folder; what cannot be removed stays, because this runs while things end."""
    shutil.rmtree(folder, ignore_errors=True)


def sha256_of(path: str | Path) -> str:
    """Return the SHA-256 of a file's bytes as 64 hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of(value: Any) -> str:
    """Return the SHA-256 of a JSON value; the order of keys does not count.

    >>> digest_of({"a": 1, "b": 2}) == digest_of({"b": 2, "a": 1})
    True
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _swap(new: Path, path: Path, old: Path) -> None:
    if path.exists():
        path.replace(old)
    try:
        new.replace(path)
    except OSError:
        if old.exists():
            old.replace(path)
        raise


@contextlib.contextmanager
def _fresh(path: Path) -> Iterator[Path]:
    work = Path(tempfile.mkdtemp(prefix=f".partial-{path.name}-", dir=path.parent))
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextlib.contextmanager
def _resumed(path: Path, key: str) -> Iterator[Path]:
    work = path.parent / f".partial-{path.name}"
    with locked(work, path):
        _undo_or_end_swap(path, work / "old")
        try:
            _empty_unless(work, key)
            yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)


def _undo_or_end_swap(path: Path, old: Path) -> None:
    """Mend what a process left that was killed in a swap: between its two renames, or after the second."""
    if not old.exists():
        return
    if path.is_dir() and not any(path.iterdir()):
        path.rmdir()  # somebody made it anew since
    if path.exists():
        shutil.rmtree(old)  # the new folder is in its place, and the next swap needs this name
    else:
        old.replace(path)


def _empty_unless(work: Path, key: str) -> None:
    kept = work / "key"
    if not kept.is_file() or kept.read_bytes() != key.encode():
        for item in work.iterdir():
            shutil.rmtree(item) if item.is_dir() else item.unlink()
        write_text(kept, key)


@contextlib.contextmanager
def locked(work: Path, path: Path) -> Iterator[None]:
    """Make a folder and hold it; the system lets go of it when the process ends, however it ends.

    Args:
        work: the folder, beside or in which something is made.
        path: what is made; the error names it.

    Raises:
        MriTumorError: another process holds it.
    """
    work.mkdir(exist_ok=True)
    if sys.platform == "win32":  # it has no such lock on folders: there the caller sees to it
        yield
        return
    handle = os.open(work, os.O_RDONLY)
    try:
        if not _lock(handle, work):
            raise MriTumorError(
                f"{path} is being written by another process", "one writer a folder", "wait until it is done"
            )
        yield
    finally:
        os.close(handle)


def _lock(handle: int, work: Path) -> bool:
    import fcntl

    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Who held it may have removed it meanwhile, and a lock on what is gone protects nothing.
        return work.stat().st_ino == os.fstat(handle).st_ino
    except (BlockingIOError, FileNotFoundError):
        return False


def _flush(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask

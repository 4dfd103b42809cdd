"""The files that are sent."""

import contextlib
import logging
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from mri_tumor.cloud.file_names import problems_of
from mri_tumor.errors import ArgumentError, DownloadError

logger = logging.getLogger(__name__)

_SHOWN = 10


@dataclass(frozen=True)
class LocalFile:
    """A file to send.

    Args:
        name: relative to what is sent, with `/` between its parts.
        path: where it lies.
        size: bytes.
        changed: when it was last changed, in ns.
    """

    name: str
    path: Path
    size: int
    changed: int

    def is_unchanged(self) -> bool:
        """Say whether it still has its size and time of change."""
        try:
            now = self.path.stat()
        except FileNotFoundError:
            return False
        return (now.st_size, now.st_mtime_ns) == (self.size, self.changed)


def files_of(source: Path) -> list[LocalFile]:
    """Return the files of a folder by their names, or the one file that `source` is.

    What begins with a dot is left out: such are the temporary files of this library and of many others.

    Raises:
        ArgumentError: there are none, a name cannot be written everywhere, or something is no regular file.
        OSError: a folder cannot be read.
    """
    if source.is_file():
        return [_local(source, source.name)]
    if not source.is_dir():
        raise ArgumentError(f"there is no {source}", "a folder or a file", "check the path")
    files, hidden = [], 0
    for folder, folders, names in os.walk(source, onerror=_raise):
        for name in sorted(folders + names):
            path = Path(folder, name)
            if name.startswith("."):
                hidden += 1
            elif path.is_symlink() or not (path.is_dir() or path.is_file()):
                found = f"{path} is a link, or no regular file"
                raise ArgumentError(found, "a folder of regular files", "copy the files there")
            elif path.is_file():
                files.append(_local(path, path.relative_to(source).as_posix()))
        folders[:] = [name for name in folders if not name.startswith(".")]
    if hidden:
        logger.info("%d hidden files or folders of %s are not sent", hidden, source)
    _check_names(source, files)
    return sorted(files, key=lambda file: file.name)


@contextlib.contextmanager
def at_hand(path: Path) -> Iterator[None]:
    """Turn what the system says about a file or folder into our error.

    Raises:
        DownloadError: it cannot be read or written.
    """
    try:
        yield
    except OSError as error:
        raise not_at_hand(path, error) from error


def not_at_hand(path: Path, error: OSError) -> DownloadError:
    """Return the error for a file or folder that the system does not let us read or write."""
    return DownloadError(
        f"{error.filename or path} cannot be read or written ({error.strerror or error})",
        "room on the disk, and the right to read and write there",
        "make room or choose another folder, and call it again: it goes on where it stopped",
    )


def listing(problems: list[str]) -> str:
    """Return a text that lists problems, one a line; of many the first ones.

    >>> print("found:" + listing(["a is no file", "b is a link"]))
    found:
      (1) a is no file
      (2) b is a link
    """
    shown = [f"\n  ({number}) {problem}" for number, problem in enumerate(problems[:_SHOWN], 1)]
    more = [f"\n  and {len(problems) - _SHOWN} more"] if len(problems) > _SHOWN else []
    return "".join(shown + more)


def _raise(error: OSError) -> NoReturn:
    raise error  # os.walk itself passes over folders that cannot be read


def _local(path: Path, name: str) -> LocalFile:
    found = path.stat()
    return LocalFile(name, path, found.st_size, found.st_mtime_ns)


def _check_names(source: Path, files: list[LocalFile]) -> None:
    if not files:
        raise ArgumentError(f"{source} holds no files", "a folder of files", "check the path")
    problems = problems_of(file.name for file in files)
    if problems:
        found = f"{source} cannot be sent:{listing(problems)}"
        raise ArgumentError(found, "names that every system can write", "rename them")

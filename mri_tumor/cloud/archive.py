"""Model archives as files: packed so that equal content gives equal bytes, unpacked member by member."""

import gzip
import tarfile
import zlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, BinaryIO

from mri_tumor.cloud.file_names import name_problem, parents_of, place_of
from mri_tumor.cloud.tar import Member, Source, members
from mri_tumor.errors import PackageError
from mri_tumor.files import whole_file, whole_folder

_BUILD = "build the archive with mri_tumor.cloud.package"
_SLACK = 16 * 2**20  # so small that no ratio matters


@dataclass(frozen=True)
class Limits:
    """How much an archive may hold.

    Args:
        members: at most so many files and folders.
        size: at most so many bytes once unpacked.
        ratio: at most so many bytes unpacked a byte packed; 16 MiB are always allowed.

    >>> Limits().members
    10000
    """

    members: int = 10_000
    size: int = 2 * 2**30
    ratio: int = 100


def pack(folder: str | Path, archive: str | Path) -> Path:
    """Write the files of a folder into a `.tar.gz`; the same files give the same bytes.

    Args:
        folder: what is packed; names in the archive are relative to it.
        archive: where it goes; it appears whole or not at all.

    Raises:
        PackageError: the folder is none, is empty, or holds a link.
    """
    folder, archive = Path(folder), Path(archive)
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())
    links = [path for path in folder.rglob("*") if path.is_symlink()]
    if not names or links:
        found = f"{links[0]} is a link" if links else f"{folder} holds no files"
        raise PackageError(found, "a folder of regular files", "copy the files there")
    with whole_file(archive) as partial, partial.open("wb") as raw, _zipped(raw) as packed:
        write_tar(packed, ((name, folder / name) for name in names))
    return archive


def _zipped(raw: BinaryIO) -> gzip.GzipFile:
    # Neither a name nor a time: both would make equal content differ.
    return gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=6, mtime=0)


def write_tar(stream: IO[bytes] | gzip.GzipFile, files: Iterable[tuple[str, Path]]) -> None:
    """Write files into a tar stream; their names and contents alone decide its bytes.

    Args:
        stream: where it goes.
        files: the name inside, and the file.

    Raises:
        OSError: a file cannot be read, or changes meanwhile.
    """
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, path in files:
            entry = tarfile.TarInfo(name)
            entry.size = path.stat().st_size
            entry.mode = 0o644
            with path.open("rb") as file:
                tar.addfile(entry, file)


def extract(archive: str | Path, folder: str | Path, *, limits: Limits | None = None) -> Path:
    """Unpack an archive into a folder, which appears whole or not at all.

    Raises:
        PackageError: the archive is damaged, above the limits, or holds anything but files and folders with
            plain relative names.
    """
    with whole_folder(folder) as partial:
        problems = unpack(archive, partial, limits=limits)
        if problems:
            raise refused(archive, problems)
    return Path(folder)


def refused(archive: str | Path, problems: list[str]) -> PackageError:
    """Return the error that lists everything that is wrong with an archive."""
    listed = "".join(f"\n  ({number}) {problem}" for number, problem in enumerate(problems, 1))
    expected = "an archive as mri_tumor.cloud.package writes it"
    return PackageError(f"{archive} cannot be used:{listed}", expected, _BUILD)


def unpack(archive: str | Path, folder: Path, *, limits: Limits | None = None) -> list[str]:
    """Unpack what is harmless into an existing, empty folder and return what is wrong with the rest.

    No link is followed or made, nothing is written outside the folder, and no more than `limits` allows is
    ever unpacked, whatever the archive says about itself.

    Raises:
        PackageError: the archive cannot be read to its end, or is above the limits.
    """
    archive, limits = Path(archive), limits or Limits()
    try:
        size = archive.stat().st_size
        allowed = min(limits.size, max(_SLACK, limits.ratio * size))
        with gzip.open(archive, "rb") as packed:
            return _unpack(Source(packed, str(archive), allowed), folder, limits)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        found = f"{archive} cannot be unpacked ({reason})"
        raise PackageError(found, "a whole .tar.gz file and room to unpack it", _BUILD) from error


def _unpack(source: Source, folder: Path, limits: Limits) -> list[str]:
    target = _Target(folder)
    for count, member in enumerate(members(source), 1):
        if count > limits.members:
            raise PackageError(f"{source.name} has over {limits.members} members", "fewer", _BUILD)
        target.take(member, source)
    return target.problems


@dataclass
class _Target:
    """The folder that is filled, what lies in it so far, and what was refused."""

    folder: Path
    files: set[str] = field(default_factory=set)
    folders: set[str] = field(default_factory=set)
    problems: list[str] = field(default_factory=list)

    def take(self, member: Member, source: Source) -> None:
        name = member.name.removeprefix("./").removesuffix("/")
        if member.kind == "folder" and name in ("", "."):
            return
        problem = member.problem or name_problem(name) or self._clash(name, member.kind)
        if problem:
            self.problems.append(f"member {member.name[:100]!r} {problem}")
            return
        key = place_of(name)
        self.folders.update(parents_of(key))
        (self.folders if member.kind == "folder" else self.files).add(key)
        place = self.folder.joinpath(*name.split("/"))
        if member.kind == "folder":
            place.mkdir(parents=True, exist_ok=True)
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        with place.open("xb") as file:
            for chunk in source.content(member):
                file.write(chunk)

    def _clash(self, name: str, kind: str) -> str | None:
        """Two members on one place: what counts would depend on who unpacks, and on which file system."""
        key = place_of(name)
        if key in self.files or (kind == "file" and key in self.folders) or self.files & set(parents_of(key)):
            return "takes the place of an earlier member; leave one of them out"
        return None

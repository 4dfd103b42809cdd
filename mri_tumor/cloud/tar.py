"""A reader of tar streams that trusts nothing: bounded, forward only, and it knows files and folders only.

Python's `tarfile` understands far more (sparse files, links, headers of any length), and each of these has
been an attack. What is read here is the POSIX form (ustar) with its pax and GNU extensions for long names.
"""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from mri_tumor.errors import PackageError

_BLOCK = 512
_CHUNK = 2**20
_MAX_EXTENSION = 2**16  # bytes of a long name or of pax records
_KINDS = {b"0": "file", b"\0": "file", b"5": "folder"}
_NAMED = {
    b"1": "hard link",
    b"2": "symbolic link",
    b"3": "device",
    b"4": "device",
    b"6": "pipe",
    b"S": "sparse file",
}
_OCTAL = re.compile(rb"[0-7]{0,12}")


@dataclass(frozen=True)
class Member:
    """One entry of an archive.

    Args:
        name: as the archive writes it: not yet checked.
        kind: `"file"`, `"folder"`, or what else it is.
        size: bytes of content.
        problem: why it must not be unpacked, None when it is a file or folder.
    """

    name: str
    kind: str
    size: int
    problem: str | None = None


class Source:
    """A stream of unpacked bytes that never gives more than it is allowed to.

    Args:
        stream: where the bytes come from.
        name: the archive's name, for errors.
        allowed: at most so many bytes in all.
    """

    def __init__(self, stream: BinaryIO | io.BufferedIOBase, name: str, allowed: int) -> None:
        self.name = name
        self._stream = stream
        self._left = allowed
        self._pending = 0

    def take(self, count: int) -> bytes:
        """Return exactly `count` bytes.

        Args:
            count: from 0; a stream would give everything it has for less.

        Raises:
            PackageError: the archive ends before, or its limit is reached.
        """
        if count < 0:
            raise damaged(self.name, f"a member of {count} bytes")
        self._left -= count
        if self._left < 0:
            raise PackageError(
                f"{self.name} unpacks to more than is allowed, in all or for its packed size",
                "an archive within the limits",
                "leave out what does not belong to the model",
            )
        data = self._stream.read(count)
        if len(data) != count:
            raise damaged(self.name, "it ends in the middle of a member")
        return data

    def content(self, member: Member) -> Iterator[bytes]:
        """Yield the content of the member that `members` has just given."""
        while self._pending:
            chunk = self.take(min(self._pending, _CHUNK))
            self._pending -= len(chunk)
            yield chunk

    def open(self, size: int) -> None:
        """Say that a member's content of `size` bytes comes next."""
        self._pending = size

    def close(self, size: int) -> None:
        """Skip what nobody read of a member, and the filling after it."""
        while self._pending:
            self._pending -= len(self.take(min(self._pending, _CHUNK)))
        self.take(-size % _BLOCK)

    def finish(self) -> None:
        """Read to the end, so that the checksum of the compressed stream is checked too."""
        while chunk := self._stream.read(_CHUNK):
            self._left -= len(chunk)
            if self._left < 0 or chunk.strip(b"\0"):
                raise damaged(self.name, "there is something after its end")


def damaged(name: str, what: str) -> PackageError:
    """Return the error for an archive that is no readable tar file."""
    return PackageError(
        f"{name} is damaged: {what}", "a whole .tar.gz file", "build or copy the archive again"
    )


def members(source: Source) -> Iterator[Member]:
    """Yield the members of a tar stream; read each one's content from `source` before asking for the next.

    Raises:
        PackageError: the stream is damaged.
    """
    extension: dict[str, str] = {}
    while any(header := source.take(_BLOCK)):
        kind, size = _checked(header, source.name)
        if kind in (b"x", b"g", b"L", b"K"):
            extension |= _extension(kind, size, source)
            continue
        member = _member(header, kind, size, extension)
        extension = {}
        source.open(member.size)
        yield member
        source.close(member.size)
    source.finish()


def _checked(header: bytes, name: str) -> tuple[bytes, int]:
    """Return a header's type and size after comparing its checksum."""
    unsigned = sum(header) - sum(header[148:156]) + 8 * ord(" ")
    if _number(header[148:156], name) != unsigned:
        raise damaged(name, "a member's header has a wrong checksum")
    return header[156:157], _number(header[124:136], name)


def _number(digits: bytes, name: str) -> int:
    if digits[0] & 0x80:  # GNU's form for sizes from 8 GiB: far above every limit here
        raise damaged(name, "a member says that it is larger than 8 GiB")
    text = digits.strip(b" \0")
    # Python's int takes signs and underscores too, and a size below 0 would lift every limit.
    if not _OCTAL.fullmatch(text):
        raise damaged(name, "a member's header holds no number where one should be")
    return int(text or b"0", 8)


def _extension(kind: bytes, size: int, source: Source) -> dict[str, str]:
    """Read what extends the next member's header; global headers and link targets say nothing we use."""
    if size > _MAX_EXTENSION:
        raise damaged(source.name, f"a header of {size} bytes")
    data = source.take(size)
    source.take(-size % _BLOCK)
    if kind == b"L":
        return {"path": data.rstrip(b"\0").decode("utf-8", "replace")}
    return _pax(data, source.name) if kind == b"x" else {}


def _pax(data: bytes, name: str) -> dict[str, str]:
    """Return pax records: each is `<length> <key>=<value>` and a line feed, the length counting all of it."""
    records = {}
    while data:
        head = data.partition(b" ")[0]
        length = int(head) if head.isdigit() and len(head) < 8 else 0
        key, equals, value = data[len(head) + 1 : length - 1].partition(b"=")
        if not equals or data[length - 1 : length] != b"\n":
            raise damaged(name, "a member's extended header cannot be read")
        records[key.decode("utf-8", "replace")] = value.decode("utf-8", "replace")
        data = data[length:]
    return records


def _member(header: bytes, kind: bytes, size: int, extension: dict[str, str]) -> Member:
    prefix = header[345:500].split(b"\0")[0] if header[257:263] == b"ustar\0" else b""
    short = b"/".join(part for part in (prefix, header[:100].split(b"\0")[0]) if part)
    name = extension.get("path", short.decode("utf-8", "replace"))
    form = _KINDS.get(kind) or _NAMED.get(kind, f"member of type {kind!r}")
    if form == "file" and name.endswith("/"):  # how the oldest tar wrote folders
        form = "folder"
    problem = None if kind in _KINDS else f"is a {form}; pack regular files and folders only"
    if any(key.startswith("GNU.sparse") or key == "size" for key in extension):
        problem = "is a sparse file or larger than 8 GiB; pack it as a regular file"
    # Links and devices have no content, whatever size they state.
    return Member(name, form, 0 if kind in b"123456" else size, problem)

"""HDF5 as MATLAB v7.3 writes it: the first versions of superblock, groups and headers, read without libhdf5.

libhdf5 follows links into other files, loads filters that others installed, inflates a few bytes without end,
and crashes on some damaged files. Here every address is checked and every count bounded before it is used.
After the HDF5 File Format Specification, version 3.0.
"""

from collections.abc import Iterator
from typing import NamedTuple

from mri_tumor.errors import ReadError

SIGNATURE, START = b"\x89HDF\r\n\x1a\n", 512
"""How HDF5 begins, and after how many bytes of MATLAB's own."""

GROUP_TREE, CHUNK_TREE = 0, 1
"""What a tree leads to: the names of a group, or the chunks of an array."""

_CONTINUED, _SYMBOLS = 0x10, 0x11  # kinds of messages in an object's header
_SHARED = 2  # the flag of a message that lies elsewhere
_SYMBOL_BYTES, _HARD_LINKS = 40, (0, 1)
_MOST_NAMES = 10_000


class Message(NamedTuple):
    """One message of an object's header: its kind, whether its body lies elsewhere, and its body."""

    kind: int
    shared: bool
    body: bytes


class Hdf5:
    """The bytes of a file, every access of which is checked. Addresses count from `START`.

    Args:
        data: the whole file.
        name: what errors call it.

    Raises:
        ReadError: it is cut off, no such file, or of another version.
    """

    def __init__(self, data: bytes, name: str) -> None:
        self._data, self._name = data, name
        if data[START : START + 8] != SIGNATURE:
            raise ReadError(f"{name}: this is no MATLAB v7.3 file", "HDF5 behind 512 bytes", "leave it out")
        versions = self.at(8, 7)
        if versions[0] != 0 or versions[5:] != b"\x08\x08" or self.number(24, 8) != START:
            raise self.rare("is of another version of HDF5")
        if self.number(40, 8) > len(data):
            raise self.damaged("is cut off")

    def at(self, place: int, size: int) -> bytes:
        """Return bytes."""
        found = self._data[START + place : START + place + size]
        if len(found) < size:
            raise self.damaged("is cut off or damaged: it points behind its end")
        return found

    def number(self, place: int, size: int) -> int:
        """Return a whole number."""
        return int.from_bytes(self.at(place, size), "little")

    def within(self, body: bytes, place: int, size: int) -> int:
        """Return a whole number from bytes that were read."""
        found = body[place : place + size]
        if len(found) < size:
            raise self.damaged("is damaged: a message is too short")
        return int.from_bytes(found, "little")

    def expect(self, place: int, signature: bytes) -> None:
        """Raise a ReadError unless these bytes are there."""
        if self.at(place, len(signature)) != signature:
            raise self.damaged(f"is damaged at byte {START + place:,}")

    @property
    def size(self) -> int:
        """The length of the file."""
        return len(self._data)

    def damaged(self, what: str) -> ReadError:
        """Return the error for a file that is not whole or not sound."""
        return damaged(self._name, what)

    def rare(self, what: str) -> ReadError:
        """Return the error for what is not read."""
        expected = "plain numbers as MATLAB writes them (save -v7.3)"
        return ReadError(f"{self._name}: the MATLAB file {what}", expected, "leave it out, or save it anew")


def damaged(name: str, what: str) -> ReadError:
    """Return the error for a file that is not whole or not sound."""
    fix = "fetch the file again, or leave it out"
    return ReadError(f"{name}: the MATLAB file {what}", "a complete MATLAB v7.3 file", fix)


def find(file: Hdf5, path: str) -> list[Message]:
    """Return the header of the object at a path, such as `"cjdata/image"`.

    Raises:
        ReadError: it is not there, or the file is damaged on the way.
    """
    header = messages(file, file.number(64, 8))
    for part in path.split("/"):
        symbols = next((message.body for message in header if message.kind == _SYMBOLS), None)
        place = None if symbols is None else _child(file, symbols, part.encode())
        if place is None:
            raise file.rare(f"has no field {path}")
        header = messages(file, place)
    return header


def messages(file: Hdf5, place: int) -> list[Message]:
    """Return the messages of an object's header."""
    file.expect(place, b"\x01")
    count, blocks = file.number(place + 2, 2), [(place + 16, file.number(place + 8, 4))]
    found: list[Message] = []
    met = {place + 16}
    left = file.size
    for start, size in blocks:
        end = start + size
        left -= size
        if left < 0:  # blocks do not overlap, so they go round in a circle
            raise file.damaged("is damaged: a header does not end")
        while start + 8 <= end and len(found) < count:
            length = file.number(start + 2, 2)
            kind, flags, body = file.number(start, 2), file.number(start + 4, 1), file.at(start + 8, length)
            start += 8 + length
            if start > end:
                raise file.damaged("is damaged: a message is longer than its block")
            found.append(Message(kind, bool(flags & _SHARED), body))
            if kind == _CONTINUED:
                block = file.within(body, 0, 8), file.within(body, 8, 8)
                if block[0] in met:
                    raise file.damaged("is damaged: a header leads in a circle")
                met.add(block[0])
                blocks.append(block)
    return found


def leaves(file: Hdf5, place: int, kind: int, key_bytes: int, most: int) -> Iterator[tuple[bytes, int]]:
    """Yield key and address of all that a tree leads to; more than `most` means that it is damaged."""
    waiting: list[tuple[int, int | None]] = [(place, None)]
    steps = 0
    while waiting:
        node, level = waiting.pop()
        file.expect(node, b"TREE" + bytes([kind]))
        own = file.number(node + 5, 1)
        if level is not None and own != level - 1:
            raise file.damaged("is damaged: a tree leads in a circle")
        for entry in range(file.number(node + 6, 2)):
            steps += 1
            if steps > 2 * most + 100:
                raise file.damaged("is damaged: a tree does not end")
            at = node + 24 + entry * (key_bytes + 8)
            child = file.number(at + key_bytes, 8)
            if own:
                waiting.append((child, own))
            else:
                yield file.at(at, key_bytes), child


def _child(file: Hdf5, symbols: bytes, name: bytes) -> int | None:
    """Return where the header of a group's member is, None if it is no member or only a link elsewhere."""
    tree, heap = file.within(symbols, 0, 8), file.within(symbols, 8, 8)
    file.expect(heap, b"HEAP")
    names, names_bytes = file.number(heap + 24, 8), file.number(heap + 8, 8)
    met: set[int] = set()
    entries = 0
    for _, node in leaves(file, tree, GROUP_TREE, 8, _MOST_NAMES):
        file.expect(node, b"SNOD")
        count = file.number(node + 6, 2)
        entries += count
        if node in met or entries > _MOST_NAMES:
            raise file.damaged("is damaged: a group has some names twice, or too many")
        met.add(node)
        for entry in range(count):
            at = node + 8 + entry * _SYMBOL_BYTES
            offset = file.number(at, 8)
            if offset + len(name) < names_bytes and file.at(names + offset, len(name) + 1) == name + b"\0":
                return file.number(at + 8, 8) if file.number(at + 16, 4) in _HARD_LINKS else None
    return None

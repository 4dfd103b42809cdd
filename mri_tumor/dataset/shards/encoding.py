"""The bytes of a shard's file: checked as a whole before anything is made of them, and unpacked."""

import hashlib
import shutil
import struct
import tempfile
import weakref
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from threading import Lock
from typing import Any

import tensorflow as tf

from mri_tumor.errors import ShardError
from mri_tumor.files import whole_file

AGAIN = "write the shards again with dataset.write_tfrecords"

_HEADER, _FOOTER = 12, 4  # a record's length with its checksum before, and the data's checksum behind
_AROUND = 2**16  # more bytes than a record has beside its picture
_GZIP = 31  # what zlib calls the gzip format with its largest window


def whole(path: Path, card: Mapping[str, Any], picture_bytes: int) -> bytes:
    """Return a shard's records as one piece of bytes; the file's size and SHA-256 are those of its card.

    What is returned is what was hashed: a file that changes meanwhile makes no difference.

    Args:
        path: the file.
        card: what the manifest says about it.
        picture_bytes: the size of one picture, which limits what a compressed file may unpack to.

    Raises:
        ShardError: it cannot be read, or is not what was written; names the first damaged record if one is.
    """
    data = read(path, card)
    digest = hashlib.sha256(data).hexdigest()
    if digest != card["sha256"]:
        check_records(path, card)
        raise _another(path, f"has the SHA-256 {digest:.12}...", card)
    return data if card.get("compression") is None else _unpacked(path, data, card, picture_bytes)


def read(path: Path, card: Mapping[str, Any]) -> bytes:
    """Return a file's bytes, as many as its card says; nothing of a longer file is held in memory.

    Raises:
        ShardError: it cannot be read, or has another size; names the first damaged record if one is.
    """
    try:
        size = path.stat().st_size
        if size == card["bytes"]:
            with path.open("rb") as file:
                data = file.read(size + 1)
            size = len(data)  # somebody may have written to it meanwhile
    except OSError as error:
        raise ShardError(
            f"shard {path} cannot be read ({error.strerror})", "a file that can be read", "check its rights"
        ) from error
    if size != card["bytes"]:
        check_records(path, card)
        raise _another(path, f"has {size} bytes", card)
    return data


def _another(path: Path, what: str, card: Mapping[str, Any]) -> ShardError:
    expected = f"{card['bytes']} bytes, SHA-256 {card['sha256']:.12}... as the manifest says"
    return ShardError(f"shard {path} {what}", expected, AGAIN)


def check_records(path: Path, card: Mapping[str, Any]) -> None:
    """Check the CRC-32C checksums of every record, and how many there are.

    Raises:
        ShardError: one does not fit; names the record.
    """
    kind = (card.get("compression") or "").upper()
    number = 0
    try:
        for _ in tf.data.TFRecordDataset(str(path), compression_type=kind).as_numpy_iterator():
            number += 1
    except tf.errors.OpError as error:
        raise broken(path.name, number, "is damaged or cut off: its checksum does not fit") from error
    check_count(path, number, card)


def check_count(path: Path, number: int, card: Mapping[str, Any]) -> None:
    """Raise a ShardError unless a shard holds as many records as its card says."""
    if number != card["records"]:
        raise ShardError(
            f"shard {path} ends after record {number - 1}: {number} records",
            f"{card['records']} records, as the manifest says",
            AGAIN,
        )


def payloads(shard: str, data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield where each record's data begins, and the data.

    Raises:
        ShardError: the bytes do not end where a record does.
    """
    start, number = 0, 0
    while start < len(data):
        begin = start + _HEADER
        length = struct.unpack_from("<Q", data, start)[0] if begin <= len(data) else len(data)
        start = begin + length + _FOOTER
        if start > len(data):
            raise broken(shard, number, "is cut off")
        yield begin, data[begin : begin + length]
        number += 1


def broken(shard: str, number: int, what: str) -> ShardError:
    """Return the error that names a record, counted from 0, and what is wrong with it."""
    return ShardError(f"shard {shard}: record {number} {what}", "the record as it was written", AGAIN)


class UnpackedFiles:
    """Compressed shards as plain temporary files, made when first asked for, gone with this object."""

    def __init__(self) -> None:
        self._folder: Path | None = None
        self._lock = Lock()

    def path(self, shard: str, unpack: Any) -> Path:
        """Return the temporary file of a shard; `unpack()` gives its bytes.

        Raises:
            ShardError: it cannot be written, as on a full disk.
        """
        with self._lock:
            if self._folder is not None and (self._folder / shard).exists():
                return self._folder / shard
            data = unpack()
            try:
                return self._written(shard, data)
            except OSError as error:
                raise ShardError(
                    f"shard {shard} cannot be unpacked to {tempfile.gettempdir()}: {error.strerror or error}",
                    f"room for {len(data) / 1e6:.0f} MB on the disk of temporary files",
                    "make room there, or set TMPDIR to another folder",
                ) from error

    def _written(self, shard: str, data: bytes) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="mri-tumor-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        # Half a file would be taken for a shard that was changed.
        with whole_file(self._folder / shard) as partial:
            partial.write_bytes(data)
        return self._folder / shard


def _unpacked(path: Path, data: bytes, card: Mapping[str, Any], picture_bytes: int) -> bytes:
    most = card["records"] * (picture_bytes + _AROUND)
    stream = zlib.decompressobj(_GZIP)
    try:
        unpacked = stream.decompress(data, max(1, most))
        fits = stream.eof and not stream.unused_data
    except zlib.error:
        fits = False
    if not fits:
        raise ShardError(
            f"shard {path} cannot be unpacked", f"one gzip stream of {card['records']} records", AGAIN
        )
    return unpacked

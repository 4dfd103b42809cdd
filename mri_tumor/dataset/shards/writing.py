"""The files of a shard folder: several at a time, resumed after a kill, the same bytes whatever happened.

A shard that is whole and on the disk has a note beside the unfinished folder: its size, its SHA-256 and what
was left out. Only shards with a note that fits are taken over by a later call.
"""

import json
import logging
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import Any, Literal

import tensorflow as tf

from mri_tumor.dataset.catalog import Catalog, Record
from mri_tumor.dataset.decoding import OnError, Picture, decoded, interleaved, left_out
from mri_tumor.dataset.preprocess import Preprocess
from mri_tumor.dataset.shards.reading import shard_name
from mri_tumor.errors import ReadError
from mri_tumor.files import digest_of, sha256_of, whole_file, write_text
from mri_tumor.manifest import versions
from mri_tumor.progress import track

logger = logging.getLogger(__name__)

Compression = Literal["gzip"] | None

_LAYOUT = 1  # goes up when the same arguments would give other bytes


@dataclass(frozen=True)
class Share:
    """One shard of a plan: everything that its bytes follow from.

    Args:
        name: the file's.
        pictures: what goes into it.
        first: the index of the first of them.
        preprocess: what is done with each.
        on_error: what happens at a picture that cannot be read.
        compression: `"gzip"` or None.
    """

    name: str
    pictures: Catalog
    first: int
    preprocess: Preprocess
    on_error: OnError
    compression: Compression


Write = Callable[[Sequence[Share], Path, Path], None]
"""Writes some shards into a folder, and into another one a note for each."""


@dataclass(frozen=True)
class Plan:
    """What a shard folder will hold: everything that its bytes follow from.

    Args:
        catalog: the pictures.
        preprocess: what is done with each.
        shards: the number of files.
        on_error: what happens at a picture that cannot be read.
        compression: `"gzip"` or None.
    """

    catalog: Catalog
    preprocess: Preprocess
    shards: int
    on_error: OnError
    compression: Compression

    @property
    def key(self) -> str:
        """A digest of all that the bytes follow from, the pictures' files and the libraries too."""
        return digest_of(
            {
                "layout": _LAYOUT,
                "catalog": self.catalog.digest,
                "files": [_stamp(path) for path in self.catalog.paths],
                "preprocess": self.preprocess.digest,
                "how": [self.shards, self.on_error, self.compression],
                "versions": versions(),
            }
        )

    def bounds(self, place: int) -> tuple[int, int]:
        """Return where a shard's pictures begin and end in the catalog; shares differ by one at most.

        They follow from the catalog's length alone, so a skipped picture moves no other to another shard.
        """
        count = len(self.catalog)
        return count * place // self.shards, count * (place + 1) // self.shards

    def path(self, place: int, folder: Path) -> Path:
        """Return a shard's file."""
        return folder / shard_name(place, self.shards, self.compression)

    def share(self, place: int) -> Share:
        """Return one shard."""
        start, stop = self.bounds(place)
        name = shard_name(place, self.shards, self.compression)
        pictures = self.catalog[start:stop]
        return Share(name, pictures, start, self.preprocess, self.on_error, self.compression)


def write_shards(plan: Plan, folder: Path, notes: Path, write: Write) -> list[dict[str, Any]]:
    """Write all shards of a plan that are not there yet; return their notes in order.

    Args:
        plan: what to write.
        folder: where to.
        notes: a folder for one JSON note a finished shard.
        write: writes those that are not there.
    """
    notes.mkdir(exist_ok=True)
    finished = _finished(plan, folder, notes)
    _clean(folder, {plan.path(place, folder).name for place in finished})
    if finished:
        logger.info("%d of %d shards are there already", len(finished), plan.shards)
    write([plan.share(place) for place in range(plan.shards) if place not in finished], folder, notes)
    return _numbered(plan, folder, notes)


def in_threads(shares: Sequence[Share], folder: Path, notes: Path, *, workers: int) -> None:
    """Write several shards at a time in this process.

    Args:
        shares: the shards.
        folder: where to.
        notes: a folder for their notes.
        workers: threads. Each holds one picture as read and at most six as stored.
    """
    writers = max(1, min(workers, len(shares)))
    jobs = [partial(_write_share, share, folder, notes, max(1, workers // writers)) for share in shares]
    total = sum(len(share.pictures) for share in shares)
    for _ in track(interleaved(jobs, writers), "writing shards", total):
        pass


def _write_share(share: Share, folder: Path, notes: Path, threads: int) -> Generator[Record, None, None]:
    """Write one shard and then its note; yield each record that was done with."""
    path, pictures = folder / share.name, share.pictures
    skipped: list[dict[str, str]] = []
    index = share.first
    with _writer(path, share.compression) as writer:
        for record, picture in decoded(pictures, share.preprocess, share.on_error, threads):
            if isinstance(picture, ReadError):
                skipped.append(left_out(record, picture))
            else:
                label = pictures.classes.index(record.label)
                writer.write(_serialised(record, picture, label, index))
                index += 1
            yield record
    _note(path, notes, {"first": share.first, "records": index - share.first, "skipped": skipped})


def _numbered(plan: Plan, folder: Path, notes: Path) -> list[dict[str, Any]]:
    """Return the notes; where an earlier shard left pictures out, number the later ones' records anew."""
    paths = [plan.path(place, folder) for place in range(plan.shards)]
    found = [json.loads(note_path(path, notes).read_bytes()) for path in paths]
    firsts = accumulate((note["records"] for note in found[:-1]), initial=0)
    return [
        note if note["first"] == first else _renumber(path, notes, plan.compression, note, first)
        for path, note, first in zip(paths, found, firsts, strict=True)
    ]


def _renumber(
    path: Path, notes: Path, compression: Compression, note: Mapping[str, Any], first: int
) -> dict[str, Any]:
    data = tf.data.TFRecordDataset(str(path), compression_type=(compression or "").upper())
    with whole_file(path) as partial_path, _writer(partial_path, compression) as writer:
        for place, record in enumerate(data.as_numpy_iterator()):
            example = tf.train.Example.FromString(record)
            example.features.feature["index"].int64_list.value[0] = first + place
            writer.write(example.SerializeToString(deterministic=True))
    return _note(path, notes, {**note, "first": first})


def _writer(path: Path, compression: Compression) -> Any:
    # TensorFlow's gzip header holds no time and no name, so the bytes follow from the records alone.
    return tf.io.TFRecordWriter(str(path), tf.io.TFRecordOptions((compression or "").upper()))


def _serialised(record: Record, picture: Picture, label: int, index: int) -> bytes:
    texts = {"image": picture.tobytes(), "id": record.id.encode(), "group": (record.group or "").encode()}
    numbers = {"height": picture.shape[0], "width": picture.shape[1], "label": label, "index": index}
    features = {name: tf.train.Feature(bytes_list={"value": [value]}) for name, value in texts.items()}
    features |= {name: tf.train.Feature(int64_list={"value": [value]}) for name, value in numbers.items()}
    example = tf.train.Example(features=tf.train.Features(feature=features))
    data: bytes = example.SerializeToString(deterministic=True)
    return data


def _note(path: Path, notes: Path, what: Mapping[str, Any]) -> dict[str, Any]:
    size, sha256 = path.stat().st_size, sha256_of(path)
    note = {**what, "name": path.name, "bytes": size, "sha256": sha256, "versions": versions()}
    write_text(note_path(path, notes), json.dumps(note))
    return note


def _finished(plan: Plan, folder: Path, notes: Path) -> set[int]:
    """Return the shards that an interrupted call finished, each checked against its note."""
    return {place for place in range(plan.shards) if _fits(plan.path(place, folder), notes)}


def _clean(folder: Path, keep: set[str]) -> None:
    """Remove what an interrupted call had not finished."""
    for path in folder.iterdir():
        if path.name not in keep:
            path.unlink()


def _fits(path: Path, notes: Path) -> bool:
    kept = note_path(path, notes)
    if not path.is_file() or not kept.is_file():
        return False
    note = json.loads(kept.read_bytes())
    return bool(note["bytes"] == path.stat().st_size and note["sha256"] == sha256_of(path))


def note_path(path: Path, notes: Path) -> Path:
    """Return the place of a shard's note: which pictures, how many bytes, their SHA-256, which libraries."""
    return notes / f"{path.name}.json"


def _stamp(path: Path) -> list[int]:
    """Return a file's size and time of change; nothing for one that is gone, which reading it will say."""
    try:
        found = path.stat()
    except (OSError, ValueError):
        return []
    return [found.st_size, found.st_mtime_ns]

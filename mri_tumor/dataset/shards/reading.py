"""A folder of shards, read so that a damaged record never becomes a picture."""

import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError

from mri_tumor.dataset.decoding import Picture, read_ahead, thread_count
from mri_tumor.dataset.preprocess import Preprocess
from mri_tumor.dataset.shards.encoding import (
    AGAIN,
    UnpackedFiles,
    broken,
    check_count,
    check_records,
    payloads,
    whole,
)
from mri_tumor.errors import ManifestMismatch, MriTumorError, ShardError
from mri_tumor.manifest import FILE_NAME, Manifest

ENDINGS = (".tfrecord", ".tfrecord.gz")
COMPRESSIONS = (None, "gzip")


class Place(NamedTuple):
    """Where one record lies in a shard as unpacked: first byte, number of bytes, and their CRC-32."""

    shard: str
    start: int
    length: int
    checksum: int


@dataclass(frozen=True)
class ShardRecord:
    """One record: the picture, uint8 `(size, size, 1)`, what belongs to it, and its place if asked for."""

    picture: Picture
    label: int
    id: str
    group: str | None
    index: int
    place: Place | None


def shard_name(place: int, shards: int, compression: str | None = None) -> str:
    """Return the file name of a shard.

    >>> shard_name(0, 4), shard_name(3, 4, "gzip")
    ('part-00000-of-00004.tfrecord', 'part-00003-of-00004.tfrecord.gz')
    """
    return f"part-{place:05d}-of-{shards:05d}{ENDINGS[COMPRESSIONS.index(compression)]}"


class ShardFolder:
    """A shard folder whose manifest and file names have been checked.

    Args:
        directory: what `write_tfrecords` wrote.

    Raises:
        ShardError: no folder is there, or a shard is missing or too many.
        ManifestMismatch: the manifest is missing, damaged, or not that of shards.
    """

    def __init__(self, directory: str | Path) -> None:
        self.directory = Path(directory)
        if not self.directory.is_dir():
            raise ShardError(f"{directory} is not a folder", "a folder of shards", "check the path")
        self.manifest = Manifest.load(self.directory, kind="shards")
        self.section, self._cards = _sections(self.manifest, self.directory / FILE_NAME)
        self.preprocess = _preprocess(self.section, self.directory / FILE_NAME)
        self.labels: tuple[str, ...] = tuple(self.section["labels"])
        self.count: int = self.section["count"]
        self._check_names()
        self._by_name = {card["name"]: card for card in self._cards}
        self._unpacked = UnpackedFiles()

    def records(self, *, checksums: bool = False, places: bool = False) -> Iterator[ShardRecord]:
        """Yield every record in order. Nothing comes out of a shard before its size and SHA-256 were checked.

        Three shards at most are held in memory: one is handed out while threads check the next.

        Args:
            checksums: check every record's own CRC-32C too, which takes twice the time and finds only what
                was damaged before the SHA-256 was taken.
            places: say of each record where it lies, for `picture`.

        Raises:
            ShardError: a shard or a record is not what was written; names both.
        """
        seen: set[str] = set()
        counts: Counter[str] = Counter()
        threads = min(2, thread_count())
        for card, data in zip(self._cards, read_ahead(self._whole, self._cards, threads, 2), strict=True):
            if checksums:
                check_records(self.directory / card["name"], card)
            for number, record in enumerate(self._read(card, data, len(seen), places)):
                if record.id in seen:
                    raise broken(card["name"], number, f"repeats the id {record.id!r}")
                seen.add(record.id)
                counts[self.labels[record.label]] += 1
                yield record
        if {label: counts[label] for label in self.labels} != self.section["counts"]:
            raise ShardError(
                f"{self.directory} holds {dict(counts)}",
                f"{self.section['counts']}, as its manifest says",
                AGAIN,
            )

    def picture(self, place: Place) -> Picture:
        """Return one record's picture, read anew from where `records` found it.

        Compressed shards are unpacked to temporary files when the first picture is asked for.

        Raises:
            ShardError: the bytes there have changed since.
        """
        card = self._by_name[place.shard]
        path = self.directory / place.shard
        if card.get("compression") is not None:
            path = self._unpacked.path(place.shard, lambda: self._whole(card))
        try:
            with path.open("rb") as file:
                file.seek(place.start)
                data = file.read(place.length)
        except OSError as error:
            raise ShardError(f"shard {path} cannot be read ({error.strerror})", "a file", AGAIN) from error
        if zlib.crc32(data) != place.checksum:
            raise ShardError(
                f"{place.shard}, the record at byte {place.start} changed while it was in use",
                "shards that nobody writes to",
                AGAIN,
            )
        return self._parsed(data, place.shard, 0).picture

    def _check_names(self) -> None:
        found = {path.name for path in self.directory.iterdir() if path.name.endswith(ENDINGS)}
        named = [str(card["name"]) for card in self._cards]
        compression = self._cards[0].get("compression")
        usual = [shard_name(place, len(named), compression) for place in range(len(named))]
        for name in (*(set(named) - found), *(found - set(named))):
            what = "is missing" if name in named else "is not in the manifest"
            raise ShardError(
                f"{self.directory}: shard {name} {what}", f"the {len(named)} shards of the manifest", AGAIN
            )
        if named != usual or sum(card["records"] for card in self._cards) != self.count:
            raise ManifestMismatch(
                f"{self.directory / FILE_NAME}: the list of shards contradicts itself",
                f"{usual[0]}, ... that hold {self.count} records",
                AGAIN,
            )

    def _whole(self, card: Mapping[str, Any]) -> bytes:
        return whole(self.directory / card["name"], card, self.preprocess.size**2)

    def _read(self, card: Mapping[str, Any], shard: bytes, first: int, places: bool) -> Iterator[ShardRecord]:
        name, number = str(card["name"]), 0
        for start, data in payloads(name, shard):
            place = Place(name, start, len(data), zlib.crc32(data)) if places else None
            record = self._parsed(data, name, number, place)
            if record.index != first + number:
                raise broken(name, number, f"has index {record.index} where {first + number} should be")
            number += 1
            yield record
        check_count(self.directory / name, number, card)

    def _parsed(self, data: bytes, shard: str, number: int, place: Place | None = None) -> ShardRecord:
        try:
            features = tf.train.Example.FromString(data).features.feature
            image, name, group = (_only(features[key].bytes_list) for key in ("image", "id", "group"))
            height, width, label, index = (
                _only(features[key].int64_list) for key in ("height", "width", "label", "index")
            )
            text, together = name.decode(), group.decode() or None
        except (DecodeError, ValueError) as error:
            raise broken(shard, number, f"is not an example of this library ({error})") from error
        size = self.preprocess.size
        if not (height == width == size and len(image) == size * size):
            raise broken(shard, number, f"has {len(image)} bytes for {height} x {width} where size is {size}")
        if not 0 <= label < len(self.labels):
            raise broken(shard, number, f"has label {label} where there are {len(self.labels)} classes")
        picture = np.frombuffer(image, np.uint8).reshape(size, size, 1)
        return ShardRecord(picture, label, text, together, index, place)


def _only(values: Any) -> Any:
    if len(values.value) != 1:
        raise ValueError("a feature is missing")
    return values.value[0]


def _sections(manifest: Manifest, path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    data: Any = manifest.sections.get("data")
    cards: Any = manifest.sections.get("shards")
    wanted = {"labels": list, "preprocess": dict, "preprocess_digest": str, "count": int, "counts": dict}
    entries = {"name": str, "records": int, "bytes": int, "sha256": str}
    listed = isinstance(cards, list) and cards and all(_has(card, entries) for card in cards)
    packed = [card.get("compression") for card in cards] if listed else []
    listed = listed and packed[0] in COMPRESSIONS and packed.count(packed[0]) == len(packed)
    if listed and _has(data, wanted) and all(isinstance(label, str) for label in data["labels"]):
        return data, cards
    raise ManifestMismatch(
        f"{path} lacks what shards need",
        f"sections data ({', '.join(wanted)}) and shards ({', '.join(entries)})",
        AGAIN,
    )


def _has(section: Any, types: Mapping[str, type]) -> bool:
    return isinstance(section, dict) and all(_is(section.get(key), kind) for key, kind in types.items())


def _is(value: Any, kind: Any) -> bool:
    return isinstance(value, kind) and not isinstance(value, bool) and not (kind is int and value < 0)


def _preprocess(section: Mapping[str, Any], path: Path) -> Preprocess:
    try:
        preprocess = Preprocess.from_dict(section["preprocess"])
    except MriTumorError as error:
        raise ManifestMismatch(f"{path}: {error.found}", error.expected, AGAIN) from error
    if preprocess.digest != section["preprocess_digest"]:
        raise ManifestMismatch(
            f"{path} names preprocessing {section['preprocess_digest']:.12}",
            f"{preprocess.digest:.12}",
            AGAIN,
        )
    return preprocess

"""Where pictures come from, a catalog or shards, behind one small face."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mri_tumor.dataset.catalog import Catalog, Record
from mri_tumor.dataset.decoding import OnError, Picture, decode, decoded, left_out, read_ahead
from mri_tumor.dataset.preprocess import Preprocess
from mri_tumor.dataset.shards.reading import Place, ShardFolder
from mri_tumor.dataset.tfrecord import check_catalog, checked_preprocess, data_section, some_of
from mri_tumor.errors import ArgumentError, ManifestMismatch, ReadError
from mri_tumor.progress import track


class Store(Protocol):
    """Preprocessed pictures in order. `ids` and what follows is complete once `read_all` has run."""

    preprocess: Preprocess
    labels: tuple[str, ...]
    most: int
    ids: tuple[str, ...]
    groups: tuple[str | None, ...]
    label_indices: NDArray[np.int64]
    section: dict[str, Any]
    skipped: list[dict[str, str]]

    def read_all(self, into: NDArray[np.uint8] | None, on_error: OnError) -> int:
        """Read and check every picture, fill the array if there is one, return the number of pictures."""

    def pictures(self, places: Iterable[int]) -> Iterator[Picture]:
        """Yield the pictures at these places, read anew."""


def open_store(source: Any, preprocess: Preprocess | None) -> Store:
    """Return the store of a Catalog or a shard folder.

    Raises:
        ArgumentError: it is neither.
        ManifestMismatch: the shards were made with another preprocessing.
    """
    checked_preprocess(preprocess)
    if isinstance(source, Catalog):
        return CatalogStore(source, preprocess or Preprocess())
    if isinstance(source, str | Path):
        return ShardStore(open_shards(source, preprocess))
    raise ArgumentError(
        f"source is a {type(source).__name__}",
        "a Catalog or the folder of shards",
        "pass dataset.scan(folder), or what write_tfrecords wrote",
    )


def open_shards(directory: str | Path, preprocess: Preprocess | None) -> ShardFolder:
    """Return a shard folder whose preprocessing is the one asked for; None asks for none.

    Raises:
        ManifestMismatch: it is another one.
    """
    folder = ShardFolder(directory)
    if preprocess is not None:
        check_same(str(directory), folder.preprocess, preprocess)
    return folder


def check_same(name: str, found: Preprocess, expected: Preprocess) -> None:
    """Raise a ManifestMismatch unless two preprocessings are the same."""
    if found.digest != expected.digest:
        raise ManifestMismatch(
            f"{name} was preprocessed with {found}",
            f"{expected}",
            "write the shards with that preprocessing, or leave preprocess out",
        )


class CatalogStore:
    """The pictures of a catalog, decoded by threads."""

    def __init__(self, catalog: Catalog, preprocess: Preprocess) -> None:
        check_catalog(catalog)
        self.preprocess = preprocess
        self.labels = catalog.classes
        self.most = len(catalog)
        self.skipped: list[dict[str, str]] = []
        self._take(catalog)

    def read_all(self, into: NDArray[np.uint8] | None, on_error: OnError) -> int:
        """Decode every picture; what cannot be read raises, or leaves the catalog."""
        kept: list[Record] = []
        stream = decoded(self._catalog, self.preprocess, on_error)
        for record, picture in track(stream, "reading pictures", len(self._catalog)):
            if isinstance(picture, ReadError):
                self.skipped.append(left_out(record, picture))
                continue
            if into is not None:
                into[len(kept)] = picture
            kept.append(record)
        self._take(some_of(self._catalog, kept, self.skipped))
        return len(kept)

    def pictures(self, places: Iterable[int]) -> Iterator[Picture]:
        """Yield the pictures at these places, decoded anew."""
        return read_ahead(lambda place: decode(self._catalog[int(place)], self.preprocess), places)

    def _take(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self.ids = catalog.ids
        self.groups = catalog.groups
        self.label_indices = catalog.label_indices
        self.section = data_section(catalog, self.preprocess)


class ShardStore:
    """The pictures of a shard folder."""

    def __init__(self, folder: ShardFolder) -> None:
        self._folder = folder
        self._places: list[Place] = []
        self.preprocess = folder.preprocess
        self.labels = folder.labels
        self.most = folder.count
        self.section = folder.section
        self.skipped: list[dict[str, str]] = []
        self.ids: tuple[str, ...] = ()
        self.groups: tuple[str | None, ...] = ()
        self.label_indices = np.empty(0, np.int64)

    def read_all(self, into: NDArray[np.uint8] | None, on_error: OnError) -> int:
        """Check every record; a damaged one always raises, because others of its file may be gone too."""
        ids, groups, labels, places = [], [], [], []
        records = self._folder.records(places=into is None)
        for record in track(records, "reading shards", self._folder.count):
            if into is not None:
                into[record.index] = record.picture
            ids.append(record.id)
            groups.append(record.group)
            labels.append(record.label)
            if record.place is not None:
                places.append(record.place)
        self.ids, self.groups, self._places = tuple(ids), tuple(groups), places
        self.label_indices = np.array(labels, np.int64)
        return len(ids)

    def pictures(self, places: Iterable[int]) -> Iterator[Picture]:
        """Yield the pictures at these places, read anew."""
        if not self._places:
            self.read_all(None, "raise")
        return read_ahead(lambda place: self._folder.picture(self._places[int(place)]), places)

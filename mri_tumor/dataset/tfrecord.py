"""A catalog's pictures as TFRecord shards: preprocessed once, verified before every use.

A shard folder holds `part-00000-of-00004.tfrecord`, ... and `manifest.json`. Each record is a
`tf.train.Example` with the features `image` (raw uint8 bytes, row by row), `height`, `width`, `label` (place
in the manifest's labels), `id`, `group` (empty if unknown) and `index` (position in the set). The same
catalog and preprocessing give the same bytes, whatever the number of threads; nothing of the clock is in
them.
"""

import logging
from collections import Counter
from itertools import islice
from pathlib import Path
from typing import Any

import tensorflow as tf

from mri_tumor.dataset.catalog import Catalog, Record
from mri_tumor.dataset.decoding import OnError, Picture, check_on_error, decoded
from mri_tumor.dataset.draws import check_whole
from mri_tumor.dataset.preprocess import Preprocess
from mri_tumor.dataset.shards import ShardFolder, shard_name
from mri_tumor.errors import ArgumentError, CatalogError, ManifestMismatch, ReadError, ShardError
from mri_tumor.files import sha256_of, whole_folder
from mri_tumor.manifest import FILE_NAME, Manifest
from mri_tumor.progress import track

logger = logging.getLogger(__name__)

_RECORDS_A_SHARD = 2000  # about 100 MB at 224 x 224


def write_tfrecords(
    catalog: Catalog,
    directory: str | Path,
    *,
    preprocess: Preprocess | None = None,
    shards: int | None = None,
    on_error: OnError = "raise",
) -> Manifest:
    """Read, preprocess and store every picture of a catalog; the folder appears when all of it is written.

    Args:
        catalog: the pictures; a record's place in it becomes its `index`.
        directory: the folder to make. A shard folder that stands there is replaced as a whole.
        preprocess: what is done with each picture; `Preprocess()` if None.
        shards: the number of files, 1 to the number of pictures. None: one for every 2000 pictures begun.
        on_error: `"raise"` stops at the first picture that cannot be read; `"skip"` leaves it out, counts it
            in a warning and lists it in the manifest's section `skipped`. The index runs without a gap.

    Returns:
        The manifest that was written: kind `"shards"`, sections `data`, `shards` and `skipped`.

    Raises:
        ArgumentError: an argument is of a wrong type or outside its range.
        CatalogError: the catalog is empty, or no picture of it can be read.
        ReadError: a picture cannot be read; names its id.
        ShardError: `directory` holds something else than shards.
    """
    preprocess = _checked(catalog, preprocess, on_error)
    number = _shard_count(len(catalog), shards)
    _check_replaceable(Path(directory))
    with whole_folder(directory) as partial:
        kept, skipped, cards = _write(catalog, partial, preprocess, number, on_error)
        manifest = Manifest(
            "shards",
            {
                "data": data_section(kept, preprocess),
                "shards": cards,
                "skipped": skipped,
            },
        )
        manifest.save(partial)
    if skipped:
        logger.warning("%d of %d pictures left out of %s", len(skipped), len(catalog), directory)
    return manifest


def verify_tfrecords(directory: str | Path) -> Manifest:
    """Check a shard folder down to every record and return its manifest.

    Checked are: the files' names, sizes and SHA-256; each record's checksums, features, picture size, label,
    id and index; and the manifest's counts.

    Raises:
        ShardError: a file is missing, additional, damaged or incomplete; names the shard and the record,
            counted from 0.
        ManifestMismatch: the manifest is missing, damaged, or not that of shards.
    """
    folder = ShardFolder(directory)
    for _ in track(folder.records(), "verifying shards", folder.count):
        pass
    return folder.manifest


def data_section(catalog: Catalog, preprocess: Preprocess) -> dict[str, Any]:
    """Return a manifest's section `data`: the same for a catalog and for the shards written from it."""
    counts = Counter(catalog.labels)
    splits = set(catalog.splits)
    groups = set(catalog.groups) - {None}
    return {
        "labels": list(catalog.classes),
        "preprocess": preprocess.to_dict(),
        "preprocess_digest": preprocess.digest,
        "count": len(catalog),
        "counts": {label: counts[label] for label in catalog.classes},
        "catalog_digest": catalog.digest,
        "groups": len(groups) or None,
        "split": splits.pop() if len(splits) == 1 else None,
    }


def check_catalog(catalog: Catalog) -> None:
    """Raise a CatalogError if a catalog holds no picture."""
    if len(catalog) == 0:
        raise CatalogError("the catalog is empty", "at least one picture", "check what it was selected by")


def some_of(catalog: Catalog, kept: list[Record], skipped: list[dict[str, str]]) -> Catalog:
    """Return the catalog of the records that could be read.

    Raises:
        CatalogError: none could.
    """
    if not kept:
        raise CatalogError(
            f"none of the {len(catalog)} pictures can be read; the first: {skipped[0]['reason']}",
            "pictures that can be read",
            "check the files",
        )
    return Catalog(kept, catalog.classes) if skipped else catalog


def _write(
    catalog: Catalog, folder: Path, preprocess: Preprocess, shards: int, on_error: OnError
) -> tuple[Catalog, list[dict[str, str]], list[dict[str, Any]]]:
    kept: list[Record] = []
    skipped: list[dict[str, str]] = []
    cards: list[dict[str, Any]] = []
    stream = track(decoded(catalog, preprocess, on_error), "writing shards", len(catalog))
    for place in range(shards):
        # Bounds follow from the catalog's length alone, so a skipped picture moves no other to another shard.
        share = len(catalog) * (place + 1) // shards - len(catalog) * place // shards
        path, before = folder / shard_name(place, shards), len(kept)
        with tf.io.TFRecordWriter(str(path)) as writer:
            for record, picture in islice(stream, share):
                if isinstance(picture, ReadError):
                    skipped.append({"id": record.id, "reason": picture.found})
                    continue
                label = catalog.classes.index(record.label)
                writer.write(_serialised(record, picture, label, len(kept)))
                kept.append(record)
        cards.append(_card(path, len(kept) - before))
    next(stream, None)  # past its last item the stream says how long it took
    return some_of(catalog, kept, skipped), skipped, cards


def _serialised(record: Record, picture: Picture, label: int, index: int) -> bytes:
    texts = {"image": picture.tobytes(), "id": record.id.encode(), "group": (record.group or "").encode()}
    numbers = {"height": picture.shape[0], "width": picture.shape[1], "label": label, "index": index}
    features = {name: tf.train.Feature(bytes_list={"value": [value]}) for name, value in texts.items()}
    features |= {name: tf.train.Feature(int64_list={"value": [value]}) for name, value in numbers.items()}
    example = tf.train.Example(features=tf.train.Features(feature=features))
    data: bytes = example.SerializeToString(deterministic=True)
    return data


def _card(path: Path, records: int) -> dict[str, Any]:
    return {"name": path.name, "records": records, "bytes": path.stat().st_size, "sha256": sha256_of(path)}


def _checked(catalog: Any, preprocess: Any, on_error: str) -> Preprocess:
    if not isinstance(catalog, Catalog):
        raise ArgumentError(
            f"catalog is a {type(catalog).__name__}", "a Catalog", "pass dataset.scan(folder)"
        )
    check_catalog(catalog)
    check_on_error(on_error)
    return checked_preprocess(preprocess) or Preprocess()


def checked_preprocess(preprocess: Any) -> Preprocess | None:
    """Return `preprocess` if it is a Preprocess or None.

    Raises:
        ArgumentError: it is something else.
    """
    if preprocess is not None and not isinstance(preprocess, Preprocess):
        raise ArgumentError(
            f"preprocess is {preprocess!r}", "a Preprocess or None", "pass dataset.Preprocess(size=224)"
        )
    return preprocess


def _shard_count(pictures: int, shards: int | None) -> int:
    if shards is None:
        return -(-pictures // _RECORDS_A_SHARD)
    if check_whole("shards", shards, 1) > pictures:
        raise ArgumentError(
            f"shards is {shards} for {pictures} pictures", f"1 to {pictures}", "pass fewer shards"
        )
    return int(shards)


def _check_replaceable(directory: Path) -> None:
    expected, fix = "a new or empty folder, or one that holds shards only", "choose another folder"
    if not directory.exists():
        return
    if not directory.is_dir():
        raise ShardError(f"{directory} is a file", expected, fix)
    names = {path.name for path in directory.iterdir()}
    if not names:
        return
    try:
        Manifest.load(directory, kind="shards")
    except ManifestMismatch as error:
        raise ShardError(f"{directory} is no shard folder: {error.found}", expected, fix) from error
    strange = sorted(name for name in names - {FILE_NAME} if not name.endswith(".tfrecord"))
    if strange:
        raise ShardError(f"{directory} also holds {strange[0]!r}", expected, fix)

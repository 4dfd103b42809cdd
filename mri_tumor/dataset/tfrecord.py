"""A catalog's pictures as TFRecord shards: preprocessed once, verified before every use.

A shard folder holds `part-00000-of-00008.tfrecord`, ... and `manifest.json`. Each record is a
`tf.train.Example` with the features `image` (raw uint8 bytes, row by row), `height`, `width`, `label` (place
in the manifest's labels), `id`, `group` (empty if unknown) and `index` (position in the set). The same
catalog and preprocessing give the same bytes, whatever the number of threads and interruptions; nothing of
the clock is in them.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import tensorflow as tf

from mri_tumor.dataset.catalog import Catalog, Record
from mri_tumor.dataset.decoding import OnError, check_on_error, thread_count
from mri_tumor.dataset.draws import check_whole
from mri_tumor.dataset.preprocess import Preprocess
from mri_tumor.dataset.shards.reading import COMPRESSIONS, ENDINGS, ShardFolder
from mri_tumor.dataset.shards.writing import Compression, Plan, Write, in_threads, write_shards
from mri_tumor.errors import ArgumentError, CatalogError, ManifestMismatch, ShardError
from mri_tumor.files import check_replaceable, whole_folder
from mri_tumor.manifest import FILE_NAME, Manifest
from mri_tumor.progress import track

logger = logging.getLogger(__name__)

_ONE_SHARD = 200  # up to here one file will do
_RECORDS_A_SHARD = 2000  # about 100 MB at 224 x 224
_TOGETHER = 8  # 1, 2, 4 or 8 workers get equal numbers of files


def write_tfrecords(
    catalog: Catalog,
    directory: str | Path,
    *,
    preprocess: Preprocess | None = None,
    shards: int | None = None,
    compression: Compression = None,
    on_error: OnError = "raise",
    workers: int | None = None,
) -> Manifest:
    """Read, preprocess and store every picture of a catalog; the folder appears when all of it is written.

    A call that was killed is taken up again by the next one with the same arguments, the same files and the
    same library versions: finished shards are checked and kept, the others written, and the bytes are those
    of a call that was never interrupted. Until then its work lies in `.partial-<name>` beside `directory`.
    Any other call for the same directory empties that first. After an exception nothing is left.

    Args:
        catalog: the pictures; a record's place in it becomes its `index`.
        directory: the folder to make. A shard folder that stands there is replaced as a whole.
        preprocess: what is done with each picture; `Preprocess()` if None.
        shards: the number of files, 1 to the number of pictures; their sizes differ by one picture at most.
            For W workers that read files of their own choose a multiple of W. None: one file up to 200
            pictures; beyond, the smallest multiple of 8 with at most 2000 pictures a file.
        compression: None, or `"gzip"`, which is read back by itself. Preprocessed MR slices shrink by about a
            fifth only; writing takes twice as long and reading five times.
        on_error: `"raise"` stops at the first picture that cannot be read; `"skip"` leaves it out, counts it
            in a warning and lists it in the manifest's section `skipped`. The index runs without a gap.
        workers: threads that read and write, None: one a processor. The bytes do not depend on it. Each
            holds one picture as read and at most six as stored, so memory does not grow with the catalog.

    Returns:
        The manifest that was written: kind `"shards"`, sections `data`, `shards` and `skipped`.

    Raises:
        ArgumentError: an argument is of a wrong type or outside its range, or `directory` holds something
            else than shards.
        CatalogError: the catalog is empty, or no picture of it can be read.
        ReadError: a picture cannot be read; names its id.
        ShardError: the folder cannot be written, as on a full disk.
        MissingExtra: a picture is of a kind that needs an extra, as DICOM does; whatever `on_error` is.
        MriTumorError: another process is writing this folder.

    >>> import tempfile
    >>> from mri_tumor.dataset import make_phantoms
    >>> pictures = make_phantoms(tempfile.mkdtemp(), per_class=5, size=64)
    >>> folder = Path(tempfile.mkdtemp()) / "shards"
    >>> manifest = write_tfrecords(pictures, folder, preprocess=Preprocess(size=32), shards=2)
    >>> manifest.sections["data"]["counts"]
    {'glioma': 5, 'meningioma': 5, 'none': 5, 'pituitary': 5}
    >>> sorted(path.name for path in folder.iterdir())
    ['manifest.json', 'part-00000-of-00002.tfrecord', 'part-00001-of-00002.tfrecord']
    """
    plan = plan_of(catalog, preprocess, shards, compression, on_error)
    workers = thread_count() if workers is None else check_whole("workers", workers, 1)
    manifest = write_plan(plan, directory, partial(in_threads, workers=workers))
    skipped = manifest.sections["skipped"]
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

    >>> import tempfile
    >>> from mri_tumor.dataset import make_phantoms
    >>> pictures = make_phantoms(tempfile.mkdtemp(), per_class=5, size=64)
    >>> folder = Path(tempfile.mkdtemp()) / "shards"
    >>> _ = write_tfrecords(pictures, folder, preprocess=Preprocess(size=32))
    >>> verify_tfrecords(folder).sections["data"]["count"]
    20
    >>> _ = (folder / "part-00000-of-00001.tfrecord").write_bytes(b"")
    >>> verify_tfrecords(folder)
    Traceback (most recent call last):
    ...
    mri_tumor.errors.ShardError: shard ...
    """
    folder = ShardFolder(directory)
    for _ in track(folder.records(checksums=True), "verifying shards", folder.count):
        pass
    return folder.manifest


def data_section(catalog: Catalog, preprocess: Preprocess) -> dict[str, Any]:
    """Return a manifest's section `data`: the same for a catalog and for the shards written from it."""
    counts = Counter(catalog.labels)
    splits = set(catalog.splits)
    groups = set(catalog.groups) - {None}
    # No key rather than None: what was written before there was one stays the same.
    division = {} if catalog.division is None else {"division": catalog.division.to_dict()}
    return {
        "labels": list(catalog.classes),
        "preprocess": preprocess.to_dict(),
        "preprocess_digest": preprocess.digest,
        "count": len(catalog),
        "counts": {label: counts[label] for label in catalog.classes},
        "catalog_digest": catalog.digest,
        "groups": len(groups) or None,
        "split": splits.pop() if len(splits) == 1 else None,
        **division,
    }


def check_catalog(catalog: Catalog) -> None:
    """Raise a CatalogError if a catalog holds no picture."""
    if len(catalog) == 0:
        raise CatalogError("the catalog is empty", "at least one picture", "check what it was selected by")


def some_of(catalog: Catalog, kept: list[Record], skipped: list[dict[str, str]]) -> Catalog:
    """Return the catalog of the records that could be read; it is still of the same division.

    Raises:
        CatalogError: none could.
    """
    if not kept:
        raise CatalogError(
            f"none of the {len(catalog)} pictures can be read; the first: {skipped[0]['reason']}",
            "pictures that can be read",
            "check the files",
        )
    return Catalog(kept, catalog.classes, division=catalog.division) if skipped else catalog


def write_plan(plan: Plan, directory: str | Path, write: Write) -> Manifest:
    """Write a plan's shards and their manifest into a folder, which appears when all of it is there.

    Args:
        plan: what to write.
        directory: the folder; errors and what is taken up again are as `write_tfrecords` says.
        write: writes the shards that an interrupted call has not left.
    """
    check_replaceable(directory, _strange)
    try:
        with whole_folder(directory, key=plan.key) as folder:
            manifest = manifest_of(plan, write_shards(plan, folder, folder.parent / "notes", write))
            manifest.save(folder)
            return manifest
    except (OSError, tf.errors.OpError) as error:
        raise _unwritable(plan, directory, error) from error


def manifest_of(plan: Plan, notes: Sequence[Mapping[str, Any]]) -> Manifest:
    """Return the manifest of a plan's shards.

    Args:
        plan: what was written.
        notes: one a shard, in their order.
    """
    skipped = [picture for note in notes for picture in note["skipped"]]
    gone = {picture["id"] for picture in skipped}
    kept = some_of(plan.catalog, [record for record in plan.catalog if record.id not in gone], skipped)
    how = {} if plan.compression is None else {"compression": plan.compression}
    cards = [{name: note[name] for name in ("name", "records", "bytes", "sha256")} | how for note in notes]
    sections = {"data": data_section(kept, plan.preprocess), "shards": cards, "skipped": skipped}
    return Manifest("shards", sections)


def _unwritable(plan: Plan, directory: str | Path, error: Exception) -> ShardError:
    reason = getattr(error, "strerror", None) or getattr(error, "message", None) or error
    need = len(plan.catalog) * (plan.preprocess.size**2 + 500) / 1e6
    return ShardError(
        f"{directory} cannot be written: {reason}",
        f"a disk with room for about {need:.0f} MB, and the right to write there",
        "free some space, or choose another folder",
    )


def plan_of(
    catalog: Any, preprocess: Any, shards: int | None, compression: Any, on_error: OnError = "raise"
) -> Plan:
    """Return the plan of what `write_tfrecords` writes; arguments and errors are as it says."""
    if not isinstance(catalog, Catalog):
        raise ArgumentError(
            f"catalog is a {type(catalog).__name__}", "a Catalog", "pass dataset.scan(folder)"
        )
    check_catalog(catalog)
    check_on_error(on_error)
    if compression not in COMPRESSIONS:
        raise ArgumentError(f"compression is {compression!r}", '"gzip" or None', "pass one of the two")
    preprocess = checked_preprocess(preprocess) or Preprocess()
    return Plan(catalog, preprocess, _shard_count(len(catalog), shards), on_error, compression)


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
        return 1 if pictures <= _ONE_SHARD else _TOGETHER * -(-pictures // (_TOGETHER * _RECORDS_A_SHARD))
    if check_whole("shards", shards, 1) > pictures:
        raise ArgumentError(
            f"shards is {shards} for {pictures} pictures", f"1 to {pictures}", "pass fewer shards"
        )
    return int(shards)


def _strange(directory: Path) -> str:
    """Return what in a folder does not belong to shards, or an empty text."""
    try:
        Manifest.load(directory, kind="shards")
    except ManifestMismatch as error:
        return f"{directory} is no shard folder: {error.found}"
    names = {path.name for path in directory.iterdir()} - {FILE_NAME}
    others = sorted(name for name in names if not name.endswith(ENDINGS))
    return f"{directory} also holds {others[0]!r}" if others else ""

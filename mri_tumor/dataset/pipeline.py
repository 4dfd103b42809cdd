"""Catalog or shards to `tf.data`: decoded once, shuffled and augmented anew for every epoch.

Order and augmentation are functions of (seed, epoch, index): `load(..., epoch=7)` alone gives what epoch 7
of a run saw, and a catalog gives the same bytes as the shards written from it. Several workers cut every
batch of that epoch between them, so what all of them see together is what one process sees alone.
"""

import logging
import math
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mri_tumor.dataset.augment import Augment, check_augment
from mri_tumor.dataset.catalog import Catalog
from mri_tumor.dataset.decoding import OnError, check_on_error
from mri_tumor.dataset.draws import check_whole, shuffled
from mri_tumor.dataset.preprocess import Preprocess
from mri_tumor.dataset.stores import open_store
from mri_tumor.dataset.tensors import aligned, as_tensor
from mri_tumor.errors import ArgumentError

logger = logging.getLogger(__name__)

MEMORY_LIMIT = 2 * 1024**3
"""Bytes of decoded pictures that `Examples` keeps in memory; beyond it they are read again every epoch."""

Cut = Callable[[Any], Any]
"""From a batch's places, an array or a tensor, to those that one worker gets."""


class Examples:
    """The pictures of a catalog or a shard folder, ready for any number of epochs.

    All pictures are read and checked here, once. Up to 2 GiB of them (42 000 at 224 x 224) stay in memory as
    uint8. Beyond it every epoch reads them again: a file that was damaged meanwhile stops it with a
    `tf.errors.OpError` whose text holds ours.

    Args:
        source: a Catalog, or a folder that `write_tfrecords` made.
        preprocess: for a catalog `Preprocess()` if None; for shards None or the one they were made with.
        on_error: for a catalog, `"raise"` or `"skip"` at a picture that cannot be read. Damaged shards always
            raise.

    Attributes:
        preprocess: the Preprocess of these pictures.
        labels: class names in the order of the label numbers.
        count: number of pictures.
        ids: each picture's id, in order of index.
        groups: each picture's group or None.
        label_indices: int64 `(count,)`.
        section: what a manifest's section `data` says about these pictures.
        skipped: the pictures left out, each `{"id", "reason"}`.

    Raises:
        ArgumentError: an argument is of a wrong type.
        CatalogError: the catalog is empty.
        ReadError: a picture cannot be read; names its id.
        ShardError: a shard is damaged; names it and the record.
        ManifestMismatch: the folder has no shards' manifest, or other preprocessing than asked for.
        MissingExtra: a picture is of a kind that needs an extra, as DICOM does; whatever `on_error` is.

    >>> import tempfile
    >>> from mri_tumor.dataset import make_phantoms
    >>> pictures = make_phantoms(tempfile.mkdtemp(), per_class=5, size=64)
    >>> examples = Examples(pictures, Preprocess(size=32))
    >>> examples.count, examples.ids == pictures.ids
    (20, True)
    >>> [[len(batch["id"]) for batch in examples.batches(8, shuffle=True, epoch=epoch)] for epoch in range(2)]
    [[8, 8, 4], [8, 8, 4]]
    """

    def __init__(
        self,
        source: Catalog | str | Path,
        preprocess: Preprocess | None = None,
        *,
        on_error: OnError = "raise",
    ) -> None:
        check_on_error(on_error)
        self._store = open_store(source, preprocess)
        self.preprocess: Preprocess = self._store.preprocess
        self._images = self._read(on_error)
        self.labels: tuple[str, ...] = self._store.labels
        self.ids: tuple[str, ...] = self._store.ids
        self.groups: tuple[str | None, ...] = self._store.groups
        self.label_indices: NDArray[np.int64] = self._store.label_indices
        self.section: dict[str, Any] = self._store.section
        self.skipped: list[dict[str, str]] = self._store.skipped
        self.count = len(self.ids)
        if self.skipped:
            logger.warning("%d pictures left out, such as %s", len(self.skipped), self.skipped[0]["reason"])

    def batches(
        self,
        batch_size: int = 32,
        augment: Augment | None = None,
        shuffle: bool = False,
        seed: int = 0,
        epoch: int = 0,
        *,
        order: Any = None,
        worker: int = 0,
        workers: int = 1,
    ) -> tf.data.Dataset:
        """Return one epoch as batches; arguments and elements as in `load`, and `order` besides.

        Args:
            batch_size: as in `load`.
            augment: as in `load`.
            shuffle: as in `load`.
            seed: as in `load`.
            epoch: as in `load`.
            order: which pictures to give, whole numbers (n,) from 0, in this order unless `shuffle` mixes
                them. `i` is the picture at position `i % count`; what is drawn for it follows `i`, which is
                also its `"index"`, so that `i + count` is the same picture varied anew. None gives every
                picture once.
            worker: as in `load`.
            workers: as in `load`.
        """
        check_whole("batch_size", batch_size, 1)
        check_augment(augment)
        _check_workers(batch_size, worker, workers)
        check_whole("seed", seed, 0)
        check_whole("epoch", epoch, 0)
        order = self._order(order)
        if shuffle:
            order = order[shuffled(len(order), seed, epoch)]
        labels, ids = tf.constant(self.label_indices), tf.constant(self.ids)

        def finish(places: Any, images: Any) -> dict[str, Any]:
            if augment is not None:
                images = augment(images, places, seed=seed, epoch=epoch)
            rows = places % self.count
            chosen = {"label": tf.gather(labels, rows), "id": tf.gather(ids, rows)}
            return {"image": images, **chosen, "index": places}

        def cut(batch: Any) -> Any:
            return worker_part(batch, worker, workers)

        stream = self._streamed if self._images is None else self._gathered
        data = stream(order, batch_size, cut)
        # A fixed order of the results is what makes a run repeatable; TensorFlow's default may change.
        finish = tf.autograph.experimental.do_not_convert(finish)
        data = data.map(finish, num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
        data = data.prefetch(tf.data.AUTOTUNE).with_options(_as_written())
        data.preprocess = self.preprocess
        return data

    def _order(self, order: Any) -> NDArray[np.int64]:
        if order is None:
            return np.arange(self.count, dtype=np.int64)
        places = np.asarray(order)
        if places.ndim != 1 or not np.issubdtype(places.dtype, np.integer) or not places.size:
            raise ArgumentError(
                f"order is {places.dtype} {places.shape}", "whole numbers (n,), n from 1", "pass positions"
            )
        if places.min() < 0:
            raise ArgumentError(f"order holds {places.min()}", "numbers from 0", "count the pictures from 0")
        return places.astype(np.int64)

    def _read(self, on_error: OnError) -> Any:
        size = self.preprocess.size
        shape = (self._store.most, size, size, 1)
        kept = aligned(shape) if math.prod(shape) <= MEMORY_LIMIT else None
        count = self._store.read_all(kept, on_error)
        if kept is None:
            logger.info("%d pictures take more than %d bytes: read anew every epoch", count, MEMORY_LIMIT)
            return None
        # Over the same memory: tf.constant would hold every picture a second time.
        return as_tensor(kept[:count])

    def _gathered(self, order: NDArray[np.int64], batch_size: int, cut: Cut) -> tf.data.Dataset:
        images, count = self._images, self.count

        def chosen(batch: Any) -> tuple[Any, Any]:
            places = cut(batch)
            return places, tf.gather(images, places % count)

        batches = tf.data.Dataset.from_tensor_slices(order).batch(batch_size)
        return batches.map(tf.autograph.experimental.do_not_convert(chosen))

    def _streamed(self, order: NDArray[np.int64], batch_size: int, cut: Cut) -> tf.data.Dataset:
        size = self.preprocess.size
        signature = (tf.TensorSpec((None,), tf.int64), tf.TensorSpec((None, size, size, 1), tf.uint8))
        parts = [cut(order[start : start + batch_size]) for start in range(0, len(order), batch_size)]

        def batches() -> Iterator[tuple[NDArray[np.int64], NDArray[np.uint8]]]:
            stream = self._store.pictures(np.concatenate(parts) % self.count)
            for part in parts:
                pictures = list(islice(stream, len(part)))
                yield part, np.array(pictures, np.uint8).reshape(-1, size, size, 1)

        data = tf.data.Dataset.from_generator(batches, output_signature=signature)
        return data.apply(tf.data.experimental.assert_cardinality(len(parts)))


def worker_part(batch: Any, worker: int, workers: int) -> Any:
    """Return what one of several workers gets of a batch: the cuts are as even as they can be, in order.

    Args:
        batch: places, an array or a tensor `(n,)`.
        worker: from 0.
        workers: how many there are.

    >>> [worker_part(np.arange(5), worker, 2).tolist() for worker in range(2)]
    [[0, 1], [2, 3, 4]]
    """
    if workers == 1:
        return batch  # no operations in the graph, which is made anew for every epoch
    count = tf.size(batch) if tf.is_tensor(batch) else len(batch)
    return batch[count * worker // workers : count * (worker + 1) // workers]


def load(
    source: Catalog | str | Path,
    preprocess: Preprocess | None = None,
    batch_size: int = 32,
    augment: Augment | None = None,
    shuffle: bool = False,
    seed: int = 0,
    epoch: int = 0,
    *,
    worker: int = 0,
    workers: int = 1,
) -> tf.data.Dataset:
    """Return one epoch of a catalog or a shard folder as a `tf.data.Dataset`.

    All pictures are read and checked before this returns: shards by size and SHA-256, their records by what
    they say of themselves (`verify_tfrecords` checks the records' own checksums too). For several epochs of
    the same pictures use `Examples`, which reads them once.

    Args:
        source: a Catalog, or a folder that `write_tfrecords` made.
        preprocess: for a catalog `Preprocess()` if None; for shards None or the one they were made with.
        batch_size: pictures a batch; the last one may hold fewer.
        augment: random changes, or None.
        shuffle: a new order for every (seed, epoch), over the whole set; otherwise the order of the source.
        seed: from 0.
        epoch: from 0.
        worker: which of several workers this is, from 0. Every batch is cut between them, in order: worker
            w of W gets the rows from n*w//W to n*(w+1)//W of its n. So all workers have the same number of
            batches, their b-th parts one after the other are the b-th batch of one process alone, and no
            picture is lost or seen twice. Only the last batch, when it is short, may be cut unevenly; with
            fewer pictures than workers some parts of it are empty.
        workers: how many there are; `batch_size`, the size of the whole batch, is a multiple of it.

    Returns:
        Batches as dicts: `"image"` uint8 (B, size, size, 1), `"label"` int64 (B,), `"id"` string (B,) and
        `"index"` int64 (B,), the position in the source. The Dataset bears the Preprocess of its pictures as
        `.preprocess`, so that a classifier refuses those of another; what `map` makes of it does not.

    Raises:
        ArgumentError, CatalogError, ReadError, ShardError, ManifestMismatch, MissingExtra: as `Examples`.

    >>> import tempfile
    >>> from mri_tumor.dataset import make_phantoms
    >>> pictures = make_phantoms(tempfile.mkdtemp(), per_class=5, size=64)
    >>> batch = next(iter(load(pictures, Preprocess(size=32), batch_size=8, augment=Augment(), shuffle=True)))
    >>> batch["image"].shape, batch["image"].dtype.name, batch["label"].shape
    (TensorShape([8, 32, 32, 1]), 'uint8', TensorShape([8]))
    """
    check_whole("batch_size", batch_size, 1)
    check_augment(augment)
    _check_workers(batch_size, worker, workers)
    examples = Examples(source, preprocess)
    return examples.batches(batch_size, augment, shuffle, seed, epoch, worker=worker, workers=workers)


def _as_written() -> tf.data.Options:
    """Return options that keep TensorFlow from rewriting a Dataset: it copies all pictures to do so."""
    options = tf.data.Options()
    options.experimental_optimization.apply_default_optimizations = False
    return options


def _check_workers(batch_size: int, worker: Any, workers: Any) -> None:
    if check_whole("worker", worker, 0) >= check_whole("workers", workers, 1):
        raise ArgumentError(
            f"worker is {worker} of {workers} workers", f"0 to {workers - 1}", "count workers from 0"
        )
    if batch_size % workers:
        raise ArgumentError(
            f"batch_size is {batch_size} for {workers} workers",
            f"a multiple of {workers}: it is the size of the batch that they share",
            f"pass batch_size={workers * -(-batch_size // workers)}",
        )

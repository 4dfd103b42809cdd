"""What training reads pictures from: a catalog, a shard folder, or a plain `tf.data.Dataset`."""

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mri_tumor.dataset.augment import Augment
from mri_tumor.dataset.catalog import Catalog
from mri_tumor.dataset.pipeline import Examples
from mri_tumor.dataset.preprocess import Preprocess
from mri_tumor.dataset.stores import check_same
from mri_tumor.errors import ArgumentError
from mri_tumor.labels import LABELS

logger = logging.getLogger(__name__)


class Source(Protocol):
    """Pictures with labels, as `dataset.pipeline.Examples` offers them."""

    @property
    def preprocess(self) -> Preprocess:
        """How the pictures were made."""

    @property
    def labels(self) -> Sequence[str]:
        """The class names in order."""

    @property
    def count(self) -> int:
        """The number of pictures."""

    @property
    def ids(self) -> Sequence[str]:
        """Each picture's id; empty where ids are unknown."""

    @property
    def groups(self) -> Sequence[str | None]:
        """Each picture's group, None where it is unknown."""

    @property
    def label_indices(self) -> NDArray[np.int64]:
        """Each picture's class as its place in `labels`, int64 (count,)."""

    @property
    def section(self) -> dict[str, Any]:
        """The manifest's section about these pictures."""

    def batches(
        self,
        *,
        batch_size: int,
        augment: Augment | None,
        seed: int,
        epoch: int,
        order: NDArray[np.int64],
        worker: int = 0,
        workers: int = 1,
    ) -> tf.data.Dataset:
        """Return the pictures at the positions in `order`, as batches, or one worker's part of each.

        Dicts with `"image"` uint8 (n, size, size, 1), `"label"` and `"index"` int64 (n,).
        """


def open_source(data: Any, name: str, *, preprocess: Preprocess | None, size: int, classes: int) -> Source:
    """Return the pictures of a catalog, a shard folder or a Dataset.

    Args:
        data: what was given.
        name: the argument's name, for errors.
        preprocess: as in `train`; None is the shards' own, and for a catalog the default at the model's size.
        size: pixels that the model takes.
        classes: classes of the model.

    Raises:
        ArgumentError: it is none of these, or a Dataset of another form.
        ManifestMismatch: shards, or a Dataset of `load`, were preprocessed in another way than asked for.
    """
    if isinstance(data, tf.data.Dataset):
        logger.warning(
            "%s is a plain Dataset: no check for leaks, no cached features, and resuming is not exact; "
            "a Catalog or a shard folder has all three",
            name,
        )
        own = getattr(data, "preprocess", None)  # load() says it
        if own is not None and preprocess is not None:
            check_same(name, own, preprocess)
        return PlainSource(data, name, preprocess or own or Preprocess(size=size), classes)
    if isinstance(data, Catalog):
        return Examples(data, preprocess or Preprocess(size=size))
    if isinstance(data, str | Path):
        return Examples(data, preprocess)
    raise ArgumentError(
        f"{name} is a {type(data).__name__}",
        "a Catalog, a shard folder or a tf.data.Dataset",
        "pass dataset.scan(folder), or what write_tfrecords wrote",
    )


class PlainSource:
    """A Dataset of somebody's own: (image, label) pairs or dicts with both, batched or not.

    It is read through once for its labels. What is drawn for a picture follows its `"index"`, or its place.

    Args:
        data: finite; images uint8 (size, size, 1), 0-255, labels whole numbers.
        name: the argument's name, for errors.
        preprocess: how the pictures were made.
        classes: how many classes there are.

    Raises:
        ArgumentError: the Dataset has another form, never ends, or holds labels of other classes.
    """

    def __init__(self, data: tf.data.Dataset, name: str, preprocess: Preprocess, classes: int) -> None:
        self._data = _one_by_one(data, name, preprocess.size)
        self.preprocess = preprocess
        self.labels = LABELS if classes == len(LABELS) else tuple(str(place) for place in range(classes))
        labels = self._data.map(lambda example: example["label"]).batch(4096)
        self.label_indices = np.concatenate([np.empty(0, np.int64), *labels.as_numpy_iterator()])
        self.count = len(self.label_indices)
        self.ids: tuple[str, ...] = ()
        self.groups: tuple[str | None, ...] = (None,) * self.count
        if self.count and not 0 <= self.label_indices.min() <= self.label_indices.max() < classes:
            raise ArgumentError(
                f"{name} holds labels from {self.label_indices.min()} to {self.label_indices.max()}",
                f"0 to {classes - 1}",
                "number the classes in the order of the model's outputs",
            )

    @property
    def section(self) -> dict[str, Any]:
        """The manifest's section, as `Examples` has it; what a plain Dataset does not tell is None."""
        counts = np.bincount(self.label_indices, minlength=len(self.labels))
        return {
            "labels": list(self.labels),
            "preprocess": self.preprocess.to_dict(),
            "preprocess_digest": self.preprocess.digest,
            "count": self.count,
            "counts": {label: int(count) for label, count in zip(self.labels, counts, strict=True)},
            "catalog_digest": None,
            "groups": None,
            "split": None,
        }

    def batches(
        self,
        *,
        batch_size: int,
        augment: Augment | None,
        seed: int,
        epoch: int,
        order: NDArray[np.int64],
        worker: int = 0,
        workers: int = 1,
    ) -> tf.data.Dataset:
        """Return every picture once: as they come, or shuffled within 4096 pictures if `order` mixes them.

        Raises:
            ArgumentError: `order` leaves pictures out, or takes one twice.
        """
        if not np.array_equal(np.sort(order), np.arange(self.count)):
            raise ArgumentError(
                f"{len(order)} chosen pictures of a plain Dataset, which has no positions",
                "a Catalog or a shard folder, for folds and for sampling by class",
                "write the pictures with dataset.write_tfrecords, or train without",
            )
        data = self._data
        if (np.diff(order) < 0).any():
            drawn = int(np.random.default_rng((seed, epoch)).integers(2**31))
            data = data.shuffle(min(self.count, 4096), seed=drawn, reshuffle_each_iteration=False)
        # Keras takes the end of a Dataset of unknown length for a mistake.
        known = tf.data.experimental.assert_cardinality(-(-self.count // batch_size))
        data = own_rows(data.batch(batch_size).apply(known), worker, workers)
        if augment is None:
            return data.prefetch(tf.data.AUTOTUNE)
        vary = augment

        def varied(batch: dict[str, Any]) -> dict[str, Any]:
            return batch | {"image": vary(batch["image"], batch["index"], seed=seed, epoch=epoch)}

        return data.map(varied, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def own_rows(batches: tf.data.Dataset, worker: int, workers: int) -> tf.data.Dataset:
    """Return what one of several workers gets of every batch, cut as `load(worker=, workers=)` cuts it.

    Args:
        batches: tensors (n, ...) in any structure.
        worker: from 0.
        workers: how many there are.

    >>> batches = tf.data.Dataset.range(5).batch(5)
    >>> [next(iter(own_rows(batches, worker, 2))).numpy().tolist() for worker in range(2)]
    [[0, 1], [2, 3, 4]]
    """

    def rows(tensor: Any) -> Any:
        count = tf.shape(tensor)[0]
        return tensor[count * worker // workers : count * (worker + 1) // workers]

    if workers == 1:
        return batches
    return batches.map(lambda *batch: tf.nest.map_structure(rows, batch if len(batch) > 1 else batch[0]))


def _one_by_one(data: tf.data.Dataset, name: str, size: int) -> tf.data.Dataset:
    """Return single examples as dicts with image, label and index."""
    spec = data.element_spec
    image, label = _fields(spec)
    shape = getattr(image, "shape", tf.TensorShape(None))
    good = getattr(image, "dtype", None) == tf.uint8 and getattr(label, "dtype", tf.float32).is_integer
    if not good or shape.rank not in (3, 4) or not shape[-3:].is_compatible_with((size, size, 1)):
        raise ArgumentError(
            f"{name} has elements {spec}",
            f"(image, label) or dicts with 'image' and 'label': uint8 ({size}, {size}, 1) and whole numbers",
            "make it with dataset.load, or map it to this form",
        )
    if data.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise ArgumentError(f"{name} never ends", "a finite Dataset", "leave repeat() out")
    data = data.unbatch() if shape.rank == 4 else data

    def single(place: Any, element: Any) -> dict[str, Any]:
        image, label = _fields(element)
        index = element.get("index", place) if isinstance(element, dict) else place
        return {
            "image": tf.ensure_shape(image, (size, size, 1)),
            "label": tf.cast(label, tf.int64),
            "index": index,
        }

    return data.enumerate().map(single)


def _fields(element: Any) -> tuple[Any, Any]:
    if isinstance(element, dict):
        return element.get("image"), element.get("label")
    return (element[0], element[1]) if isinstance(element, tuple) and len(element) >= 2 else (None, None)

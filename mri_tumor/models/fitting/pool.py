"""The pictures of a run in one numbering, from which every part of it is chosen by position."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mri_tumor.dataset.augment import Augment
from mri_tumor.dataset.draws import shuffled, uniform
from mri_tumor.models.fitting.sources import Source, own_rows

Places = NDArray[np.int64]
"""Positions in a pool, int64 (n,)."""


class Pool:
    """Several sources, numbered through: the second's pictures follow the first's, and so on.

    Args:
        sources: name -> source; all of the same labels and preprocessing.

    Attributes:
        sources: as given.
        labels: class names in order.
        label_indices: int64 (count,).
        ids: each picture's id; empty if a source has none.
        groups: each picture's group, None where it is unknown.
        count: how many pictures there are in all.
    """

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self.sources = dict(sources)
        parts = list(self.sources.values())
        self.labels = tuple(parts[0].labels)
        self.label_indices = np.concatenate([part.label_indices for part in parts])
        self.ids: tuple[str, ...] = tuple(name for part in parts for name in part.ids)
        self.groups: tuple[str | None, ...] = tuple(group for part in parts for group in part.groups)
        self.count = len(self.label_indices)
        self._ends = np.cumsum([part.count for part in parts])

    def places(self, name: str) -> Places:
        """Return the positions of one source's pictures."""
        number = list(self.sources).index(name)
        start = 0 if number == 0 else self._ends[number - 1]
        return np.arange(start, self._ends[number], dtype=np.int64)

    def batches(
        self,
        order: Places,
        *,
        batch_size: int,
        augment: Augment | None,
        seed: int,
        epoch: int,
        worker: int = 0,
        workers: int = 1,
    ) -> tf.data.Dataset:
        """Return the pictures at these positions, in this order, as batches.

        A plain Dataset cannot be asked for single pictures: its own follow in an order of its own.

        Args:
            order: positions, taken modulo `count`: `i + count` is the picture at `i` varied anew. Of a plain
                Dataset every picture comes once.
            batch_size: pictures a batch; the last one may hold fewer.
            augment: random changes, or None.
            seed: of the changes.
            epoch: of the changes.
            worker: as in `load`: which of several workers' part of each batch is given.
            workers: as in `load`; `batch_size` is a multiple of it.

        Returns:
            Dicts with `"image"` uint8 (n, size, size, 1), `"label"` int64 (n,) and `"index"` int64 (n,), what
            is drawn for a picture follows.
        """
        positions, rounds = order % self.count, order // self.count
        owners = np.searchsorted(self._ends, positions, side="right")
        alone = len(np.unique(owners)) == 1
        options: dict[str, Any] = {"batch_size": batch_size, "augment": augment, "seed": seed, "epoch": epoch}
        share: dict[str, Any] = {"worker": worker, "workers": workers}
        parts = []
        for number, source in enumerate(self.sources.values()):
            own = owners == number
            if own.any():
                local = positions[own] - (self._ends[number] - source.count) + rounds[own] * source.count
                parts.append(source.batches(order=local, **options, **(share if alone else {})))
        if alone:
            return parts[0].map(_common)
        singles = [part.unbatch().map(_common) for part in parts]
        _, numbers = np.unique(owners, return_inverse=True)
        choices = tf.data.Dataset.from_tensor_slices(numbers.astype(np.int64))
        mixed = tf.data.Dataset.choose_from_datasets(singles, choices, stop_on_empty_dataset=False)
        # Keras takes the end of a Dataset of unknown length for a mistake.
        known = tf.data.experimental.assert_cardinality(-(-len(order) // batch_size))
        return own_rows(mixed.batch(batch_size).apply(known), **share)


def balanced_order(labels: Places, seed: int, epoch: int) -> Places:
    """Return as many positions as there are labels, so that every class comes equally often.

    Pictures of a small class come several times, as evenly as can be; of a large class another part comes in
    every epoch. It is a function of (seed, epoch, position).

    Args:
        labels: the class of each position, whole numbers (n,).
        seed: from 0.
        epoch: from 0.

    Returns:
        Positions, int64 (n,), shuffled; `i + n` is the position `i` for the second time, and so on.

    >>> labels = np.array([0, 0, 0, 0, 0, 1])
    >>> np.bincount(labels[balanced_order(labels, seed=0, epoch=0) % 6]).tolist()
    [3, 3]
    """
    order = np.argsort(uniform("sampling", seed, epoch, np.arange(len(labels))), kind="stable")
    classes = np.unique(labels)
    chosen = []
    for number, kind in enumerate(classes):
        quota = (len(labels) * (number + 1)) // len(classes) - (len(labels) * number) // len(classes)
        members = order[labels[order] == kind]
        times = np.arange(quota)
        chosen.append(members[times % len(members)] + times // len(members) * len(labels))
    picked = np.concatenate(chosen)
    return picked[shuffled(len(picked), seed, epoch)].astype(np.int64)


def _common(batch: dict[str, Any]) -> dict[str, Any]:
    return {name: batch[name] for name in ("image", "label", "index")}

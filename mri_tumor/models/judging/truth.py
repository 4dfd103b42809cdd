"""The true labels of the pictures that a classifier is judged by, by id."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf

from mri_tumor.dataset.catalog import Catalog
from mri_tumor.dataset.pipeline import Examples
from mri_tumor.dataset.shards.reading import ShardFolder
from mri_tumor.errors import ArgumentError, ManifestMismatch


@dataclass(frozen=True)
class Truth:
    """What is known of the pictures; all in the data's order.

    Args:
        ids: each picture's id; unique.
        labels: each picture's class.
        groups: each picture's group, None where it is unknown.
        known_ids: whether the ids are the pictures' own, and not numbers given here.
        paths: each picture's file; empty where files are unknown, as in shards.
    """

    ids: tuple[str, ...]
    labels: tuple[str, ...]
    groups: tuple[str | None, ...]
    known_ids: bool = True
    paths: tuple[Path, ...] = ()


def truth_of(data: Any, labels: tuple[str, ...]) -> Truth:
    """Read ids, labels and groups of a Catalog, Examples, a shard folder or a Dataset.

    Args:
        data: a Dataset holds dicts with `"label"` and `"id"`.
        labels: the classifier's labels; a Dataset's label numbers are places in it.

    Raises:
        ArgumentError: it is none of these; or an id comes twice, or there is no picture.
        ManifestMismatch: it holds labels that the classifier does not know, or in another order.
    """
    truth = _read(data, labels)
    check_not_empty(truth)
    if len(set(truth.ids)) < len(truth.ids):
        twice = sorted(name for name in set(truth.ids) if truth.ids.count(name) > 1)
        raise ArgumentError(f"the id {twice[0]!r} comes twice", "one picture an id", "give each its own id")
    unknown = sorted(set(truth.labels) - set(labels))
    if unknown:
        raise ManifestMismatch(
            f"the data has the labels {', '.join(unknown)}",
            f"only {', '.join(labels)}, the classifier's",
            "scan the data with the classes of the classifier",
        )
    return truth


def check_not_empty(truth: Truth) -> None:
    """Check that there is anything to judge by.

    Raises:
        ArgumentError: there is no picture.
    """
    if not truth.ids:
        raise ArgumentError("the data holds no picture", "at least one", "check what was selected")


def has_ids(data: Any) -> bool:
    """Tell whether a Dataset's elements are dicts with ids."""
    return isinstance(data.element_spec, dict) and {"id", "label"} <= data.element_spec.keys()


def labelled_batches(data: tf.data.Dataset, labels: tuple[str, ...]) -> Iterator[tuple[Any, list[str]]]:
    """Yield (pictures, labels) of a Dataset of (image, label) pairs or dicts, a batch at a time.

    Raises:
        ArgumentError: its elements are neither.
        ManifestMismatch: a label's number is no place in `labels`.
    """
    for element in _batched(data):
        image, label = _pair(element)
        yield image.numpy(), name_labels((int(value) for value in label.numpy()), labels)


def name_labels(numbers: Iterable[int], labels: tuple[str, ...]) -> list[str]:
    """Return the labels at these places.

    Raises:
        ManifestMismatch: there is no such place.
    """
    named = []
    for number in numbers:
        if not 0 <= number < len(labels):
            raise ManifestMismatch(
                f"the data has the label number {number}",
                f"0 to {len(labels) - 1}, a place in {', '.join(labels)}",
                "number the labels in the classifier's order",
            )
        named.append(labels[number])
    return named


def _read(data: Any, labels: tuple[str, ...]) -> Truth:
    if isinstance(data, Catalog):
        return Truth(data.ids, data.labels, data.groups, paths=data.paths)
    if isinstance(data, Examples):
        _check_order(data.labels, labels, "the Examples")
        return Truth(data.ids, tuple(name_labels(data.label_indices, labels)), data.groups)
    if isinstance(data, str | Path):
        return _shards(ShardFolder(data), labels)
    if isinstance(data, tf.data.Dataset):
        return _dataset(data, labels)
    raise ArgumentError(
        f"data is a {type(data).__name__}",
        "a Catalog, a shard folder or a tf.data.Dataset",
        "pass dataset.scan(folder), or what write_tfrecords wrote",
    )


def _shards(folder: ShardFolder, labels: tuple[str, ...]) -> Truth:
    _check_order(folder.labels, labels, str(folder.directory))
    rows = [(record.id, labels[record.label], record.group) for record in folder.records()]
    ids, names, groups = zip(*rows, strict=True) if rows else ((), (), ())
    return Truth(ids, names, groups)


def _check_order(found: tuple[str, ...], labels: tuple[str, ...], where: str) -> None:
    if tuple(found) != labels:
        raise ManifestMismatch(
            f"{where} has the labels {', '.join(found)}",
            f"{', '.join(labels)}, as the classifier",
            "write the data with the classes of the classifier, in its order",
        )


def _dataset(data: tf.data.Dataset, labels: tuple[str, ...]) -> Truth:
    ids, names = [], []
    for element in _batched(data.map(lambda one: {"id": one["id"], "label": one["label"]})):
        ids += [name.decode() for name in element["id"].numpy()]
        names += name_labels((int(value) for value in element["label"].numpy()), labels)
    return Truth(tuple(ids), tuple(names), (None,) * len(ids))


def _pair(element: Any) -> tuple[Any, Any]:
    if isinstance(element, dict) and {"image", "label"} <= element.keys():
        return element["image"], element["label"]
    if isinstance(element, tuple) and len(element) >= 2:
        return element[0], element[1]
    raise ArgumentError(
        "the Dataset's elements have no labels",
        "(image, label) pairs, or dicts with 'image' and 'label'",
        "make it with dataset.load",
    )


def _batched(data: tf.data.Dataset) -> tf.data.Dataset:
    spec = data.element_spec
    label = spec["label"] if isinstance(spec, dict) and "label" in spec else _pair(spec)[1]
    return data if label.shape.rank else data.batch(32)

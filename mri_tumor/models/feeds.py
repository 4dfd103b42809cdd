"""What a run trains, and on what: the whole network on pictures, or its head on cached features."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mri_tumor.dataset.draws import shuffled
from mri_tumor.models.builders import backbone, head
from mri_tumor.models.features import FeatureCache, Features, Scaling, foldable, head_batches
from mri_tumor.models.recipe import Recipe
from mri_tumor.models.sources import PlainSource, Source


@dataclass(frozen=True)
class Feed:
    """What `run_epochs` is given.

    Args:
        model: what is trained; it shares its weights with the network.
        data: epoch -> batches of (inputs, labels, weights).
        steps: batches an epoch.
        validation: batches of (inputs, labels), None for a refit.
        finish: called when the model has its final weights, so that the whole network has them too.
    """

    model: Any
    data: Callable[[int], tf.data.Dataset]
    steps: int
    validation: tf.data.Dataset | None
    finish: Callable[[], None]


def uses_features(network: Any, sources: Sequence[Source], recipe: Recipe) -> bool:
    """Tell whether a run trains on cached features: the backbone is frozen, and the data has an identity."""
    plain = any(isinstance(source, PlainSource) for source in sources)
    return recipe.cache_features and not plain and not backbone(network).trainable_weights


def class_weights(source: Source, recipe: Recipe) -> NDArray[np.float32]:
    """Return one weight a class; with `"balanced"` total / (classes x pictures of the class).

    The mean over the pictures is 1, so the learning rate means the same with weights and without.
    """
    if recipe.class_weights == "none":
        return np.ones(len(source.labels), np.float32)
    counts = np.bincount(source.label_indices, minlength=len(source.labels))
    return (source.count / (len(counts) * counts)).astype(np.float32)


def picture_feed(
    network: Any,
    train: Sequence[Source],
    validation: Source | None,
    *,
    recipe: Recipe,
    weights: NDArray[np.float32],
) -> Feed:
    """Train the whole network on pictures that are augmented anew in every epoch."""
    by_class = tf.constant(weights)

    def weighted(batch: dict[str, Any]) -> tuple[Any, Any, Any]:
        return batch["image"], batch["label"], tf.gather(by_class, batch["label"])

    def data(epoch: int) -> tf.data.Dataset:
        return _mixed(train, recipe, epoch).map(weighted).prefetch(tf.data.AUTOTUNE)

    steps = -(-sum(source.count for source in train) // recipe.batch_size)
    return Feed(network, data, steps, _validation_pictures(validation, recipe), lambda: None)


def feature_feed(
    network: Any,
    train: dict[str, Source],
    validation: Source | None,
    *,
    recipe: Recipe,
    weights: NDArray[np.float32],
    directory: Path,
) -> Feed:
    """Train the layers after the features on standardised features of the originals and their copies."""
    cache = FeatureCache(directory, backbone(network))
    features = _joined(
        [part for name, source in train.items() for part in _parts(cache, source, name, recipe)]
    )
    model = head(network)
    folds = foldable(model)
    scaling = Scaling.of(features.values) if folds else None

    def scaled(found: Features) -> Features:
        return found if scaling is None else Features(scaling(found.values), found.labels)

    ready = scaled(features)

    def data(epoch: int) -> tf.data.Dataset:
        order = shuffled(len(ready.labels), recipe.seed, epoch)
        return head_batches(ready, weights, order, recipe.batch_size)

    judged = None
    if validation is not None:
        judged = tf.data.Dataset.from_tensor_slices(tuple(scaled(cache.originals(validation, "validation"))))
        judged = judged.batch(256)

    def finish() -> None:
        if scaling is not None:
            scaling.fold(network.get_layer("logits"))

    return Feed(model, data, -(-len(ready.labels) // recipe.batch_size), judged, finish)


def _parts(cache: FeatureCache, source: Source, name: str, recipe: Recipe) -> list[Features]:
    parts = [cache.originals(source, name)]
    if recipe.augment is not None:
        for copy in range(1, recipe.copies + 1):
            parts.append(cache.copy(source, name, augment=recipe.augment, seed=recipe.seed, copy=copy))
    return parts


def _joined(parts: Sequence[Features]) -> Features:
    values = np.concatenate([part.values for part in parts])
    return Features(values, np.concatenate([part.labels for part in parts]))


def _mixed(sources: Sequence[Source], recipe: Recipe, epoch: int) -> tf.data.Dataset:
    """Return one epoch of several sources as batches in which all are mixed, as (seed, epoch) draws it."""
    size, seed = recipe.batch_size, recipe.seed
    parts = [
        source.batches(batch_size=size, augment=recipe.augment, shuffle=True, seed=seed, epoch=epoch)
        for source in sources
    ]
    if len(parts) == 1:
        return parts[0]
    parts = [
        part.unbatch().map(lambda one: {name: one[name] for name in ("image", "label")}) for part in parts
    ]
    # Each source once, in an order that a permutation of all pictures gives.
    owners = np.repeat(np.arange(len(sources)), [source.count for source in sources])
    choices = tf.data.Dataset.from_tensor_slices(owners[shuffled(len(owners), seed, epoch)])
    return tf.data.Dataset.choose_from_datasets(parts, choices, stop_on_empty_dataset=False).batch(size)


def _validation_pictures(source: Source | None, recipe: Recipe) -> tf.data.Dataset | None:
    if source is None:
        return None
    batches = source.batches(
        batch_size=recipe.batch_size, augment=None, shuffle=False, seed=recipe.seed, epoch=0
    )
    return batches.map(lambda batch: (batch["image"], batch["label"]))

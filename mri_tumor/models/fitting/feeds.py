"""What a run trains, and on what: the whole network on pictures, or its head on cached features."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mri_tumor.dataset.draws import shuffled
from mri_tumor.dataset.mixup import MixUp
from mri_tumor.models.builders import backbone, head
from mri_tumor.models.fitting.feature_table import FeatureTable
from mri_tumor.models.fitting.features import Features, Scaling, foldable, head_batches
from mri_tumor.models.fitting.pool import Places, Pool, balanced_order
from mri_tumor.models.fitting.sources import PlainSource, Source, own_rows
from mri_tumor.models.recipe import Recipe
from mri_tumor.models.steps.devices import devices_of


@dataclass(frozen=True)
class Feed:
    """What `run_epochs` is given.

    Args:
        model: what is trained; it shares its weights with the network.
        data: epoch -> batches of (inputs, labels, weights); labels are int64 (n,), with MixUp float32 (n, K).
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


def class_weights(labels: NDArray[np.int64], classes: int, recipe: Recipe) -> NDArray[np.float32]:
    """Return one weight a class; with `"balanced"` total / (classes x pictures of the class).

    The mean over the pictures is 1, so the learning rate means the same with weights and without.
    """
    if recipe.class_weights != "balanced":
        return np.ones(classes, np.float32)
    counts = np.bincount(labels, minlength=classes)
    return (len(labels) / (classes * counts)).astype(np.float32)


def picture_feed(
    network: Any,
    pool: Pool,
    train: Places,
    validation: Places,
    recipe: Recipe,
    weights: NDArray[np.float32],
) -> Feed:
    """Train the whole network on pictures that are augmented anew in every epoch; workers share batches."""
    options: dict[str, Any] = {"batch_size": recipe.batch_size, "seed": recipe.seed}
    devices = devices_of(recipe)
    share = {"worker": devices.worker, "workers": devices.workers}
    # Pictures of a whole batch are blended with each other: there the cut comes after that.
    before, after = ({}, share) if recipe.mixup else (share, {"worker": 0, "workers": 1})
    by_class = tf.constant(weights)

    def data(epoch: int) -> tf.data.Dataset:
        drawn = _order(pool.label_indices[train], recipe, epoch)
        order = train[drawn % len(train)] + drawn // len(train) * pool.count
        batches = pool.batches(order, augment=recipe.augment, epoch=epoch, **options, **before)
        weighted = _weighted(by_class, recipe, epoch)
        batches = batches.map(weighted, num_parallel_calls=tf.data.AUTOTUNE)
        return own_rows(batches, **after).prefetch(tf.data.AUTOTUNE)

    judged = None
    if len(validation):
        judged = pool.batches(validation, augment=None, epoch=0, **options, **share)
        judged = judged.map(lambda batch: (batch["image"], batch["label"]))
    return Feed(network, data, -(-len(train) // recipe.batch_size), judged, lambda: None)


def feature_feed(
    network: Any,
    table: FeatureTable,
    train: Places,
    validation: Places,
    recipe: Recipe,
    weights: NDArray[np.float32],
) -> Feed:
    """Train the layers after the features on standardised features of the originals and their copies.

    These steps are so short that sharing them saves nothing: every worker takes whole batches.
    """
    features = table.training(train)
    model = head(network)
    scaling = Scaling.of(features.values) if foldable(model) else None

    def scaled(found: Features) -> Features:
        return found if scaling is None else Features(scaling(found.values), found.labels)

    ready = scaled(features)

    def data(epoch: int) -> tf.data.Dataset:
        return head_batches(
            ready, weights, _order(ready.labels, recipe, epoch) % len(ready.labels), recipe.batch_size
        )

    judged = None
    if len(validation):
        judged = tf.data.Dataset.from_tensor_slices(tuple(scaled(table.views(validation)[0]))).batch(256)

    def finish() -> None:
        if scaling is not None:
            scaling.fold(network.get_layer("logits"))

    return Feed(model, data, -(-len(ready.labels) // recipe.batch_size), judged, finish)


def _order(labels: NDArray[np.int64], recipe: Recipe, epoch: int) -> Places:
    if recipe.class_weights == "sampling":
        return balanced_order(labels, recipe.seed, epoch)
    return shuffled(len(labels), recipe.seed, epoch)


def _weighted(by_class: Any, recipe: Recipe, epoch: int) -> Callable[[dict[str, Any]], tuple[Any, Any, Any]]:
    """Return batch -> (images, labels, weights), mixed if the recipe says so."""

    def plain(batch: dict[str, Any]) -> tuple[Any, Any, Any]:
        return batch["image"], batch["label"], tf.gather(by_class, batch["label"])

    if not recipe.mixup:
        return plain
    mix = MixUp(recipe.mixup, len(by_class))

    def mixed(batch: dict[str, Any]) -> tuple[Any, Any, Any]:
        images, rows = mix(batch["image"], batch["label"], batch["index"], seed=recipe.seed, epoch=epoch)
        return images, rows, tf.linalg.matvec(rows, by_class)

    return mixed

"""What must hold before a training run may start."""

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mri_tumor.errors import ArgumentError, LeakageError, ManifestMismatch, TrainingError
from mri_tumor.models.builders import backbone, head
from mri_tumor.models.fitting.features import foldable
from mri_tumor.models.fitting.sources import PlainSource, Source
from mri_tumor.models.novelty import PER_DIRECTION
from mri_tumor.models.recipe import Recipe
from mri_tumor.models.seen import Known, Seen

logger = logging.getLogger(__name__)


def check_sources(train: Source, validation: Source, *, size: int, classes: int) -> None:
    """Check that training and validation pictures fit each other and the model.

    Raises:
        ManifestMismatch: labels, preprocessing or sizes differ.
        TrainingError: there is nothing to train on or to select by, or too little of all or of a class.
    """
    if tuple(train.labels) != tuple(validation.labels):
        raise ManifestMismatch(
            f"train has the labels {', '.join(train.labels)}, validation {', '.join(validation.labels)}",
            "the same labels in the same order",
            "make both from one Catalog with dataset.split",
        )
    if train.preprocess.digest != validation.preprocess.digest:
        raise ManifestMismatch(
            f"train was made with {train.preprocess}, validation with {validation.preprocess}",
            "the same preprocessing",
            "write both with the same Preprocess",
        )
    if train.preprocess.size != size or len(train.labels) != classes:
        raise ManifestMismatch(
            f"pictures of size {train.preprocess.size} in {len(train.labels)} classes",
            f"size {size} and {classes} classes, as the model takes and gives",
            f"build the model with size={train.preprocess.size}, classes={len(train.labels)}",
        )
    _check_counts(train, validation)


def check_leaks(train: Known, validation: Known, *, allow: bool) -> dict[str, Any]:
    """Look for pictures and groups that train and validation share; return what the manifest records of it.

    Plain Datasets tell neither, so they are not checked.

    Raises:
        LeakageError: something is shared and `allow` is False.
    """
    shared = Seen.of([train]).shared(validation)
    if shared and not allow:
        raise LeakageError(
            f"train and validation share {shared}",
            "nothing of one in the other",
            "split with dataset.split, which keeps groups together; allow_leakage=True trains all the same "
            "and records it",
        )
    return {
        "allowed": allow,
        "checked": bool(train.ids and validation.ids),
        "shared_pictures": len(shared.pictures),
        "shared_groups": len(shared.groups),
    }


def check_recipe(recipe: Recipe, network: Any, sources: Sequence[Source], *, cached: bool) -> None:
    """Refuse what a recipe asks for and this run cannot give, before anything is computed.

    Args:
        recipe: every choice.
        network: what is trained.
        sources: the training and validation pictures.
        cached: whether the head alone is trained, on cached features.

    Raises:
        ArgumentError: it does; the error names the fields.
    """
    _check_sources_suit(recipe, sources)
    _check_head(recipe, network)
    frozen = not backbone(network).trainable_weights
    if recipe.fine_epochs and not frozen:
        raise ArgumentError(
            f"fine_epochs is {recipe.fine_epochs} for {network.name}, which is trained as a whole already",
            "a frozen backbone whose top a second phase frees",
            "build a network with pretrained weights, which is frozen; or pass fine_epochs=0",
        )
    if recipe.head_solver == "newton" and not cached:
        reason = (
            "plain Datasets, whose features are not cached" if frozen else "a backbone that is not frozen"
        )
        raise ArgumentError(
            f"head_solver is 'newton' with {reason}",
            "a frozen backbone, and Catalogs or shard folders",
            'build mobilenet_v2 with pretrained weights; or pass head_solver="adamw", or no preset',
        )
    if recipe.mixup and cached and not recipe.fine_epochs:
        raise ArgumentError(
            f"mixup is {recipe.mixup} while only a head is trained, on features",
            "a phase in which the network sees pictures",
            "pass cache_features=False, fine_epochs above 0, or mixup=0",
        )


def _check_sources_suit(recipe: Recipe, sources: Sequence[Source]) -> None:
    asked = {"folds": recipe.folds is not None, "class_weights": recipe.class_weights == "sampling"}
    fields = [f"{name} is {getattr(recipe, name)!r}" for name, chosen in asked.items() if chosen]
    if fields and any(isinstance(source, PlainSource) for source in sources):
        raise ArgumentError(
            f"{' and '.join(fields)} with a plain Dataset, whose pictures cannot be chosen one by one",
            "Catalogs or shard folders",
            "write the pictures with dataset.write_tfrecords, or leave these fields out",
        )


def _check_head(recipe: Recipe, network: Any) -> None:
    asked = {"folds": recipe.folds is not None, "head_solver": recipe.head_solver == "newton"}
    fields = [f"{name} is {getattr(recipe, name)!r}" for name, chosen in asked.items() if chosen]
    if fields and not foldable(head(network)):
        raise ArgumentError(
            f"{' and '.join(fields)} for {network.name}, whose head has several layers",
            "one dense layer with a bias after the features",
            "leave these fields out",
        )


def check_learnable(labels: NDArray[np.int64], classes: Sequence[str], name: str) -> None:
    """Check that there are pictures of every class, and enough of them for the density of their features.

    Args:
        labels: the training pictures' classes as places in `classes`, (N,).
        classes: the class names in order.
        name: what the pictures are, for errors.

    Raises:
        TrainingError: there are not.
    """
    counts = np.bincount(labels, minlength=len(classes))
    missing = [label for label, count in zip(classes, counts, strict=True) if not count]
    if missing:
        raise TrainingError(
            f"{name} has no picture of {', '.join(missing)}",
            "pictures of every class",
            "split again, or scan with only the classes that there are",
        )
    least = len(classes) + PER_DIRECTION
    if len(labels) < least:
        raise TrainingError(
            f"{name} has {len(labels)} pictures",
            f"at least {least}, {PER_DIRECTION} more than classes",
            "add pictures",
        )


def _check_counts(train: Source, validation: Source) -> None:
    for name, source in (("train", train), ("validation", validation)):
        if source.count == 0:
            raise TrainingError(f"{name} is empty", "some pictures", "split again, with more pictures")
    check_learnable(train.label_indices, train.labels, "train")
    counts = np.bincount(validation.label_indices, minlength=len(validation.labels))
    missing = [label for label, count in zip(validation.labels, counts, strict=True) if not count]
    if missing:
        logger.warning("validation has no picture of %s: nothing is selected by it", ", ".join(missing))

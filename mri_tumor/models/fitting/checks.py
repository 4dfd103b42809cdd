"""What must hold before a training run may start."""

from typing import Any

from mri_tumor.errors import ArgumentError, LeakageError, ManifestMismatch, TrainingError
from mri_tumor.models.builders import backbone
from mri_tumor.models.fitting.sources import Source
from mri_tumor.models.recipe import Recipe
from mri_tumor.models.seen import Known, Seen


def check_sources(train: Source, validation: Source, *, size: int, classes: int) -> None:
    """Check that training and validation pictures fit each other and the model.

    Raises:
        ManifestMismatch: labels, preprocessing or sizes differ.
        TrainingError: there is nothing to train on or to select by, or a class has no training picture.
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


def check_recipe(recipe: Recipe, network: Any, *, cached: bool) -> None:
    """Refuse what a recipe asks for and this run cannot give, before anything is computed.

    Raises:
        ArgumentError: it does; the error names the fields.
    """
    frozen = not backbone(network).trainable_weights
    if recipe.fine_epochs and not frozen:
        raise ArgumentError(
            f"fine_epochs is {recipe.fine_epochs} for {network.name}, which is trained as a whole already",
            "a frozen backbone whose top a second phase frees",
            "build the model with frozen=True, or pass fine_epochs=0",
        )
    if recipe.head_solver == "lbfgs" and not cached:
        reason = (
            "plain Datasets, whose features are not cached" if frozen else "a backbone that is not frozen"
        )
        raise ArgumentError(
            f"head_solver is 'lbfgs' with {reason}",
            "a frozen backbone, and Catalogs or shard folders",
            'build the model with pretrained weights, or pass head_solver="adamw"',
        )
    if recipe.mixup and cached and not recipe.fine_epochs:
        raise ArgumentError(
            f"mixup is {recipe.mixup} while only a head is trained, on features",
            "a phase in which the network sees pictures",
            "pass cache_features=False, fine_epochs above 0, or mixup=0",
        )


def _check_counts(train: Source, validation: Source) -> None:
    for name, source in (("train", train), ("validation", validation)):
        if source.count == 0:
            raise TrainingError(f"{name} is empty", "some pictures", "split again, with more pictures")
    missing = [label for label in train.labels if not train.section["counts"].get(label)]
    if missing:
        raise TrainingError(
            f"train has no picture of {', '.join(missing)}",
            "pictures of every class",
            "split again, or scan with only the classes that there are",
        )

"""What must hold before a training run may start."""

from collections.abc import Sequence
from typing import Any

from mri_tumor.dataset.catalog import Catalog
from mri_tumor.errors import LeakageError, ManifestMismatch, TrainingError
from mri_tumor.models.sources import Source


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


def check_leaks(train: Any, validation: Any, sources: Sequence[Source], *, allow: bool) -> dict[str, Any]:
    """Look for pictures and groups that train and validation share; return what the manifest records of it.

    Two catalogs are compared by their files' bytes, since ids relative to two folders may agree by chance;
    shards by id. Plain Datasets tell neither, so they are not checked.

    Raises:
        LeakageError: something is shared and `allow` is False.
    """
    pictures = _shared_pictures(train, validation, sources)
    groups = sorted(_known(sources[0].groups) & _known(sources[1].groups))
    if (pictures or groups) and not allow:
        named = [f"{len(pictures)} pictures ({_some(pictures)})"] if pictures else []
        named += [f"{len(groups)} groups ({_some(groups)})"] if groups else []
        raise LeakageError(
            f"train and validation share {' and '.join(named)}",
            "nothing of one in the other",
            "split with dataset.split, which keeps groups together; allow_leakage=True trains all the same "
            "and records it",
        )
    return {
        "allowed": allow,
        "checked": all(source.ids for source in sources),
        "shared_pictures": len(pictures),
        "shared_groups": len(groups),
    }


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


def _shared_pictures(train: Any, validation: Any, sources: Sequence[Source]) -> list[str]:
    if isinstance(train, Catalog) and isinstance(validation, Catalog):
        digests = {record.digest for record in train}
        found = [record.id for record in validation if record.digest and record.digest in digests]
        if found or all(record.digest for record in [*train, *validation]):
            return sorted(found)
    return sorted(set(sources[0].ids) & set(sources[1].ids))


def _known(groups: Sequence[str | None]) -> set[str]:
    return {group for group in groups if group is not None}


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")

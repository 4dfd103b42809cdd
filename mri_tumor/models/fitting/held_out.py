"""What the networks of a k-fold run said about the pictures that each was not trained on."""

import logging
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from mri_tumor.errors import ArgumentError, ManifestMismatch
from mri_tumor.files import whole_file
from mri_tumor.models.fitting.checks import check_learnable
from mri_tumor.models.fitting.pool import Places, Pool
from mri_tumor.models.recipe import Recipe

logger = logging.getLogger(__name__)

FILE_NAME = "out_of_fold.npz"
"""The file in a run's folder."""


@dataclass(frozen=True)
class HeldOut:
    """One row a picture, in the order of training and validation pictures together.

    Args:
        ids: each picture's id, str (N,).
        labels: its class, int64 (N,).
        groups: its group, str (N,), empty where it is unknown.
        logits: of the network that was not trained on it, float32 (N, K).
        distances: from the pictures that network was trained on, float32 (N,), as `Density` gives them.
    """

    ids: NDArray[np.str_]
    labels: NDArray[np.int64]
    groups: NDArray[np.str_]
    logits: NDArray[np.float32]
    distances: NDArray[np.float32]

    @classmethod
    def joined(cls, pool: Pool, parts: Sequence[tuple[Places, Any, Any]]) -> Self:
        """Bring the folds together: (positions, logits, distances) each."""
        order = np.argsort(np.concatenate([places for places, _, _ in parts]))
        logits = np.concatenate([logits for _, logits, _ in parts])[order]
        distances = np.concatenate([distances for _, _, distances in parts])[order]
        groups = np.array([group or "" for group in pool.groups], np.str_)
        ids = np.array(pool.ids, np.str_)
        return cls(ids, pool.label_indices, groups, logits.astype(np.float32), distances.astype(np.float32))

    def save(self, folder: Path) -> None:
        """Write `out_of_fold.npz` into a run's folder."""
        with whole_file(folder / FILE_NAME) as partial, partial.open("wb") as file:
            np.savez(file, **vars(self))

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Read what `save` wrote.

        Raises:
            ManifestMismatch: the file is not there, or damaged.
        """
        path = Path(folder) / FILE_NAME
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                return cls(*(arrays[name] for name in ("ids", "labels", "groups", "logits", "distances")))
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise ManifestMismatch(
                f"{path} cannot be used ({error})",
                "what a run with folds wrote",
                "train with Recipe(folds=5), or pass pictures",
            ) from error


class Fold(NamedTuple):
    """Positions in a pool: what a network learns from, what it is selected by, and what it never sees."""

    train: Places
    validation: Places
    held: Places


def group_folds(pool: Pool, recipe: Recipe) -> list[Fold]:
    """Return the folds of a run: each picture is held out once and validated on once, and no group is in two.

    What a network says of the pictures that it was selected by looks better than it is, so these are not the
    ones held out: they are the next fold's. A picture whose group is unknown is a group of its own.

    Raises:
        ArgumentError: a class has fewer groups than there are folds, or an id stands for two pictures.
        TrainingError: a fold would learn from too few pictures, or from none of a class: groups of several
            classes cannot always be divided otherwise.
    """
    from sklearn.model_selection import StratifiedGroupKFold

    _check_ids(pool)
    folds = recipe.folds or 1
    groups = np.array([group or f"picture {place}" for place, group in enumerate(pool.groups)])
    for number, label in enumerate(pool.labels):
        own = len(set(groups[pool.label_indices == number]))
        if own < folds:
            raise ArgumentError(
                f"class {label!r} has {own} groups for {folds} folds",
                f"at least {folds} groups of each class",
                "ask for fewer folds, or add pictures of other patients",
            )
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=recipe.seed)
    parts = [part for _, part in splitter.split(groups, pool.label_indices, groups)]
    following = [*parts[1:], parts[0]]
    found = [_fold(pool.count, held, validation) for held, validation in zip(parts, following, strict=True)]
    for number, fold in enumerate(found):
        check_learnable(pool.label_indices[fold.train], pool.labels, f"fold {number + 1}")
    return found


def log_fold(number: int, logits: NDArray[np.floating], labels: NDArray[np.int64]) -> None:
    """Log what a fold's network is worth; one that learnt nothing joins the mean all the same."""
    right = float((logits.argmax(axis=1) == labels).mean())
    most = float(np.bincount(labels).max() / len(labels))
    logger.info("fold %d: accuracy %.4f on the pictures held out", number + 1, right)
    if right <= most:
        logger.warning("fold %d is no better than naming its most frequent class, %.4f", number + 1, most)


def _check_ids(pool: Pool) -> None:
    """Refuse ids that stand for two pictures: nobody could tell which of them an answer is for."""
    twice = [name for name, times in Counter(pool.ids).items() if times > 1]
    if twice:
        raise ArgumentError(
            f"{len(twice)} ids stand in train and in validation, such as {twice[0]!r}",
            "ids that differ, as in a scan of the folder that holds both",
            "scan that folder and divide its pictures with select or split, or train without folds",
        )


def _fold(count: int, held: Places, validation: Places) -> Fold:
    return Fold(np.setdiff1d(np.arange(count), np.concatenate([held, validation])), validation, held)

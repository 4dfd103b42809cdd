"""The cached features of a run's pictures: one row a picture, once for each way it is seen."""

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from mri_tumor.dataset.augment import Augment
from mri_tumor.models.builders import backbone
from mri_tumor.models.fitting.features import FeatureCache, Features
from mri_tumor.models.fitting.pool import Places, Pool
from mri_tumor.models.fitting.sources import Source
from mri_tumor.models.recipe import Recipe


class FeatureTable:
    """Features of a pool's pictures as they are, mirrored, and varied; computed when they are first needed.

    Args:
        network: its backbone is frozen.
        pool: the pictures.
        recipe: says which views and copies there are.
        directory: where the features are kept.
    """

    def __init__(self, network: Any, pool: Pool, recipe: Recipe, directory: Path) -> None:
        self.pool, self.recipe = pool, recipe
        self._cache = FeatureCache(directory, backbone(network))

    @property
    def engine(self) -> str:
        """What computes the features: `"tensorflow"`, or `"openvino"` with its version."""
        return self._cache.engine

    def training(self, places: Places) -> Features:
        """Return what a head learns from at these places: the originals, then the copies."""
        return _stacked([_chosen(part, places) for part in (self._originals, *self._copies)])

    def views(self, places: Places) -> list[Features]:
        """Return the features of the pictures at these places, once for each view that predictions take."""
        views = [self._originals] + ([self._mirrored] if self.recipe.tta == "mirror" else [])
        return [_chosen(view, places) for view in views]

    @cached_property
    def _originals(self) -> Features:
        return self._of(lambda source, name: self._cache.originals(source, name))

    @cached_property
    def _mirrored(self) -> Features:
        return self._of(lambda source, name: self._cache.originals(source, name, mirrored=True))

    @cached_property
    def _copies(self) -> list[Features]:
        augment = self.recipe.augment
        if augment is None:
            return []
        return [self._copy(augment, number) for number in range(1, self.recipe.copies + 1)]

    def _copy(self, augment: Augment, number: int) -> Features:
        seed = self.recipe.seed
        return self._of(
            lambda source, name: self._cache.copy(source, name, augment=augment, seed=seed, copy=number)
        )

    def _of(self, compute: Callable[[Source, str], Features]) -> Features:
        return _stacked([compute(source, name) for name, source in self.pool.sources.items()])


def _chosen(features: Features, places: Places) -> Features:
    return Features(features.values[places], features.labels[places])


def _stacked(parts: Sequence[Features]) -> Features:
    values = np.concatenate([part.values for part in parts])
    return Features(values, np.concatenate([part.labels for part in parts]))

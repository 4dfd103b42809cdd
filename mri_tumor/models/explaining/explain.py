"""From whatever `predict` takes to one explanation a picture."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mri_tumor.errors import ArgumentError
from mri_tumor.models.engines.engine import Engine
from mri_tumor.models.explaining.explanation import Explanation
from mri_tumor.models.explaining.gradients import RULES, GradientHeat, Heat
from mri_tumor.models.explaining.occlusion import OcclusionHeat
from mri_tumor.models.prediction import Prediction, predictions

OCCLUSION = "occlusion"

METHODS = (*RULES, OCCLUSION)
"""What `Classifier.explain` knows."""

Batches = Iterable[tuple[list[str], NDArray[np.uint8]]]


class Method(Protocol):
    """A way to find heat."""

    def __call__(self, images: NDArray[np.uint8], targets: NDArray[np.int32]) -> Heat:
        """Return the heat of pictures, uint8 (n, size, size, 1), for a class each, int32 (n,)."""


class Explainer:
    """Finds and keeps the methods of one classifier, so that each is compiled once.

    Args:
        network: as `build` makes it.
        labels: its classes in order.
        tta: the views that its answers are the mean of.
    """

    def __init__(self, network: Any, labels: Sequence[str], tta: str) -> None:
        self._network, self._labels, self._tta = network, tuple(labels), tta
        self._made: dict[tuple[str, str | None], GradientHeat] = {}

    def check(self, method: Any, target: Any, layer: Any) -> None:
        """Refuse a method, a target or a layer that there is not, before any picture is read.

        Raises:
            ArgumentError: the same.
        """
        if method not in METHODS:
            raise ArgumentError(
                f"method is {method!r}", f"one of {', '.join(METHODS)}", 'pass method="layercam"'
            )
        if target is not None and target not in self._labels:
            raise ArgumentError(
                f"target is {target!r}",
                f"None for the most likely class, or one of {', '.join(self._labels)}",
                "correct the label",
            )
        if method == OCCLUSION and layer is not None:
            raise ArgumentError(
                f"layer is {layer!r} with method 'occlusion', which looks into no layer",
                "a layer with the methods of gradients only",
                "leave layer= out",
            )
        if layer is not None and not isinstance(layer, str):
            raise ArgumentError(f"layer is {layer!r}", "None, or one layer's name", "correct layer=")
        if method != OCCLUSION:
            self._gradients(method, layer)

    def explanations(
        self, batches: Batches, engine: Engine, *, method: str, target: str | None, layer: str | None
    ) -> Iterator[Explanation]:
        """Yield one explanation a picture, in the order of the batches.

        Args:
            batches: ids and preprocessed pictures, uint8 (n, size, size, 1).
            engine: what the classifier answers by.
            method: one of `METHODS`.
            target: the class to explain; None for the most likely one of each picture.
            layer: as `GradientHeat` takes it.

        Raises:
            ArgumentError: as in `check`.
        """
        find = self._method(engine, method, layer)
        for ids, images in batches:
            said = predictions(ids, engine(images), self._labels)
            chosen = [one.top if target is None else target for one in said]
            places = np.array([self._labels.index(one) for one in chosen], np.int32)
            for one, label, heat, image in zip(said, chosen, find(images, places), images, strict=True):
                yield explanation(one, label, method, layer, heat, image[..., 0])

    def _method(self, engine: Engine, method: str, layer: str | None) -> Method:
        if method != OCCLUSION:
            return self._gradients(method, layer)
        return OcclusionHeat(lambda images: engine(images)["logits"], int(self._network.inputs[0].shape[1]))

    def _gradients(self, method: str, layer: str | None) -> GradientHeat:
        key = method, layer
        if key not in self._made:
            self._made[key] = GradientHeat(self._network, self._tta, method, layer)
        return self._made[key]


def explanation(
    said: Prediction,
    label: str,
    method: str,
    layer: str | None,
    evidence: Heat,
    picture: NDArray[np.uint8],
) -> Explanation:
    """Return the explanation of one picture: what speaks for the class, brought to 0-1.

    Args:
        said: what is said of it.
        label: the class that is explained.
        method: how the evidence was found.
        layer: in which layer, None in all that the features are pooled from, or in none.
        evidence: float32 (size, size), negative where something speaks against the class.
        picture: uint8 (size, size).
    """
    heat = brought_to_one(evidence, picture)
    return Explanation(said, label, method, heat, np.ascontiguousarray(picture), layer)


def brought_to_one(evidence: Heat, picture: NDArray[np.uint8]) -> Heat:
    """Return what speaks for a class as heat of 0-1; where a picture has one grey only there is none.

    In such a picture whatever heat a method finds comes from its borders.

    >>> brought_to_one(np.array([[-1, 2, 4]], np.float32), np.array([[0, 1, 2]], np.uint8)).tolist()
    [[0.0, 0.5, 1.0]]
    """
    heat = np.where(np.isfinite(evidence), evidence, 0).astype(np.float32).clip(0)
    most = heat.max()
    if most <= 0 or picture.min() == picture.max():
        return np.zeros_like(heat)
    return np.asarray(heat / most, np.float32)

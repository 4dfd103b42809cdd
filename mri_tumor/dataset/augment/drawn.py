"""Arguments of an Augment and (seed, epoch, index) -> what is done to each picture."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from mri_tumor.dataset.augment.values import TERMS, Values
from mri_tumor.dataset.draws import uniform

if TYPE_CHECKING:
    from mri_tumor.dataset.augment.augment import Augment


def drawn(augment: "Augment", seed: int, epoch: int, indices: Any) -> Values:
    """Return one value a picture under each name of `apply` that `augment` asks for.

    Every name is drawn from a sequence of its own, so what one operation draws does not hang on the others.
    """
    return _Draws(seed, epoch, indices).all(augment)


class _Draws:
    def __init__(self, seed: int, epoch: int, indices: Any) -> None:
        self.seed, self.epoch, self.indices = seed, epoch, indices

    def all(self, augment: "Augment") -> Values:
        values = {
            "rotation": self.around("rotation", 0, augment.rotation),
            "brightness": self.around("brightness", 0, augment.brightness * 255),
            "contrast": self.around("contrast", 1, augment.contrast),
            "mirror": self.half("mirror", augment.mirror),
        }
        return values | self._shape(augment) | self._grey(augment)

    def _shape(self, augment: "Augment") -> Values:
        values: Values = {}
        if augment.translation:
            parts = [self.around(f"translation {way}", 0, augment.translation) for way in ("right", "down")]
            values["translation"] = np.stack(parts, axis=1)
        if augment.zoom:
            values["zoom"] = self.around("zoom", 1, augment.zoom)
        if augment.shear:
            values["shear"] = self.around("shear", 0, augment.shear)
        if augment.updown:
            values["updown"] = self.half("updown", True)
        return values

    def _grey(self, augment: "Augment") -> Values:
        values: Values = {}
        if augment.gamma:
            powers = self.around("gamma", 0, augment.gamma).tolist()
            values["gamma"] = np.array([math.exp(power) for power in powers])
        if augment.noise:
            values["noise"] = self.uniform("noise") * augment.noise
            # Up to 2**53, so that a reader of JSON with doubles only keeps it whole.
            values["noise_seed"] = (self.uniform("noise seed") * 2.0**53).astype(np.int64)
        if augment.blur:
            values["blur"] = self.uniform("blur") * augment.blur
        if augment.bias_field:
            values["bias_field"] = self._bias_field(augment.bias_field)
        return values

    def _bias_field(self, most: float) -> NDArray[np.float64]:
        """Return coefficients of which the absolute values add up to between 0 and `most`, (N, terms)."""
        terms = [self.around(f"bias field {right} {down}", 0, 1) for right, down in TERMS]
        # Added one by one: NumPy's sum may add in another order for another number of pictures.
        total = sum(np.abs(term) for term in terms)
        strength = self.uniform("bias field") * most / np.maximum(total, 1e-12)
        return np.stack([term * strength for term in terms], axis=1)

    def uniform(self, purpose: str) -> NDArray[np.float64]:
        return uniform(purpose, self.seed, self.epoch, self.indices)

    def half(self, purpose: str, wanted: bool) -> NDArray[np.bool_]:
        return self.uniform(purpose) < 0.5 if wanted else np.zeros(len(self.indices), bool)

    def around(self, purpose: str, middle: float, most: float) -> NDArray[np.float64]:
        low, high = middle - most, middle + most
        if low == high:
            return np.full(len(self.indices), float(middle))
        return self.uniform(purpose) * (high - low) + low

"""The network step by step, compiled by nothing: slow, but ready at once; others are held against it."""

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from mri_tumor.models.deciding.settings import Settings
from mri_tumor.models.deciding.views import observe
from mri_tumor.models.decision import decide
from mri_tumor.models.engines.engine import Outputs


class EagerEngine:
    """A network and its decision, as Keras runs them.

    Args:
        network: uint8 (N, size, size, 1) to logits, as `build` makes it.
        settings: how it decides.
    """

    name = "keras"
    precision = "float32"

    def __init__(self, network: Any, settings: Settings) -> None:
        self._network, self._settings = network, settings

    def __call__(self, images: NDArray[np.uint8]) -> Outputs:
        """Return what is said about preprocessed pictures, uint8 (N, size, size, 1), N from 1."""
        logits, features = observe(self._network, keras.ops.convert_to_tensor(images), self._settings.tta)
        said = decide(logits, features, self._settings) | {"logits": logits, "features": features}
        return {name: keras.ops.convert_to_numpy(value) for name, value in said.items()}

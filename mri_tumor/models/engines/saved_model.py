"""TensorFlow's form of a classifier, which TensorFlow Serving serves: the only one that decodes pictures."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mri_tumor.models.decision import answer
from mri_tumor.models.engines.engine import Outputs
from mri_tumor.models.engines.frozen import INPUT

if TYPE_CHECKING:
    from mri_tumor.dataset.preprocess import Preprocess
    from mri_tumor.models.deciding.settings import Settings

FILE = "saved_model.pb"
PARTS = (FILE, "fingerprint.pb", "variables", "assets")
"""What TensorFlow puts into the folder."""

PREPROCESSED, ENCODED = "preprocessed", "serving_default"
"""Its signatures: of uint8 (N, size, size, 1), and of JPEG and PNG files (N,)."""


def write_saved_model(model: Any, settings: "Settings", preprocess: "Preprocess", directory: Path) -> None:
    """Write a network with its preprocessing and its decision.

    Args:
        model: uint8 (N, size, size, 1) to logits.
        settings: how it decides.
        preprocess: what `serving_default` does with an encoded picture.
        directory: an empty folder.

    Raises:
        ArgumentError: a preprocessing that cannot be done in TensorFlow.
    """
    size = preprocess.size
    prepare = preprocess.graph()
    picture = tf.TensorSpec((size, size, 1), tf.uint8)

    def decided(image: Any) -> dict[str, Any]:
        return answer(model, image, settings)

    batch = tf.TensorSpec((None, size, size, 1), tf.uint8, name=INPUT)
    preprocessed = tf.function(decided, input_signature=[batch])

    def prepared(image: Any) -> Any:
        # One by one: the pictures of a request may all have other sizes.
        return preprocessed(tf.map_fn(prepare, image, fn_output_signature=picture))

    encoded = tf.TensorSpec((None,), tf.string, name=INPUT)
    signatures = {ENCODED: tf.function(prepared, input_signature=[encoded]), PREPROCESSED: preprocessed}
    # A bare module with the weights: Keras' own ExportArchive writes every weight twice (Keras 3.15).
    module = tf.Module()
    module.weights = [weight.value for weight in model.weights]
    tf.saved_model.save(module, str(directory), signatures=signatures)


class SavedModelEngine:
    """A SavedModel that `write_saved_model` wrote, by its signature `preprocessed`.

    Args:
        folder: holds `saved_model.pb`.
        precision: as it was written with.
    """

    name = "saved_model"

    def __init__(self, folder: Path, precision: str) -> None:
        self.precision = precision
        self.model = tf.saved_model.load(str(folder))

    def __call__(self, images: NDArray[np.uint8]) -> Outputs:
        """Return what is said about preprocessed pictures, uint8 (N, size, size, 1), N from 1."""
        return self.call(PREPROCESSED, images)

    def call(self, signature: str, inputs: Any) -> Outputs:
        """Return what a signature gives: `"preprocessed"` of pictures, `"serving_default"` of files."""
        found = self.model.signatures[signature](image=tf.constant(inputs))
        return {name: value.numpy() for name, value in found.items()}

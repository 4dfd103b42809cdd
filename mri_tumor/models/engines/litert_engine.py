"""LiteRT as the engine: what an exported `model.tflite` says here."""

from pathlib import Path
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from mri_tumor.dataset.decoding import thread_count
from mri_tumor.models.engines.engine import Outputs
from mri_tumor.models.engines.frozen import INPUT
from mri_tumor.models.engines.libraries import litert
from mri_tumor.models.engines.litert_format import FILE


class LiteRTEngine:
    """A model that `write_litert` wrote.

    Args:
        folder: holds `model.tflite`.
        precision: as it was written with.

    Raises:
        MissingExtra: LiteRT is not installed.
    """

    name = "litert"

    def __init__(self, folder: Path, precision: str) -> None:
        self.precision = precision
        model = (folder / FILE).read_bytes()
        self._run = (
            litert().Interpreter(model_content=model, num_threads=thread_count()).get_signature_runner()
        )
        self._lock = Lock()

    def __call__(self, images: NDArray[np.uint8]) -> Outputs:
        """Return what is said about preprocessed pictures, uint8 (N, size, size, 1), N from 1."""
        with self._lock:  # its tensors are shared by all callers
            return {name: np.array(values) for name, values in self._run(**{INPUT: images}).items()}

"""ONNX Runtime as the engine."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mri_tumor.dataset.decoding import thread_count
from mri_tumor.models.engines.engine import Outputs
from mri_tumor.models.engines.frozen import INPUT
from mri_tumor.models.engines.libraries import onnxruntime
from mri_tumor.models.engines.onnx_format import FILE

_ERRORS = 3  # and no warnings: of a model that it can run they say nothing that a user could change


class OnnxEngine:
    """A model that `write_onnx` wrote, run by ONNX Runtime on the CPU.

    Args:
        folder: holds `model.onnx`.
        precision: as it was written with.

    Raises:
        MissingExtra: ONNX Runtime is not installed.
    """

    name = "onnx"

    def __init__(self, folder: Path, precision: str) -> None:
        self.precision = precision
        runtime = onnxruntime()
        options = runtime.SessionOptions()
        options.intra_op_num_threads = thread_count()
        options.log_severity_level = _ERRORS
        # From memory: the bytes that are checked are those that are used.
        self._session = runtime.InferenceSession(
            (folder / FILE).read_bytes(), options, providers=["CPUExecutionProvider"]
        )
        self._names = [output.name for output in self._session.get_outputs()]

    def __call__(self, images: NDArray[np.uint8]) -> Outputs:
        """Return what is said about preprocessed pictures, uint8 (N, size, size, 1), N from 1."""
        return dict(zip(self._names, self._session.run(None, {INPUT: images}), strict=True))

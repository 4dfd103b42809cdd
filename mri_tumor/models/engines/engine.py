"""What every engine can do, whatever works the network out inside."""

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Outputs = dict[str, NDArray[Any]]
"""What `answer` returns for N pictures, and beside it `"logits"` (N, K) and `"features"` (N, F), float32."""


class Engine(Protocol):
    """Works a classifier's network and its decision out; may be called from several threads at once.

    Attributes:
        name: `"tensorflow"`, `"onnx"` or `"openvino"`.
        precision: what it computes in, as `"float32"`.
    """

    name: str
    precision: str

    def __call__(self, images: NDArray[np.uint8]) -> Outputs:
        """Return what is said about preprocessed pictures.

        Args:
            images: uint8 (N, size, size, 1), N from 1.
        """
        ...

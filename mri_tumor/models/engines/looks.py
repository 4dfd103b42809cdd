"""A backbone as a function of batches of one shape, by OpenVINO where that sees what TensorFlow sees."""

import importlib.metadata
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mri_tumor.errors import MissingExtra
from mri_tumor.models.engines.libraries import openvino
from mri_tumor.models.engines.openvino_engine import Requests, compiled
from mri_tumor.models.engines.openvino_format import converted
from mri_tumor.models.engines.parity import feature_difference

logger = logging.getLogger(__name__)

TENSORFLOW = "tensorflow"
TOLERANCE = 1e-3
"""How far apart two engines' features may lie, as a share of the largest feature; about 1e-6 is usual."""

_AT_ONCE = 2  # calls of TensorFlow: what one has to wait for between its layers, the other makes use of


@dataclass(frozen=True)
class Look:
    """Looks at batches of one shape; may be called from several threads at once.

    Args:
        engine: what it is done by: `"tensorflow"`, or `"openvino"` with its version.
        call: from uint8 (n, size, size, 1) to features (n, F), n always the same.
        at_once: how many calls at a time are best.
    """

    engine: str
    call: Callable[[NDArray[np.uint8]], Any]
    at_once: int = _AT_ONCE

    def __call__(self, images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the features of a batch, float32 (n, F)."""
        return np.asarray(self.call(images), np.float32)


def expected_engine() -> str:
    """Return which engine `look_by` will take unless it sees something else."""
    if tf.config.list_logical_devices("GPU"):
        return TENSORFLOW
    try:
        openvino()
    except MissingExtra:
        return TENSORFLOW
    return f"openvino {importlib.metadata.version('openvino')}"


def look_by(backbone: Any, images: NDArray[np.uint8]) -> Look:
    """Return the fastest way to run a backbone that sees in a first batch what TensorFlow sees.

    Args:
        backbone: from uint8 (N, size, size, 1) to features (N, F).
        images: that batch, uint8 (n, size, size, 1), of the shape of all others.
    """
    plain = tensorflow_look(backbone, len(images))
    if expected_engine() == TENSORFLOW:
        return plain
    try:
        other = _openvino_look(plain)
        apart = feature_difference(plain(images), other(images))
    except Exception as error:  # of a network that it does not know OpenVINO says so in many ways
        logger.info("features come from TensorFlow: OpenVINO cannot run this network (%s)", error)
        return plain
    if apart > TOLERANCE:
        logger.info("features come from TensorFlow: those of OpenVINO lie %.1e from them", apart)
        return plain
    return other


def tensorflow_look(backbone: Any, count: int) -> Look:
    """Return a backbone in inference mode as a function of batches of `count`, traced once.

    Its weights are constants there: TensorFlow then joins convolutions with the normalisation behind them.
    """
    shape = (count, *backbone.inputs[0].shape[1:])
    weights = [
        [keras.ops.convert_to_numpy(one) for one in kind]
        for kind in (backbone.trainable_variables, backbone.non_trainable_variables)
    ]

    def run(images: Any) -> Any:
        trainable, rest = ([tf.constant(one) for one in kind] for kind in weights)
        return backbone.stateless_call(trainable, rest, images, training=False)[0]

    return Look(TENSORFLOW, tf.function(run, input_signature=[tf.TensorSpec(shape, tf.uint8)]))


def _openvino_look(plain: Look) -> Look:
    function: Any = plain.call
    model = converted(function.get_concrete_function())
    requests = Requests(compiled(openvino().Core(), model, "THROUGHPUT", "float32"))
    return Look(expected_engine(), lambda images: requests(images)[0], requests.streams)

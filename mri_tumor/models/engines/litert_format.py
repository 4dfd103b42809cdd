"""LiteRT's form of a classifier (TensorFlow Lite before): `model.tflite`, for telephones and small boards."""

import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mri_tumor.models.engines.frozen import INPUT, NETWORK, Frozen, one_by_one
from mri_tumor.models.engines.libraries import litert

FILE = "model.tflite"


def write_litert(frozen: Frozen, folder: Path, precision: str, calibration: NDArray[np.uint8] | None) -> None:
    """Write the model; its one signature is `serving_default`.

    Args:
        frozen: the network and its decision.
        folder: gets `model.tflite`.
        precision: `"float32"`; `"float16"`, weights of 16 bits; `"int8"`, the network in whole numbers.
        calibration: for int8, pictures (N, size, size, 1) whose activations give the ranges.

    Raises:
        MissingExtra: LiteRT is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="mri_tumor-litert-") as temporary, warnings.catch_warnings():
        # The interpreter inside the converter announces its end; the one that is used here is LiteRT's own.
        warnings.simplefilter("ignore", UserWarning)
        tf.saved_model.save(_module(frozen), temporary, signatures=frozen.function)
        make = _MAKE[precision]
        (folder / FILE).write_bytes(
            make(lambda: tf.lite.TFLiteConverter.from_saved_model(temporary), calibration)
        )


def _module(frozen: Frozen) -> Any:
    module = tf.Module()
    module.function = frozen.function
    return module


def _plain(fresh: Callable[[], Any], _: Any) -> bytes:
    return bytes(fresh().convert())


def _halved(fresh: Callable[[], Any], _: Any) -> bytes:
    converter = fresh()
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_types = [tf.float16]
    return bytes(converter.convert())


def _quantised(fresh: Callable[[], Any], calibration: Any) -> bytes:
    def pictures() -> Iterator[dict[str, NDArray[np.uint8]]]:
        for batch in one_by_one(calibration):
            yield {INPUT: batch}

    converter = fresh()
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = pictures
    # The tool that looks for what quantising spoils is also the one that can be told what to leave alone.
    kept = tf.lite.experimental.QuantizationDebugOptions(denylisted_nodes=_decision(_plain(fresh, None)))
    tool = tf.lite.experimental.QuantizationDebugger(
        converter=converter, debug_dataset=pictures, debug_options=kept
    )
    return bytes(tool.get_nondebug_quantized_model())


def _decision(model: bytes) -> list[str]:
    """Return the names of the tensors that are not the network's; outputs have names of their own."""
    details = litert().Interpreter(model_content=model).get_tensor_details()
    return [str(one["name"]) for one in details if f"{NETWORK}/" not in one["name"]]


_MAKE: dict[str, Callable[[Callable[[], Any], Any], bytes]] = {
    "float32": _plain,
    "float16": _halved,
    "int8": _quantised,
}

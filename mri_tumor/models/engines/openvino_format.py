"""OpenVINO's form of a classifier: `model.xml` and its weights, `model.bin`."""

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mri_tumor.models.engines.frozen import OBSERVED, Frozen, one_by_one
from mri_tumor.models.engines.libraries import nncf, openvino
from mri_tumor.models.engines.quiet import quiet

FILE = "model.xml"
WEIGHTS = "model.bin"


def write_openvino(
    frozen: Frozen, folder: Path, precision: str, calibration: NDArray[np.uint8] | None
) -> None:
    """Write the model; how the processor computes is chosen where it is opened.

    Args:
        frozen: the network and its decision.
        folder: gets `model.xml` and `model.bin`.
        precision: `"float32"` or `"bfloat16"`, which are the same file; `"float16"`, weights of 16 bits that
            are widened again when it is opened; `"int8"`, convolutions and what lies between them in whole
            numbers.
        calibration: for int8, pictures (N, size, size, 1) whose activations give the ranges.

    Raises:
        MissingExtra: OpenVINO, or for int8 NNCF, is not installed.
    """
    ov, model = openvino(), converted(frozen.concrete)
    _name_outputs(model, set(frozen.concrete.structured_outputs))
    if calibration is not None:
        model = _quantised(model, calibration)
    _forget_origin(model)
    ov.save_model(model, folder / FILE, compress_to_fp16=precision == "float16")


def converted(function: Any) -> Any:
    """Return OpenVINO's model of one of TensorFlow's functions, for one shape of its argument.

    Raises:
        MissingExtra: OpenVINO is not installed.
    """
    ov = openvino()
    with quiet():
        return ov.convert_model(function)


def _name_outputs(model: Any, names: set[str]) -> None:
    """Leave each output the names that it was given: TensorFlow's, of whatever gave it, stand there too."""
    for port in model.outputs:
        port.get_tensor().set_names(port.names & names)


def _quantised(model: Any, calibration: NDArray[np.uint8]) -> Any:
    tool = nncf()
    ranges = nncf("quantization.range_estimator").RangeEstimatorParametersSet
    advanced = nncf("quantization.advanced_parameters")
    # Not by its own `set_log_level`: that silences the handlers, which may be the program's, and for good.
    with quiet("nncf"), contextlib.redirect_stdout(io.StringIO()):  # it draws bars
        return tool.quantize(
            model,
            tool.Dataset(one_by_one(calibration)),
            subset_size=len(calibration),
            preset=tool.QuantizationPreset.MIXED,
            ignored_scope=tool.IgnoredScope(names=_decision(model), validate=False),
            advanced_parameters=tool.AdvancedQuantizationParameters(
                # Its default, the mean of the pictures' extremes, cuts the brightest half of them off.
                activations_range_estimator_params=ranges.MINMAX,
                # Sums of 8-bit products overflow on processors without VNNI.
                overflow_fix=advanced.OverflowFix.ENABLE,
            ),
        )


def _decision(model: Any) -> list[str]:
    """Return the names of the operations that come after logits and features; names say nothing of that."""
    network: set[str] = set()
    ahead = [port.get_node() for port in model.outputs if port.names & set(OBSERVED)]
    while ahead:
        node = ahead.pop()
        if node.get_friendly_name() not in network:
            network.add(node.get_friendly_name())
            ahead += [given.get_source_output().get_node() for given in node.inputs()]
    return [node.get_friendly_name() for node in model.get_ops() if node.get_friendly_name() not in network]


def _forget_origin(model: Any) -> None:
    """Leave out how the file was made: where things lie on this machine is nobody's business."""
    info = model.get_rt_info()
    for name in ("conversion_parameters", "nncf"):
        with contextlib.suppress(KeyError, RuntimeError):
            del info[name]

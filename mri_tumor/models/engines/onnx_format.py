"""ONNX's form of a classifier: `model.onnx`."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mri_tumor.models.engines.frozen import INPUT, OBSERVED, Frozen, one_by_one
from mri_tumor.models.engines.libraries import onnx, onnxruntime
from mri_tumor.models.engines.onnx_graph import onnx_model

FILE = "model.onnx"
_QUANTISED = ["Conv", "Relu", "Clip", "Add"]  # between these nothing need be turned to floats and back


def write_onnx(frozen: Frozen, folder: Path, precision: str, calibration: NDArray[np.uint8] | None) -> None:
    """Write the model.

    Args:
        frozen: the network and its decision.
        folder: gets `model.onnx`.
        precision: `"float32"`; `"float16"`, all of the network; `"int8"`, the network's convolutions and
            what is between them.
        calibration: for int8, pictures (N, size, size, 1) whose activations give the ranges.

    Raises:
        MissingExtra: a tool is not installed.
    """
    model, target = onnx_model(frozen), str(folder / FILE)
    if calibration is None:
        onnx().save(_halved(model) if precision == "float16" else model, target)
        return
    with tempfile.TemporaryDirectory(prefix="mri_tumor-onnx-") as temporary:
        whole, joined = (str(Path(temporary) / name) for name in ("whole.onnx", "joined.onnx"))
        onnx().save(model, whole)
        # Normalisations become part of the convolutions before them.
        onnxruntime("quantization.shape_inference").quant_pre_process(whole, joined, skip_symbolic_shape=True)
        _quantise(joined, target, calibration)


def _halved(model: Any) -> Any:
    tool = onnxruntime("transformers.float16")
    return tool.convert_float_to_float16(
        model, keep_io_types=True, disable_shape_infer=True, node_block_list=_decision(model)
    )


def _quantise(source: str, target: str, calibration: NDArray[np.uint8]) -> None:
    tool = onnxruntime("quantization")
    tool.quantize_static(
        source,
        target,
        _reader(tool, calibration),
        quant_format=tool.QuantFormat.QDQ,
        activation_type=tool.QuantType.QUInt8,
        weight_type=tool.QuantType.QInt8,
        per_channel=True,
        reduce_range=True,  # sums of 8-bit products overflow on processors without VNNI
        op_types_to_quantize=_QUANTISED,
        nodes_to_exclude=_decision(onnx().load(source)),
    )


def _reader(tool: Any, calibration: NDArray[np.uint8]) -> Any:
    batches = iter([{INPUT: batch} for batch in one_by_one(calibration)])

    class Reader(tool.CalibrationDataReader):  # type: ignore[misc]
        """Pictures one by one."""

        def get_next(self) -> Any:
            """Return the next one, None after the last."""
            return next(batches, None)

    return Reader()


def _decision(model: Any) -> list[str]:
    """Return the names of the operations that come after logits and features; names say nothing of that."""
    makers = {name: node for node in model.graph.node for name in node.output}
    network: set[str] = set()
    ahead = [makers[name] for name in OBSERVED if name in makers]
    while ahead:
        node = ahead.pop()
        if node.name not in network:
            network.add(node.name)
            ahead += [makers[name] for name in node.input if name in makers]
    return [node.name for node in model.graph.node if node.name not in network]

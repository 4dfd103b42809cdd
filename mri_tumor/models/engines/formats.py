"""The forms that a classifier is exported in: what each can hold, how it is written and how it is run."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mri_tumor.errors import ArgumentError, EngineError, MriTumorError
from mri_tumor.models.engines import litert_format, onnx_format, openvino_format, saved_model
from mri_tumor.models.engines.engine import Engine
from mri_tumor.models.engines.frozen import Frozen
from mri_tumor.models.engines.litert_engine import LiteRTEngine
from mri_tumor.models.engines.onnx_engine import OnnxEngine
from mri_tumor.models.engines.openvino_engine import OpenVINOEngine

PRECISIONS = ("float32", "float16", "bfloat16", "int8")

Write = Callable[[Frozen, Path, str, NDArray[np.uint8] | None], None]


@dataclass(frozen=True)
class Format:
    """A form of an exported classifier.

    Args:
        file: the file that shows a folder to hold one.
        precisions: what it can be written in.
        engine: opens what was written: of the folder and the precision.
        write: writes it; None for a SavedModel, which needs the preprocessing as well.
    """

    file: str
    precisions: tuple[str, ...]
    engine: Callable[[Path, str], Engine]
    write: Write | None = None


FORMATS = {
    "saved_model": Format(saved_model.FILE, ("float32",), saved_model.SavedModelEngine),
    "onnx": Format(
        onnx_format.FILE, ("float32", "float16", "int8"), OnnxEngine, onnx_format.write_onnx
    ),
    "litert": Format(
        litert_format.FILE, ("float32", "float16", "int8"), LiteRTEngine, litert_format.write_litert
    ),
    "openvino": Format(
        openvino_format.FILE, PRECISIONS, OpenVINOEngine, openvino_format.write_openvino
    ),
}  # fmt: skip


def format_of(name: str, precision: str) -> Format:
    """Return a format that can be written in a precision.

    Raises:
        ArgumentError: there is none of that name, or not in that precision.

    >>> format_of("onnx", "int8").file
    'model.onnx'
    """
    if name not in FORMATS:
        raise ArgumentError(
            f"there is no format {name!r}", f"one of {', '.join(FORMATS)}", "correct the name"
        )
    known = FORMATS[name].precisions
    if precision not in known:
        raise ArgumentError(
            f"{name} in {precision!r}", f"one of {', '.join(known)}", "pass another precision"
        )
    return FORMATS[name]


def written(
    name: str, frozen: Frozen, folder: Path, precision: str, calibration: NDArray[np.uint8] | None = None
) -> Engine:
    """Write a classifier in one of the forms that take preprocessed pictures, and open what was written.

    Args:
        name: of the format, not `"saved_model"`.
        frozen: the network and its decision.
        folder: an empty one.
        precision: one that the format has.
        calibration: for int8, pictures (N, size, size, 1).

    Raises:
        MissingExtra: the format's tools are not installed.
        EngineError: the network has something that the format does not know.
    """
    form = FORMATS[name]
    if form.write is None:
        raise ArgumentError(f"{name} is written with its preprocessing", "another format", "export it")
    try:
        form.write(frozen, folder, precision, calibration)
        engine = form.engine(folder, precision)
        engine(np.zeros((1, frozen.size, frozen.size, 1), np.uint8))  # some tools fail only now
    except (MriTumorError, OSError):
        raise
    except Exception as error:  # each tool has errors of its own, of no common kind
        raise EngineError(
            f"{frozen.name} cannot be had as {name} in {precision} ({_reason(error)})",
            "a network of layers that the format knows",
            'use another format or engine: engine="tensorflow" runs every network',
        ) from error
    return engine


def _reason(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    # OpenVINO first tells where in its own sources that was.
    lines = [line for line in lines if not line.startswith(("Exception from", "Check '"))]
    telling = [line for line in lines if "No conversion rule" in line or "not supported" in line]
    return (telling or lines or [type(error).__name__])[0][:200]

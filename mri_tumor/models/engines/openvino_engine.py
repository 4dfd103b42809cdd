"""OpenVINO as the engine: one picture by all cores together, many by several streams beside each other."""

import math
from functools import cached_property
from pathlib import Path
from queue import SimpleQueue
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mri_tumor.dataset.decoding import read_ahead, thread_count
from mri_tumor.errors import EngineError
from mri_tumor.models.engines.engine import Outputs
from mri_tumor.models.engines.libraries import openvino
from mri_tumor.models.engines.openvino_format import FILE, WEIGHTS

_PIXELS = 2 * 224 * 224
"""Pixels a call where there are many pictures: the early layers' outputs stay in the processor's cache."""

_HINTS = {"float32": "f32", "float16": "f32", "int8": "f32", "bfloat16": "bf16"}
"""What everything that is not int8 is computed in. OpenVINO left alone takes bfloat16 where there is any."""


class OpenVINOEngine:
    """A model that `write_openvino` wrote.

    Args:
        folder: holds the model's two files.
        precision: as it was written with.

    Raises:
        MissingExtra: OpenVINO is not installed.
        EngineError: the processor does not compute in this precision.
    """

    name = "openvino"

    def __init__(self, folder: Path, precision: str) -> None:
        self.precision = precision
        ov = openvino()
        self._core = ov.Core()
        _check_processor(self._core, precision)
        # From memory: the bytes that are checked are those that are used.
        weights = np.frombuffer((folder / WEIGHTS).read_bytes(), np.uint8)
        self._model = self._core.read_model((folder / FILE).read_bytes(), ov.Tensor(weights))
        self._one = _Named(self._compile("LATENCY"))
        self._lock = Lock()

    def __call__(self, images: NDArray[np.uint8]) -> Outputs:
        """Return what is said about preprocessed pictures, uint8 (N, size, size, 1), N from 1."""
        if len(images) == 1:
            return self._one(images)
        with self._lock:
            many = self._many
        calls = max(many.streams, math.ceil(images.size / _PIXELS))
        parts = np.array_split(images, min(calls, len(images)))
        found = list(read_ahead(many, parts, many.streams, 2 * many.streams))
        return {name: np.concatenate([outputs[name] for outputs in found]) for name in found[0]}

    @cached_property
    def _many(self) -> "_Named":
        return _Named(self._compile("THROUGHPUT"))

    def _compile(self, hint: str) -> Any:
        return compiled(self._core, self._model, hint, self.precision)


def compiled(core: Any, model: Any, hint: str, precision: str) -> Any:
    """Return a model, compiled for this processor.

    Args:
        core: OpenVINO's.
        model: to compile.
        hint: `"LATENCY"`, one picture by all cores together; or `"THROUGHPUT"`, many beside each other.
        precision: as it was written with.
    """
    options = {
        "PERFORMANCE_HINT": hint,
        "INFERENCE_PRECISION_HINT": _HINTS[precision],
        "INFERENCE_NUM_THREADS": thread_count(),
        # Two processes that each hold on to the same cores would wait for each other.
        "ENABLE_CPU_PINNING": False,
    }
    return core.compile_model(model, "CPU", options)


def computes(precision: str) -> bool:
    """Tell whether this processor computes in a precision; False also where OpenVINO is not installed."""
    try:
        core = openvino().Core()
    except ImportError:
        return False
    return precision != "bfloat16" or _has_bfloat16(core)


def _check_processor(core: Any, precision: str) -> None:
    if precision == "bfloat16" and not _has_bfloat16(core):
        raise EngineError(
            f"{core.get_property('CPU', 'FULL_DEVICE_NAME')} does not compute in bfloat16",
            "a processor with AVX-512 BF16 or AMX",
            'pass precision="float32"',
        )


def _has_bfloat16(core: Any) -> bool:
    return "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")


class Requests:
    """A compiled model that several threads may call: each call takes a request of its own.

    Args:
        model: compiled.
    """

    def __init__(self, model: Any) -> None:
        self.streams = int(model.get_property("OPTIMAL_NUMBER_OF_INFER_REQUESTS"))
        self._free: SimpleQueue[Any] = SimpleQueue()
        for _ in range(self.streams):
            self._free.put(model.create_infer_request())

    def __call__(self, images: NDArray[np.uint8]) -> Any:
        """Return the outputs by their place; the caller's own."""
        request = self._free.get()
        try:
            return request.infer([np.ascontiguousarray(images)], share_inputs=True)
        finally:
            self._free.put(request)


class _Named:
    """A compiled model whose outputs have names.

    Args:
        model: compiled.
    """

    def __init__(self, model: Any) -> None:
        self._names: list[str] = []
        for port in model.outputs:  # of what is said under two names, each port has both
            self._names.append(min(port.names - set(self._names)))
        self._requests = Requests(model)
        self.streams = self._requests.streams

    def __call__(self, images: NDArray[np.uint8]) -> Outputs:
        found = self._requests(images)
        return {name: found[place] for place, name in enumerate(self._names)}

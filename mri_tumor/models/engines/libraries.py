"""The engines' libraries, imported when they are first used."""

import contextlib
import logging
import sys
import threading
from collections.abc import Iterator
from typing import Any

from mri_tumor._lazy import load_extra

_REPORTER = "openvino_telemetry"
_IMPORTING = threading.RLock()


def openvino() -> Any:
    """Return OpenVINO; raises MissingExtra where it is not installed."""
    return _quietly("openvino", "fast", "OpenVINO as engine")


def nncf(module: str = "") -> Any:
    """Return NNCF, which makes int8 for OpenVINO, or a module in it; raises MissingExtra without it."""
    return _quietly(f"nncf.{module}" if module else "nncf", "export", "OpenVINO with int8")


def onnxruntime(module: str = "") -> Any:
    """Return ONNX Runtime, or a module in it; raises MissingExtra where it is not installed."""
    name = f"onnxruntime.{module}" if module else "onnxruntime"
    return load_extra(name, "export", "ONNX Runtime as engine")


def onnx(module: str = "onnx") -> Any:
    """Return `onnx`, `tf2onnx` or a module in it; raises MissingExtra where it is not installed."""
    return load_extra(module, "export", "ONNX")


def litert() -> Any:
    """Return LiteRT's interpreter; raises MissingExtra where it is not installed."""
    return load_extra("ai_edge_litert.interpreter", "export", "LiteRT as engine")


def _quietly(module: str, extra: str, purpose: str) -> Any:
    # One thread at a time: another would find a module that is only half imported.
    with _IMPORTING, _without_reports(), _with_loggers_of_the_same_class():
        return load_extra(module, extra, purpose)


@contextlib.contextmanager
def _without_reports() -> Iterator[None]:
    """Let nothing be imported that reports the use of a library to its makers.

    By merely being imported OpenVINO and NNCF send such reports, where they find what sends them. A program
    that imported it before has decided otherwise, and keeps it.
    """
    if _REPORTER in sys.modules:
        yield
        return
    sys.modules[_REPORTER] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        sys.modules.pop(_REPORTER, None)


@contextlib.contextmanager
def _with_loggers_of_the_same_class() -> Iterator[None]:
    """Let a program's loggers stay what they are: NNCF makes all later ones of a class of its own."""
    kind = logging.getLoggerClass()
    try:
        yield
    finally:
        logging.setLoggerClass(kind)

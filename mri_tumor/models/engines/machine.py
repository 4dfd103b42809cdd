"""What a measurement was made on."""

import importlib.metadata
import platform
from pathlib import Path

from mri_tumor.dataset.decoding import thread_count

_LIBRARIES = ("mri-tumor", "tensorflow", "keras", "numpy")
_OF = {
    "saved_model": (),
    "tensorflow": (),
    "onnx": ("onnx", "tf2onnx", "onnxruntime"),
    "litert": ("ai-edge-litert",),
    "openvino": ("openvino", "nncf"),
}


def machine() -> dict[str, str | int]:
    """Return the processor's name and how many of its cores this process may use."""
    return {"processor": processor(), "cores": thread_count()}


def processor() -> str:
    """Return the processor's name, as the system gives it.

    >>> bool(processor())
    True
    """
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def versions_of(engine: str) -> dict[str, str]:
    """Return the versions of the libraries that an engine's answers depend on, as far as installed.

    Args:
        engine: or format: `"tensorflow"`, `"saved_model"`, `"onnx"`, `"litert"` or `"openvino"`.
    """
    found = {}
    for name in (*_LIBRARIES, *_OF[engine]):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found

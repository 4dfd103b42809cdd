"""The network's file, `.keras`: written bare, read without running anything that lies in it."""

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras

from mri_tumor.errors import ManifestMismatch

_CODE = frozenset({"Lambda", "__lambda__", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer"})

_CONFIG = "config.json"
_MOST = 16 << 20
"""Bytes of a configuration at most. The largest of ours has 0.8 MB, and an ensemble that for each member."""


def save_network(model: Any, path: Path) -> None:
    """Write a network without optimizer and loss: they belong to its training."""
    # A model of its own around the same layers was never compiled.
    keras.Model(model.inputs[0], model.outputs[0], name=model.name).save(path)


def load_network(path: Path) -> Any:
    """Read a network that `save_network` wrote.

    Keras' safe mode is on. As `keras.config.enable_unsafe_deserialization` would turn it off for the whole
    process, layers that carry code are refused here as well.

    Raises:
        ManifestMismatch: the file is damaged, it would grow beyond its own size, or it holds something
            else than standard layers.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            _check_sizes(archive, path)
            config = json.loads(archive.read(_CONFIG))
        code = sorted(_CODE.intersection(_classes(config)))
        if not code:
            return keras.models.load_model(path, compile=False, safe_mode=True)
        reason = f"it holds {', '.join(code)}"
    except Exception as error:  # Keras raises many kinds for what it cannot or must not read
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
    raise ManifestMismatch(
        f"{path} cannot be loaded ({reason})",
        "a network of standard Keras layers, without Lambda layers or other code",
        "build it with models.build and save the classifier again",
    )


def _check_sizes(archive: zipfile.ZipFile, path: Path) -> None:
    """Refuse what would fill the memory when it is read: Keras compresses nothing that it writes."""
    if sum(entry.file_size for entry in archive.infolist()) > path.stat().st_size:
        raise ValueError("it would grow when it is read")
    if archive.getinfo(_CONFIG).file_size > _MOST:
        raise ValueError(f"{_CONFIG} has more than {_MOST >> 20} MiB")


def _classes(config: Any) -> Iterator[str]:
    """Yield every class name in a network's configuration."""
    if isinstance(config, dict):
        yield str(config.get("class_name"))
        config = list(config.values())
    if isinstance(config, list):
        for part in config:
            yield from _classes(part)

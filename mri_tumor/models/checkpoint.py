"""The state of a run after an epoch: enough to go on as if nothing had happened."""

import json
import logging
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from mri_tumor.errors import TrainingError
from mri_tumor.files import sha256_of, whole_folder, write_text

logger = logging.getLogger(__name__)

_KEPT = {
    "EarlyStopping": ("wait", "stopped_epoch", "best", "best_epoch"),
    "ReduceLROnPlateau": ("wait", "best", "cooldown_counter"),
}
"""What Keras' callbacks remember from epoch to epoch, weights aside."""

_MODEL, _BEST, _STATE = "model.keras", "best.npz", "state.json"


class Checkpoint(keras.callbacks.Callback):  # type: ignore[misc]  # keras has no types
    """Write a checkpoint after every epoch, and put one back when training begins.

    It stands last among the callbacks, so that what it writes is what the others decided in that epoch. Each
    checkpoint is a folder of its own (`epoch-0004`) that appears whole; the newest two are kept, so that one
    damaged by the disk costs one epoch and not the run.

    Args:
        directory: where the checkpoints lie.
        callbacks: the callbacks whose state belongs to the run.
        history: the rows of the run's history, one an epoch; filled again by `restore`.
    """

    def __init__(self, directory: Path, callbacks: Sequence[Any], history: list[dict[str, float]]) -> None:
        super().__init__()
        self.directory = directory
        self.callbacks = tuple(callbacks)
        self.history = history
        self.stopped = False
        self._restored: dict[str, Any] = {}
        self._best: list[Any] | None = None

    def restore(self, model: Any) -> int:
        """Load the newest checkpoint into a built and compiled model; return the epoch to go on with.

        Raises:
            TrainingError: there are checkpoints and none of them can be read.
        """
        for left in [*self.directory.glob(".partial-*"), *self.directory.glob(".old-*")]:
            shutil.rmtree(left)  # of a process that was killed while it wrote
        folders = sorted(self._folders(), reverse=True)
        for folder in folders:
            try:
                self._read(folder, model)
            except (OSError, ValueError, KeyError) as error:
                logger.warning("%s cannot be used (%s); trying the one before", folder, error)
                continue
            logger.info("going on after epoch %d (%s)", len(self.history), folder)
            return len(self.history)
        if folders:
            raise TrainingError(
                f"none of the checkpoints in {self.directory} can be read",
                "at least one whole checkpoint",
                "delete the run's folder and start again",
            )
        return 0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Give the callbacks their memory back; they have just forgotten everything."""
        for callback in self.callbacks:
            for name, value in self._restored.get(type(callback).__name__, {}).items():
                setattr(callback, name, value)
            if self._best is not None and isinstance(callback, keras.callbacks.EarlyStopping):
                callback.best_weights = self._best

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Write the state after this epoch, then drop all but the newest two."""
        folder = self.directory / f"epoch-{epoch:04d}"
        with whole_folder(folder) as partial:
            self.model.save(partial / _MODEL)
            self._write_best(partial / _BEST)
            state = {
                "epoch": epoch,
                "stopped": bool(self.model.stop_training),
                "history": self.history,
                "callbacks": {type(callback).__name__: _memory(callback) for callback in self.callbacks},
                "sha256": {file.name: sha256_of(file) for file in sorted(partial.iterdir())},
            }
            write_text(partial / _STATE, json.dumps(state, indent=1, sort_keys=True))
        for old in sorted(self._folders())[:-2]:
            shutil.rmtree(old)

    def _write_best(self, path: Path) -> None:
        for callback in self.callbacks:
            if isinstance(callback, keras.callbacks.EarlyStopping) and callback.best_weights is not None:
                np.savez(path, *callback.best_weights)

    def _read(self, folder: Path, model: Any) -> None:
        state = json.loads((folder / _STATE).read_text(encoding="utf-8"))
        for name, digest in state["sha256"].items():
            if sha256_of(folder / name) != digest:
                raise ValueError(f"{name} was altered")
        model.load_weights(folder / _MODEL)
        if _BEST in state["sha256"]:
            with np.load(folder / _BEST, allow_pickle=False) as arrays:
                self._best = [arrays[f"arr_{number}"] for number in range(len(arrays.files))]
        self._restored, self.stopped = state["callbacks"], state["stopped"]
        self.history[:] = state["history"]

    def _folders(self) -> list[Path]:
        if not self.directory.is_dir():
            return []
        return [path for path in self.directory.iterdir() if re.fullmatch(r"epoch-\d{4,}", path.name)]

    @property
    def best_weights(self) -> list[Any] | None:
        """The weights of the best epoch as the checkpoint held them, None without one."""
        return self._best


def _memory(callback: Any) -> dict[str, Any]:
    values = {name: getattr(callback, name) for name in _KEPT[type(callback).__name__]}
    return {name: _plain(value) for name, value in values.items()}


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value

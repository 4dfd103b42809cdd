"""The state of a run after an epoch: enough to go on as if nothing had happened."""

import io
import json
import logging
import re
import shutil
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import keras
import numpy as np
from numpy.typing import NDArray

from mri_tumor.errors import TrainingError
from mri_tumor.files import sha256_of, whole_folder, write_text
from mri_tumor.models.steps.seeds import seed_states

logger = logging.getLogger(__name__)

_VALUES = {
    "EarlyStopping": ("wait", "stopped_epoch", "best", "best_epoch"),
    "ReduceLROnPlateau": ("wait", "best", "cooldown_counter"),
    "MovingAverage": (),
}
"""What callbacks remember from epoch to epoch, weights aside."""

_WEIGHTS = {"EarlyStopping": "best_weights", "MovingAverage": "raw_weights"}
"""Where they keep weights: lists of arrays, or None."""

_ARRAYS, _CARD = "arrays.npz", "state.json"


@dataclass(frozen=True)
class State:
    """A run after an epoch.

    Args:
        card: a JSON object: epochs done, whether the run has ended, its history, what the callbacks remember.
        arrays: variables of network and optimizer, and the weights that callbacks keep.
    """

    card: dict[str, Any]
    arrays: dict[str, NDArray[Any]]

    def to_bytes(self) -> bytes:
        """Return all of it as one message."""
        file = io.BytesIO()
        card = np.frombuffer(json.dumps(self.card).encode(), np.uint8)
        np.savez(file, allow_pickle=False, card=card, **self.arrays)
        return file.getvalue()

    @classmethod
    def from_bytes(cls, message: bytes) -> Self:
        """Read what `to_bytes` wrote."""
        with np.load(io.BytesIO(message), allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        return cls(json.loads(arrays.pop("card").tobytes()), arrays)

    def listed(self, name: str) -> list[NDArray[Any]] | None:
        """Return the arrays of a list that was kept under a name, None if there are none."""
        count = sum(key.startswith(f"{name}.") for key in self.arrays)
        return [self.arrays[f"{name}.{number}"] for number in range(count)] or None


class Checkpoint(keras.callbacks.Callback):  # type: ignore[misc]  # keras has no types
    """Write a checkpoint after every epoch, and put one back when training begins.

    It stands last among the callbacks, so that what it writes is what the others decided in that epoch. Each
    checkpoint is a folder of its own (`epoch-0004`) that appears whole; the newest two are kept, so that one
    damaged by the disk costs one epoch and not the run.

    Args:
        directory: where the checkpoints lie; None writes and reads nothing.
        callbacks: the callbacks whose state belongs to the run.
        history: the rows of the run's history, one an epoch; filled again by `apply`.
    """

    def __init__(
        self, directory: Path | None, callbacks: Sequence[Any], history: list[dict[str, float]]
    ) -> None:
        super().__init__()
        self.directory = directory
        self.callbacks = tuple(callbacks)
        self.history = history
        self._applied: State | None = None

    def newest(self) -> State | None:
        """Read the newest checkpoint, None if there is none.

        Raises:
            TrainingError: there are checkpoints and none of them can be read.
        """
        folders = sorted(self._folders(), reverse=True)
        for folder in folders:
            try:
                state = _read(folder)
            except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
                logger.warning("%s cannot be used (%s); trying the one before", folder, error)
                continue
            logger.info("going on after epoch %d (%s)", state.card["epochs"], folder)
            return state
        if folders:
            raise TrainingError(
                f"none of the checkpoints in {self.directory} can be read",
                "at least one whole checkpoint",
                "delete the run's folder and start again",
            )
        return None

    def now(self, model: Any) -> State:
        """Return the state of a built and compiled model, and of the callbacks."""
        arrays = _listed("model", [variable.numpy() for variable in _variables(model)])
        arrays |= _listed("optimizer", [variable.numpy() for variable in model.optimizer.variables])
        memories = {}
        # Before the first epoch there is nothing to remember.
        for callback in self.callbacks if self.history else ():
            kind = type(callback).__name__
            memories[kind] = {name: _plain(getattr(callback, name)) for name in _VALUES[kind]}
            arrays |= _listed(kind, getattr(callback, _WEIGHTS.get(kind, ""), None) or [])
        card = {"epochs": len(self.history), "stopped": bool(self.history and model.stop_training)}
        return State(card | {"history": self.history, "callbacks": memories}, arrays)

    def apply(self, state: State, model: Any) -> int:
        """Give a state to a built and compiled model; return the epoch to go on with."""
        _assign(_variables(model), state.listed("model"))
        _assign(model.optimizer.variables, state.listed("optimizer"))
        self.history[:] = state.card["history"]
        self._applied = state
        return int(state.card["epochs"])

    @property
    def stopped(self) -> bool:
        """Whether the run had ended when the applied checkpoint was written."""
        return self._applied is not None and bool(self._applied.card["stopped"])

    @property
    def best_weights(self) -> list[Any] | None:
        """The weights of the best epoch as the applied checkpoint held them, None without one."""
        return None if self._applied is None else self._applied.listed("EarlyStopping")

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Give the callbacks their memory back; they have just forgotten everything."""
        if self._applied is None:
            return
        for callback in self.callbacks:
            kind = type(callback).__name__
            for name, value in self._applied.card["callbacks"].get(kind, {}).items():
                setattr(callback, name, value)
            if kind in _WEIGHTS:
                setattr(callback, _WEIGHTS[kind], self._applied.listed(kind))

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Write the state after this epoch, then drop all but the newest two."""
        if self.directory is None:
            return
        state = self.now(self.model)
        with whole_folder(self.directory / f"epoch-{epoch:04d}") as partial:
            np.savez(partial / _ARRAYS, allow_pickle=False, **state.arrays)
            card = state.card | {"sha256": {_ARRAYS: sha256_of(partial / _ARRAYS)}}
            write_text(partial / _CARD, json.dumps(card, indent=1, sort_keys=True))
        for old in sorted(self._folders())[:-2]:
            shutil.rmtree(old)

    def clean(self) -> None:
        """Remove what a process left that was killed while it wrote."""
        if self.directory is not None:
            for left in [*self.directory.glob(".partial-*"), *self.directory.glob(".old-*")]:
                shutil.rmtree(left)

    def _folders(self) -> list[Path]:
        if self.directory is None or not self.directory.is_dir():
            return []
        return [path for path in self.directory.iterdir() if re.fullmatch(r"epoch-\d{4,}", path.name)]


def _read(folder: Path) -> State:
    card = json.loads((folder / _CARD).read_text(encoding="utf-8"))
    for name, digest in card.pop("sha256").items():
        if sha256_of(folder / name) != digest:
            raise ValueError(f"{name} was altered")
    with np.load(folder / _ARRAYS, allow_pickle=False) as file:
        return State(card, {name: file[name] for name in file.files})


def _variables(model: Any) -> list[Any]:
    """Return weights, and the states of the layers' generators of random numbers."""
    return [*model.weights, *seed_states(model)]


def _assign(variables: Sequence[Any], values: list[NDArray[Any]] | None) -> None:
    if [tuple(variable.shape) for variable in variables] != [value.shape for value in values or []]:
        raise TrainingError(
            "the checkpoint is of another network or optimizer",
            "variables of the same number and shapes",
            "train into an empty folder",
        )
    for variable, value in zip(variables, values or [], strict=True):
        variable.assign(value)


def _listed(name: str, values: Sequence[Any]) -> dict[str, NDArray[Any]]:
    return {f"{name}.{number}": np.asarray(value) for number, value in enumerate(values)}


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value

"""The epochs of one phase of a run: Keras' callbacks, and a checkpoint after each epoch."""

import logging
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from mri_tumor._lazy import load_extra
from mri_tumor.errors import TrainingError
from mri_tumor.files import whole_file
from mri_tumor.models.recipe import Recipe
from mri_tumor.models.steps.average import MovingAverage
from mri_tumor.models.steps.checkpoint import Checkpoint, State
from mri_tumor.models.steps.devices import Devices, devices_of, training_copy
from mri_tumor.models.steps.objective import compile_model, smoothed
from mri_tumor.models.steps.precision import with_precision
from mri_tumor.models.steps.replicas import Replicas, fit_replicas
from mri_tumor.models.steps.schedules import Pace
from mri_tumor.models.steps.seeds import seed_layers
from mri_tumor.progress import track

logger = logging.getLogger(__name__)

COLUMNS = ("epoch", "strength", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate", "height")
"""The columns of `history.csv`, as far as a phase has them: a head that is solved has one row a strength.
Epochs count from 0; the learning rate is that of the epoch's last step."""

Data = Callable[[int], tf.data.Dataset]


@dataclass(frozen=True)
class Outcome:
    """What the epochs came to.

    Args:
        history: one row an epoch with those of `COLUMNS` that the run has.
        best_epoch: the epoch whose weights the model now has, counted from 0: the one with the lowest
            validation loss, or the last one without validation.
    """

    history: list[dict[str, float]]
    best_epoch: int

    def column(self, name: str) -> list[float]:
        """Return one column of the history, empty if the run has none of that name."""
        return [row[name] for row in self.history if name in row]

    @property
    def rates(self) -> list[float]:
        """What a second run needs to go through the best epochs at the same rates: `run_epochs(rates=)`.

        These are the heights of the schedule's curve, epoch by epoch, up to the best one.
        """
        return self.column("height")[: self.best_epoch + 1]


def run_epochs(
    model: Any,
    data: Data,
    *,
    steps: int,
    recipe: Recipe,
    directory: Path,
    validation: tf.data.Dataset | None = None,
    epochs: int | None = None,
    learning_rate: float | None = None,
    rates: Sequence[float] | None = None,
    callbacks: Sequence[Any] = (),
) -> Outcome:
    """Train a model in place for one phase, going on from the newest checkpoint in `directory`.

    Epoch k is a function of the recipe's seed and k: what `data(k)` gives, and the layers' own draws
    (dropout), whose seeds are set at every epoch's start. So a run that was killed ends as one that was not.

    Labels are whole numbers (n,) or float32 rows (n, K) that sum to 1. Smoothing is put into the training
    labels; validation is judged by the plain cross-entropy, so that losses compare between recipes.

    In half precision, and on several devices, a copy of the model is trained, and the model gets its float32
    weights. In dropout the devices of one machine drop the same places, workers each their own. With workers,
    each calls this with its own part of every batch (or with whole batches, which ends with the same weights
    and saves no time); worker 0 alone reads and writes in `directory`.

    Args:
        model: built, functional; it is compiled here.
        data: epoch -> batches of (inputs, labels, weights as float32).
        steps: batches an epoch.
        recipe: schedule, patience, average, precision, devices, seed and the like.
        directory: gets `history.csv`, `checkpoint/` and, if asked for, `tensorboard/`.
        validation: batches of (inputs, labels). Without it there is no early stopping, no plateau and no best
            epoch.
        epochs: the length of the phase, `recipe.epochs` if None.
        learning_rate: the full rate of the phase, `recipe.learning_rate` if None.
        rates: what `Outcome.rates` of an earlier run gives: so many epochs are trained, along the curve of
            the whole phase and at the heights of that run.
        callbacks: further Keras callbacks, called last.

    Raises:
        TrainingError: the loss is not a number any more, another worker has gone, an epoch is too short, or
            no checkpoint can be read.
        ArgumentError: the model or `TF_CONFIG` does not suit the devices.
        MissingExtra: TensorBoard is asked for and not installed.
    """
    devices = devices_of(recipe)
    length = epochs or recipe.epochs
    count = length if rates is None else len(rates)
    peak = recipe.learning_rate if learning_rate is None else learning_rate
    pace = Pace(recipe, epochs=length, steps=steps, peak=peak, heights=rates)
    with devices.together():
        trained = _prepared(model, recipe, devices, learning_rate)
        phase = _Phase(trained, recipe, devices, directory, steps, count, pace)
        outcome = phase.run(data, validation, callbacks)
    if trained is not model:
        model.set_weights(trained.get_weights())
    return outcome


def _prepared(model: Any, recipe: Recipe, devices: Devices, rate: float | None) -> Any:
    """Return what is trained, compiled: the model, or a copy for another precision or several devices."""

    def precise(network: Any) -> Any:
        return network if recipe.precision == "float32" else with_precision(network, recipe.precision)

    if devices.strategy is None:
        trained = precise(model)
        compile_model(trained, recipe, learning_rate=rate, clip_norm=recipe.clip_norm)
        return trained
    trained = training_copy(model, devices, precise)
    with devices.strategy.scope():
        compile_model(trained, recipe, learning_rate=rate)
    return trained


@dataclass(frozen=True)
class _Phase:
    """One phase: a compiled model, its recipe, and where it runs."""

    model: Any
    recipe: Recipe
    devices: Devices
    directory: Path
    steps: int
    epochs: int
    pace: Pace

    def run(self, data: Data, validation: tf.data.Dataset | None, callbacks: Sequence[Any]) -> Outcome:
        """Train from the newest checkpoint to the end."""
        history: list[dict[str, float]] = []
        averages = [MovingAverage(self.recipe.ema, self.steps)] if self.recipe.ema else []
        judges = [] if validation is None else _judges(self.recipe, self.epochs)
        place = self.directory / "checkpoint" if self.devices.chief else None
        checkpoint = Checkpoint(place, [*averages, *judges], history)
        first = self._restore(checkpoint)
        if first < self.epochs and not checkpoint.stopped:
            keeper = _Keeper(self, history)
            called = [*averages, self.pace, *judges, keeper, *self._boards(), checkpoint, *callbacks]
            self._train(self._with_rows(data), validation, first, called)
        elif checkpoint.best_weights is not None:
            self.model.set_weights(checkpoint.best_weights)
        losses = [row["val_loss"] for row in history if "val_loss" in row]
        return Outcome(history, int(np.argmin(losses)) if losses else len(history) - 1)

    def _restore(self, checkpoint: Checkpoint) -> int:
        """Put the newest state into the model: with workers that of worker 0, at the very beginning too."""
        checkpoint.clean()
        state = checkpoint.newest()
        if self.devices.workers > 1:
            message = (state or checkpoint.now(self.model)).to_bytes() if self.devices.chief else None
            state = State.from_bytes(self.devices.from_first(message))
        return 0 if state is None else checkpoint.apply(state, self.model)

    def _with_rows(self, data: Data) -> Data:
        """Return the data with smoothed labels, as rows, if the recipe asks for it."""
        share, classes = self.recipe.label_smoothing, self.model.output_shape[-1]
        if not share:
            return data
        return lambda epoch: data(epoch).map(lambda x, y, weight: (x, smoothed(y, classes, share), weight))

    def _train(self, data: Data, validation: Any, first: int, callbacks: list[Any]) -> None:
        if self.devices.strategy is None:
            self.model.fit(
                _feed(data, first, self.epochs, self.steps),
                initial_epoch=first,
                epochs=self.epochs,
                steps_per_epoch=self.steps,
                validation_data=validation,
                callbacks=callbacks,
                shuffle=False,  # the data is in its order already
                verbose=0,
            )
        else:
            options: dict[str, Any] = {"first": first, "epochs": self.epochs, "steps": self.steps}
            replicas = Replicas(self.model, self.devices, self.recipe.clip_norm)
            fit_replicas(replicas, data, validation=validation, callbacks=callbacks, **options)

    def _boards(self) -> list[Any]:
        if not self.recipe.tensorboard or not self.devices.chief:
            return []
        load_extra("tensorboard", "tensorboard", "tensorboard=True")
        return [keras.callbacks.TensorBoard(self.directory / "tensorboard", write_graph=False)]


def _judges(recipe: Recipe, epochs: int) -> list[Any]:
    """Return Keras' callbacks that watch the validation loss."""
    # Without patience the best epoch is kept all the same; only the stopping goes.
    patience = recipe.patience or epochs + 1
    judges = [keras.callbacks.EarlyStopping("val_loss", patience=patience, restore_best_weights=True)]
    if recipe.schedule == "plateau":
        judges.append(
            keras.callbacks.ReduceLROnPlateau(
                "val_loss",
                factor=recipe.lr_factor,
                patience=recipe.lr_patience,
                min_lr=recipe.min_learning_rate,
            )
        )
    return judges


def _feed(data: Data, first: int, epochs: int, steps: int) -> tf.data.Dataset:
    """Return the batches of the epochs one after the other, as `fit` takes them."""

    def batches() -> Iterator[Any]:
        for epoch in range(first, epochs):
            yield from data(epoch)

    def shown() -> Iterator[Any]:
        return track(batches(), "training", total=(epochs - first) * steps)

    # Off a terminal each epoch has its line in the log already.
    source = shown if sys.stderr.isatty() else batches
    return tf.data.Dataset.from_generator(source, output_signature=data(first).element_spec)


class _Keeper(keras.callbacks.Callback):  # type: ignore[misc]  # keras has no types
    """Seed the layers, watch the loss, and keep the history: in memory, in the log and as CSV."""

    def __init__(self, phase: _Phase, history: list[dict[str, float]]) -> None:
        super().__init__()
        self.phase, self.history = phase, history
        self.epoch, self.start = 0, 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.epoch, self.start = epoch, time.monotonic()
        recipe, devices = self.phase.recipe, self.phase.devices
        seed_layers(self.model, seed=recipe.seed, epoch=epoch, worker=devices.worker)

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        _check_loss(float((logs or {})["loss"]), f"at epoch {self.epoch}, step {batch}")

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        row = {name: float(value) for name, value in (logs or {}).items()}
        row |= {"epoch": epoch, "learning_rate": self.phase.pace.rate, "height": self.phase.pace.height}
        _check_loss(row.get("val_loss", 0.0), f"on validation after epoch {epoch}")
        self.history.append({name: row[name] for name in COLUMNS if name in row})
        if not self.phase.devices.chief:
            return
        write_history(self.history, self.phase.directory / "history.csv")
        values = "  ".join(f"{name} {row[name]:.4g}" for name in COLUMNS[1:-1] if name in row)
        seconds = time.monotonic() - self.start
        logger.info("epoch %d/%d  %s  %.1f s", epoch + 1, self.phase.epochs, values, seconds)


def write_history(history: Sequence[dict[str, float]], path: Path) -> None:
    """Write the rows as CSV, every number with all its digits."""
    columns = [name for name in COLUMNS if history and name in history[0]]
    lines = [",".join(columns), *(",".join(repr(row[name]) for name in columns) for row in history)]
    with whole_file(path) as partial:
        partial.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def _check_loss(loss: float, where: str) -> None:
    if not math.isfinite(loss):
        raise TrainingError(
            f"the loss is {loss} {where} (both counted from 0)",
            "a finite loss",
            "use a smaller learning_rate and an empty run_dir, or look at that step's pictures and labels",
        )

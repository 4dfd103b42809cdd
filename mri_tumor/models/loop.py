"""The epochs of a run: Keras' own `fit` and callbacks, and a checkpoint after each epoch."""

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

from mri_tumor.errors import TrainingError
from mri_tumor.files import whole_file
from mri_tumor.models.checkpoint import Checkpoint
from mri_tumor.models.recipe import Recipe
from mri_tumor.progress import track

logger = logging.getLogger(__name__)

COLUMNS = ("epoch", "loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")
"""The columns of `history.csv`; epochs count from 0."""


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


def run_epochs(
    model: Any,
    data: Callable[[int], tf.data.Dataset],
    *,
    steps: int,
    recipe: Recipe,
    directory: Path,
    validation: tf.data.Dataset | None = None,
    rates: Sequence[float] | None = None,
    callbacks: Sequence[Any] = (),
) -> Outcome:
    """Train a model in place, going on from the newest checkpoint in `directory`.

    Epoch k is a function of the recipe's seed and k: what `data(k)` gives, and the layers' own draws
    (dropout), whose seeds are set at every epoch's start. So a run that was killed ends as one that was not.

    Args:
        model: built; it is compiled here.
        data: epoch -> batches of (inputs, labels as int64, weights as float32).
        steps: batches an epoch.
        recipe: epochs, rates, patience and seed.
        directory: gets `history.csv` and `checkpoint/`.
        validation: batches of (inputs, labels). Without it there is no early stopping, no reduction of the
            learning rate and no best epoch.
        rates: the learning rate of each epoch, instead of the recipe's; as many epochs as there are rates.
        callbacks: further Keras callbacks, called last.

    Raises:
        TrainingError: the loss is not a number any more, or no checkpoint can be read.
    """
    compile_model(model, recipe)
    history: list[dict[str, float]] = []
    epochs = recipe.epochs if rates is None else len(rates)
    judges = [] if validation is None else _judges(recipe)
    checkpoint = Checkpoint(directory / "checkpoint", judges, history)
    first = checkpoint.restore(model)
    if first < epochs and not checkpoint.stopped:
        keeper = _Keeper(recipe.seed, epochs, rates, history, directory / "history.csv")
        model.fit(
            _feed(data, first, epochs, steps),
            initial_epoch=first,
            epochs=epochs,
            steps_per_epoch=steps,
            validation_data=validation,
            callbacks=[*judges, keeper, checkpoint, *callbacks],
            shuffle=False,  # the data is in its order already
            verbose=0,
        )
    elif checkpoint.best_weights is not None:
        model.set_weights(checkpoint.best_weights)
    losses = [row["val_loss"] for row in history if "val_loss" in row]
    return Outcome(history, int(np.argmin(losses)) if losses else len(history) - 1)


def compile_model(model: Any, recipe: Recipe) -> None:
    """Compile a model that gives logits: AdamW, cross-entropy and accuracy.

    Biases and normalisation are not decayed: they are few and shrinking them regularises nothing. The method
    is Loshchilov and Hutter, "Decoupled weight decay regularization", 2019.
    """
    optimizer = keras.optimizers.AdamW(recipe.learning_rate, weight_decay=recipe.weight_decay)
    optimizer.exclude_from_weight_decay(var_names=["bias", "gamma", "beta"])
    model.compile(
        optimizer=optimizer,
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,
    )
    optimizer.build(model.trainable_variables)


def _judges(recipe: Recipe) -> list[Any]:
    """Return Keras' callbacks that watch the validation loss."""
    # Without patience the best epoch is kept all the same; only the stopping goes.
    patience = recipe.patience or recipe.epochs + 1
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


def _feed(data: Callable[[int], tf.data.Dataset], first: int, epochs: int, steps: int) -> tf.data.Dataset:
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

    def __init__(
        self,
        seed: int,
        epochs: int,
        rates: Sequence[float] | None,
        history: list[dict[str, float]],
        path: Path,
    ) -> None:
        super().__init__()
        self.seed, self.epochs, self.rates, self.history, self.path = seed, epochs, rates, history, path
        self.epoch, self.rate, self.start = 0, 0.0, 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        self.epoch, self.start = epoch, time.monotonic()
        if self.rates is not None:
            self.model.optimizer.learning_rate = self.rates[epoch]
        self.rate = float(self.model.optimizer.learning_rate)
        states = [variable for variable in self.model.variables if variable.name == "seed_generator_state"]
        for number, state in enumerate(states):
            draw = np.random.default_rng([self.seed, epoch, number]).integers(2**31)
            state.assign(np.array([draw, 0]).astype(state.dtype))

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        _check_loss(float((logs or {})["loss"]), f"at epoch {self.epoch}, step {batch}")

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        row = {name: float(value) for name, value in (logs or {}).items()}
        row |= {"epoch": epoch, "learning_rate": self.rate}
        _check_loss(row.get("val_loss", 0.0), f"on validation after epoch {epoch}")
        self.history.append({name: row[name] for name in COLUMNS if name in row})
        write_history(self.history, self.path)
        values = "  ".join(f"{name} {row[name]:.4g}" for name in COLUMNS[1:] if name in row)
        seconds = time.monotonic() - self.start
        logger.info("epoch %d/%d  %s  %.1f s", epoch + 1, self.epochs, values, seconds)


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
            "use a smaller learning_rate, or look at the pictures and labels of that step",
        )

"""Runs whose process is killed for good, with SIGKILL, end to the bit as those that were left alone."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from mri_tumor.models.loop import run_epochs
from mri_tumor.models.recipe import Recipe
from mri_tumor.models.steps import checkpoint

EVERYTHING = {"epochs": 6, "batch_size": 8, "learning_rate": 0.02, "augment": None, "seed": 5}
EVERYTHING |= {"warmup": 1, "ema": 0.9, "clip_norm": 1.0, "label_smoothing": 0.1, "patience": 4}
RECIPES = {
    "numbers": Recipe(schedule="plateau", lr_patience=1, **EVERYTHING),
    "rows": Recipe(schedule="cosine", **EVERYTHING),
}
RNG = np.random.default_rng(0)
INPUTS = RNG.normal(size=(44, 6)).astype(np.float32)
LABELS = (INPUTS[:, 0] + RNG.normal(size=44) > 0).astype(np.int64)


def network() -> keras.Model:
    keras.utils.set_random_seed(1)
    inputs = keras.Input((6,))
    x = keras.layers.BatchNormalization()(keras.layers.Dense(16, activation="relu")(inputs))
    x = keras.layers.Dropout(0.5)(x)
    return keras.Model(inputs, keras.layers.Dense(2)(x))


def train(directory: Path, form: str, callbacks: tuple) -> keras.Model:
    def data(epoch: int) -> tf.data.Dataset:
        order = np.random.default_rng([5, epoch]).permutation(36)
        labels = LABELS[order] if form == "numbers" else np.eye(2, dtype=np.float32)[LABELS[order]]
        return tf.data.Dataset.from_tensor_slices((INPUTS[order], labels, np.ones(36, np.float32))).batch(8)

    model, validation = network(), tf.data.Dataset.from_tensor_slices((INPUTS[36:], LABELS[36:])).batch(8)
    options = {"steps": 5, "recipe": RECIPES[form], "directory": directory, "validation": validation}
    run_epochs(model, data, callbacks=callbacks, **options)
    return model


class Dies(keras.callbacks.Callback):
    """Kill this process: in an epoch, while its checkpoint is written, or when it has been."""

    def __init__(self, when: str, epoch: int) -> None:
        super().__init__()
        self.when, self.epoch, self.now = when, epoch, 0

    def on_epoch_begin(self, epoch, logs=None):
        self.now = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.now == self.epoch and self.when == "during" and batch == 4:
            checkpoint.write_text = lambda path, text: os.kill(os.getpid(), signal.SIGKILL)
        if self.now == self.epoch and self.when == "before" and batch == 2:
            os.kill(os.getpid(), signal.SIGKILL)

    def on_epoch_end(self, epoch, logs=None):
        if epoch == self.epoch and self.when == "after":
            os.kill(os.getpid(), signal.SIGKILL)


def process(directory: Path, form: str, when: str = "never", epoch: int = 0) -> int:
    command = [sys.executable, __file__, str(directory), form, when, str(epoch)]
    return subprocess.run(command, timeout=120, capture_output=True).returncode


def left(directory: Path) -> list[str]:
    return sorted(path.name[:10] for path in (directory / "checkpoint").iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("form", ["numbers", "rows"])
def test_a_run_killed_again_and_again_ends_as_one_that_was_not(tmp_path, form):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert process(whole, form) == 0
    # Each process goes on where the one before it was killed.
    assert process(killed, form, "before", 1) == -signal.SIGKILL
    assert left(killed) == ["epoch-0000"]
    assert process(killed, form, "during", 2) == -signal.SIGKILL
    assert left(killed) == [".partial-e", "epoch-0000", "epoch-0001"]
    assert process(killed, form, "after", 3) == -signal.SIGKILL
    assert left(killed) == ["epoch-0002", "epoch-0003"]
    assert process(killed, form) == 0
    assert (whole / "history.csv").read_text() == (killed / "history.csv").read_text()
    with np.load(whole / "final.npz") as one, np.load(killed / "final.npz") as other:
        assert one.files == other.files
        assert all(np.array_equal(one[name], other[name]) for name in one.files)


if __name__ == "__main__":
    tf.config.experimental.enable_op_determinism()
    folder, labels, when, epoch = sys.argv[1:]
    trained = train(Path(folder), labels, (Dies(when, int(epoch)),))
    np.savez(Path(folder) / "final.npz", *trained.get_weights())

import csv
import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from mri_tumor.errors import TrainingError
from mri_tumor.models.loop import run_epochs
from mri_tumor.models.recipe import Recipe

RECIPE = Recipe(epochs=6, batch_size=8, learning_rate=0.02, patience=4, lr_patience=1, augment=None, seed=5)
RNG = np.random.default_rng(0)
INPUTS = RNG.normal(size=(44, 6)).astype(np.float32)
LABELS = (INPUTS[:, 0] + RNG.normal(size=44) > 0).astype(np.int64)
STEPS = 5


def network() -> keras.Model:
    keras.utils.set_random_seed(1)
    inputs = keras.Input((6,))
    x = keras.layers.Dense(16, activation="relu")(inputs)
    x = keras.layers.Dropout(0.5)(x)
    return keras.Model(inputs, keras.layers.Dense(2)(x))


def epoch_data(epoch: int) -> tf.data.Dataset:
    order = np.random.default_rng([5, epoch]).permutation(36)
    weights = np.ones(36, np.float32)
    return tf.data.Dataset.from_tensor_slices((INPUTS[order], LABELS[order], weights)).batch(8)


def validation() -> tf.data.Dataset:
    # One label of eight is wrong: the better the fit to training, the worse the loss here, after a while.
    labels = LABELS[36:] ^ np.array([1, 0, 0, 0, 0, 0, 0, 0])
    return tf.data.Dataset.from_tensor_slices((INPUTS[36:], labels)).batch(8)


def run(directory: Path, recipe: Recipe = RECIPE, **options):
    model = network()
    options = {"validation": validation(), "steps": STEPS} | options
    return model, run_epochs(model, epoch_data, recipe=recipe, directory=directory, **options)


def same(one: keras.Model, other: keras.Model) -> bool:
    return all(map(np.array_equal, one.get_weights(), other.get_weights()))


class Killed(Exception):
    pass


class KillAfter(keras.callbacks.Callback):
    """Raise after an epoch, or in the middle of the one after it."""

    def __init__(self, epoch: int, batch: int | None = None) -> None:
        super().__init__()
        self.epoch, self.batch, self.now = epoch, batch, 0

    def on_epoch_begin(self, epoch, logs=None):
        self.now = epoch

    def on_train_batch_end(self, batch, logs=None):
        if self.batch == batch and self.now == self.epoch + 1:
            raise Killed

    def on_epoch_end(self, epoch, logs=None):
        if self.batch is None and epoch == self.epoch:
            raise Killed


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return run(tmp_path_factory.mktemp("whole"))


def test_the_run_learns_reduces_its_rate_and_ends_at_the_best_epoch(whole):
    model, outcome = whole
    assert outcome.column("loss")[-1] < outcome.column("loss")[0]
    assert len(set(outcome.column("learning_rate"))) > 1
    assert outcome.best_epoch == int(np.argmin(outcome.column("val_loss"))) < len(outcome.history) - 1
    loss = model.evaluate(validation(), verbose=0, return_dict=True)["loss"]
    assert loss == pytest.approx(min(outcome.column("val_loss")), rel=1e-6)


@pytest.mark.parametrize("kill", [KillAfter(0), KillAfter(3), KillAfter(1, batch=2)])
def test_a_killed_run_goes_on_exactly(whole, tmp_path, kill):
    with pytest.raises(Killed):
        run(tmp_path, callbacks=[kill])
    model, outcome = run(tmp_path)
    assert outcome == whole[1]
    assert same(model, whole[0])


def test_a_run_killed_in_the_middle_of_writing_a_checkpoint_goes_on_exactly(whole, tmp_path, monkeypatch):
    save = keras.Model.save

    def dies(self, path, **options):
        save(self, path, **options)
        if "epoch-0002" in str(path):
            raise Killed

    monkeypatch.setattr(keras.Model, "save", dies)
    with pytest.raises(Killed):
        run(tmp_path)
    monkeypatch.setattr(keras.Model, "save", save)
    (tmp_path / "checkpoint" / ".partial-epoch-0002-left").mkdir()
    model, outcome = run(tmp_path)
    assert outcome == whole[1]
    assert same(model, whole[0])
    assert not list((tmp_path / "checkpoint").glob(".partial*"))


def test_a_damaged_checkpoint_costs_one_epoch(whole, tmp_path, caplog):
    with pytest.raises(Killed):
        run(tmp_path, callbacks=[KillAfter(3)])
    damaged = tmp_path / "checkpoint" / "epoch-0003" / "model.keras"
    damaged.write_bytes(damaged.read_bytes()[:-100])
    model, outcome = run(tmp_path)
    assert "epoch-0003" in caplog.text
    assert outcome == whole[1]
    assert same(model, whole[0])


def test_when_no_checkpoint_can_be_read_the_error_says_so(tmp_path):
    with pytest.raises(Killed):
        run(tmp_path, callbacks=[KillAfter(1)])
    for file in (tmp_path / "checkpoint").rglob("state.json"):
        file.write_text("{")
    with pytest.raises(TrainingError, match="none of the checkpoints"):
        run(tmp_path)


def test_a_run_that_had_ended_is_not_continued(whole, tmp_path):
    stopping = RECIPE.replace(epochs=40, patience=2)
    first = run(tmp_path, stopping)
    assert len(first[1].history) < 40
    again = run(tmp_path, stopping)
    assert again[1] == first[1]
    assert same(again[0], first[0])


def test_two_checkpoints_are_kept(whole, tmp_path):
    _, outcome = run(tmp_path)
    last = len(outcome.history) - 1
    names = sorted(path.name for path in (tmp_path / "checkpoint").iterdir())
    assert names == [f"epoch-{last - 1:04d}", f"epoch-{last:04d}"]


def test_the_history_is_written_with_all_digits(tmp_path):
    _, outcome = run(tmp_path)
    with (tmp_path / "history.csv").open() as file:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]
    assert rows == outcome.history
    assert [row["epoch"] for row in rows] == list(range(len(rows)))


def test_one_line_an_epoch_is_logged(tmp_path, caplog, capsys):
    with caplog.at_level(logging.INFO, "mri_tumor.models.loop"):
        run(tmp_path, RECIPE.replace(epochs=2))
    lines = [record.message for record in caplog.records if record.name == "mri_tumor.models.loop"]
    assert [line.split("  ")[0] for line in lines] == ["epoch 1/2", "epoch 2/2"]
    assert all("val_accuracy" in line for line in lines)
    assert capsys.readouterr() == ("", "")


def test_given_rates_are_followed_and_survive_a_kill(tmp_path):
    rates = [0.02, 0.02, 0.01, 0.005]
    options = {"rates": rates, "validation": None}
    model, outcome = run(tmp_path / "whole", **options)
    assert outcome.column("learning_rate") == pytest.approx(rates)
    assert outcome.best_epoch == 3
    assert "val_loss" not in outcome.history[0]
    with pytest.raises(Killed):
        run(tmp_path / "killed", callbacks=[KillAfter(1)], **options)
    other, again = run(tmp_path / "killed", **options)
    assert again == outcome
    assert same(other, model)


def test_dropout_depends_on_the_seed_and_the_epoch(tmp_path):
    losses = []
    for seed in (5, 6):
        options = {"rates": [1e-12, 1e-12], "validation": None}
        losses += run(tmp_path / str(seed), RECIPE.replace(seed=seed), **options)[1].column("loss")
    assert len({round(loss, 5) for loss in losses}) == 4


def test_weights_of_the_samples_change_the_loss(tmp_path):
    def weighted(epoch):
        return epoch_data(epoch).map(lambda x, y, weight: (x, y, weight * 3))

    plain = run(tmp_path / "plain", RECIPE.replace(epochs=1))[1].column("loss")[0]
    model = network()
    options = {"steps": STEPS, "directory": tmp_path / "weighted", "validation": validation()}
    outcome = run_epochs(model, weighted, recipe=RECIPE.replace(epochs=1), **options)
    assert outcome.column("loss")[0] > 2 * plain


def test_a_loss_that_is_no_number_stops_the_run_and_says_where(tmp_path):
    def poisoned(epoch):
        factor = np.where(np.arange(36) == 17, np.nan if epoch == 1 else 1, 1).astype(np.float32)
        return tf.data.Dataset.from_tensor_slices((INPUTS[:36] * factor[:, None], LABELS[:36], factor)).batch(
            8
        )

    with pytest.raises(TrainingError, match=r"epoch 1, step 2.*learning_rate"):
        run_epochs(network(), poisoned, steps=STEPS, recipe=RECIPE, directory=tmp_path)


SCRIPT = """
import sys, time
from pathlib import Path
import keras, tensorflow as tf
sys.path.insert(0, {tests!r})
import test_loop as t

class Slow(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        time.sleep(1)

t.run(Path({directory!r}), callbacks=[Slow()])
"""


@pytest.mark.slow
def test_a_process_killed_for_good_goes_on_exactly(whole, tmp_path):
    code = SCRIPT.format(tests=str(Path(__file__).parent), directory=str(tmp_path))
    process = subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"PYTHONWARNINGS": "ignore"})
    limit = time.monotonic() + 90
    while not (tmp_path / "checkpoint" / "epoch-0001").exists() and time.monotonic() < limit:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert len(list((tmp_path / "checkpoint").glob("epoch-*"))) < len(whole[1].history)
    model, outcome = run(tmp_path)
    assert outcome == whole[1]
    assert same(model, whole[0])

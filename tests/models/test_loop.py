import csv
import logging
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from mri_tumor.errors import MissingExtra, TrainingError
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


def test_a_damaged_checkpoint_costs_one_epoch(whole, tmp_path, caplog):
    with pytest.raises(Killed):
        run(tmp_path, callbacks=[KillAfter(3)])
    damaged = tmp_path / "checkpoint" / "epoch-0003" / "arrays.npz"
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
    assert outcome.rates == outcome.column("learning_rate")
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


def poisoned(epoch: int) -> tf.data.Dataset:
    factor = np.where(np.arange(36) == 17, np.nan if epoch == 1 else 1, 1).astype(np.float32)
    return tf.data.Dataset.from_tensor_slices((INPUTS[:36] * factor[:, None], LABELS[:36], factor)).batch(8)


@pytest.mark.parametrize("schedule", ["plateau", "cosine", "constant"])
def test_a_loss_that_is_no_number_stops_the_run_and_says_where(tmp_path, schedule):
    recipe = RECIPE.replace(schedule=schedule, warmup=1, epochs=3)
    options = {"steps": STEPS, "recipe": recipe, "directory": tmp_path, "validation": validation()}
    with pytest.raises(TrainingError, match=r"epoch 1, step 2.*learning_rate"):
        run_epochs(network(), poisoned, **options)
    # What was written before it is whole: with better data the run goes on.
    outcome = run_epochs(network(), epoch_data, **options)
    assert outcome.column("epoch") == [0, 1, 2]
    assert np.isfinite(outcome.column("loss")).all()


def test_a_validation_loss_that_is_no_number_stops_the_run(tmp_path):
    labels = np.full((8, 2), np.nan, np.float32)
    bad = tf.data.Dataset.from_tensor_slices((INPUTS[36:], labels)).batch(8)
    with pytest.raises(TrainingError, match="on validation after epoch 0"):
        run(tmp_path, validation=bad)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"schedule": "constant"}, [1.0, 1.0, 1.0, 1.0]),
        ({"schedule": "constant", "warmup": 2}, [0.45, 0.95, 1.0, 1.0]),
        # The middle of an epoch's last step is 9/10 of the epoch.
        ({"schedule": "cosine"}, [(1 + np.cos(np.pi * (epoch + 0.9) / 4)) / 2 for epoch in range(4)]),
    ],
)
def test_the_rate_follows_the_schedule_step_by_step(tmp_path, changes, expected):
    seen = []

    class Look(keras.callbacks.Callback):
        def on_train_batch_begin(self, batch, logs=None):
            seen.append(float(self.model.optimizer.learning_rate))

    recipe = RECIPE.replace(min_learning_rate=0, patience=None, **changes)
    outcome = run(tmp_path, recipe, callbacks=[Look()], epochs=4, learning_rate=0.1)[1]
    assert outcome.column("learning_rate") == pytest.approx(np.multiply(expected, 0.1))
    assert outcome.column("learning_rate") == pytest.approx(seen[STEPS - 1 :: STEPS], rel=1e-6)
    assert len(set(seen)) == {"cosine": 20, "constant": 1 + 10 * (recipe.warmup == 2)}[recipe.schedule]


def test_a_plateau_lowers_the_height_of_a_warm_up(tmp_path):
    recipe = RECIPE.replace(warmup=4, patience=None, learning_rate=1e-9, min_learning_rate=0)
    outcome = run(tmp_path, recipe)[1]
    heights = outcome.column("height")
    # At such a rate nothing gets better, so every epoch after the first lowers the height.
    assert heights == pytest.approx([1e-9, 1e-9, 5e-10, 2.5e-10, 1.25e-10, 6.25e-11])
    shares = np.divide(outcome.column("learning_rate"), heights)
    assert shares == pytest.approx([0.9 / 4, 1.9 / 4, 2.9 / 4, 3.9 / 4, 1, 1])


@pytest.mark.parametrize("schedule", ["plateau", "cosine", "constant"])
def test_a_second_run_at_the_rates_of_the_first_goes_through_the_same_epochs(tmp_path, schedule):
    recipe = RECIPE.replace(schedule=schedule, warmup=1, ema=0.9, clip_norm=1.0)
    first, outcome = run(tmp_path / "first", recipe)
    assert outcome.best_epoch < recipe.epochs - 1
    second, again = run(tmp_path / "second", recipe, rates=outcome.rates, validation=None)
    assert len(again.history) == outcome.best_epoch + 1
    assert same(first, second)


def test_gradients_are_cut_to_the_norm(tmp_path):
    # AdamW takes the same steps for gradients of any size, so its first moments are looked at.
    norms = {}

    class Look(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            if batch == 0:
                moments = [v.numpy() for v in self.model.optimizer.variables if "momentum" in v.path]
                norms[len(norms)] = np.sqrt(sum(np.square(moment).sum() for moment in moments)) / 0.1

    for clip in (None, 0.05):
        recipe = RECIPE.replace(epochs=1, clip_norm=clip)
        run(tmp_path / str(clip), recipe, callbacks=[Look()])
    assert norms[0] > 0.2
    assert norms[1] == pytest.approx(0.05, rel=1e-4)


def test_labels_as_rows_are_the_same_labels(tmp_path, whole):
    def as_rows(epoch):
        return epoch_data(epoch).map(lambda x, y, weight: (x, tf.one_hot(y, 2), weight))

    model = network()
    outcome = run_epochs(
        model, as_rows, steps=STEPS, recipe=RECIPE, directory=tmp_path, validation=validation()
    )
    assert outcome == whole[1]
    assert same(model, whole[0])


def test_smoothing_changes_training_and_not_the_measure_of_validation(tmp_path):
    model, outcome = run(tmp_path, RECIPE.replace(label_smoothing=0.3))
    logits = model.predict(INPUTS[36:], verbose=0)
    labels = np.concatenate([labels for _, labels in validation()])
    plain = -np.log(np.exp(logits)[np.arange(8), labels] / np.exp(logits).sum(1)).mean()
    assert min(outcome.column("val_loss")) == pytest.approx(plain, rel=1e-5)
    # With 0.3 of each label spread over both classes no loss can be below this entropy.
    floor = -(0.85 * np.log(0.85) + 0.15 * np.log(0.15))
    assert min(outcome.column("loss")) > floor * 0.999
    assert max(outcome.column("accuracy")) > 0.7


def test_the_average_is_validated_and_kept(tmp_path):
    seen = []

    class Look(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            seen.append(self.model.get_weights())

    recipe = RECIPE.replace(epochs=3, ema=0.9, patience=None)
    start = network().get_weights()
    model, outcome = run(tmp_path, recipe, callbacks=[Look()])
    expected, averages = [value.copy() for value in start], []
    for step, weights in enumerate(seen):
        momentum = min(0.9, (1 + step) / (10 + step))
        expected = [momentum * old + (1 - momentum) * new for old, new in zip(expected, weights, strict=True)]
        averages.append(expected)
    kept = averages[STEPS * (outcome.best_epoch + 1) - 1]
    for value, other in zip(model.get_weights(), kept, strict=True):
        np.testing.assert_allclose(value, other, rtol=1e-5, atol=1e-6)
    loss = model.evaluate(validation(), verbose=0, return_dict=True)["loss"]
    assert loss == pytest.approx(min(outcome.column("val_loss")), rel=1e-6)


@pytest.mark.parametrize("kill", [KillAfter(0), KillAfter(2, batch=2)])
@pytest.mark.parametrize("schedule", ["plateau", "cosine"])
def test_a_killed_run_with_everything_goes_on_exactly(tmp_path, kill, schedule):
    recipe = RECIPE.replace(schedule=schedule, warmup=2, ema=0.9, clip_norm=1.0, label_smoothing=0.1)
    model, outcome = run(tmp_path / "whole", recipe)
    with pytest.raises(Killed):
        run(tmp_path / "killed", recipe, callbacks=[kill])
    other, again = run(tmp_path / "killed", recipe)
    assert again == outcome
    assert same(other, model)


def test_a_checkpoint_of_another_network_is_refused(tmp_path):
    with pytest.raises(Killed):
        run(tmp_path, callbacks=[KillAfter(1)])
    inputs = keras.Input((6,))
    other = keras.Model(inputs, keras.layers.Dense(2)(inputs))
    with pytest.raises(TrainingError, match="another network"):
        run_epochs(other, epoch_data, steps=STEPS, recipe=RECIPE, directory=tmp_path)


def test_logs_for_tensorboard_need_the_package(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(MissingExtra, match=r"mri-tumor\[tensorboard\]"):
        run(tmp_path, RECIPE.replace(tensorboard=True))


def test_logs_for_tensorboard_are_written(tmp_path):
    pytest.importorskip("tensorboard")
    run(tmp_path, RECIPE.replace(tensorboard=True, epochs=2))
    assert list((tmp_path / "tensorboard" / "train").glob("events*"))
    assert list((tmp_path / "tensorboard" / "validation").glob("events*"))

from dataclasses import replace

import keras
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from mri_tumor.dataset.augment import Augment
from mri_tumor.models.builders import backbone, head
from mri_tumor.models.fitting.feature_table import FeatureTable
from mri_tumor.models.fitting.observing import observed
from mri_tumor.models.fitting.phases import Fitted, Task, fit
from mri_tumor.models.recipe import Recipe

STEPS = Recipe(epochs=4, batch_size=8, learning_rate=0.02, augment=Augment(rotation=5), copies=1, seed=3)
SOLVED = Recipe(head_solver="newton", augment=None, seed=3, strengths=(0.01, 1.0, 0.1))
LOWERS = {"batch_size": 8, "fine_epochs": 4, "fine_learning_rate": 5e-3, "fine_share": 1.0}
RAISES = {"batch_size": 8, "fine_epochs": 2, "fine_learning_rate": 3.0, "fine_share": 1.0}


@pytest.fixture
def task(make_network, pool, tmp_path):
    """Return a function that makes a task: of a frozen network on cached features, or of a whole one."""

    def make(recipe: Recipe, *, frozen: bool = True, name: str = "run", refit: bool = False) -> Task:
        network = make_network(frozen=frozen)
        parts = pool.places("train"), pool.places("validation")
        if refit:
            parts = np.concatenate(parts), parts[0][:0]
        table = FeatureTable(network, pool, recipe, tmp_path / "features") if frozen else None
        return Task(network, pool, *parts, recipe, tmp_path / name, table)

    return make


def loss_of(task: Task) -> float:
    places = task.pool.places("validation")
    logits = observed(task.network, task.pool, places, "none", None).logits
    return float(
        keras.losses.SparseCategoricalCrossentropy(from_logits=True)(task.pool.label_indices[places], logits)
    )


def rows_of(task: Task, name: str) -> list[dict[str, float]]:
    head, *lines = (task.directory / name).read_text().splitlines()
    return [dict(zip(head.split(","), map(float, line.split(",")), strict=True)) for line in lines]


def same(weights: list, others: list) -> bool:
    return all(map(np.array_equal, weights, others))


@pytest.mark.parametrize(("recipe", "frozen"), [(STEPS, True), (SOLVED, True), (STEPS, False)])
def test_one_phase_trains_what_is_free_and_writes_how_it_went(task, recipe, frozen):
    made = task(recipe, frozen=frozen)
    before = backbone(made.network).get_weights()
    fitted = fit(made)
    name = "head" if frozen else "network"
    assert (list(fitted.phases), fitted.top_kept) == ([name], False)
    assert fitted.last is fitted.phases[name]
    assert same(before, backbone(made.network).get_weights()) == frozen
    best = fitted.last.history[fitted.last.best_epoch]
    assert loss_of(made) == pytest.approx(best["val_loss"], abs=1e-4)
    assert rows_of(made, "history.csv") == fitted.last.history
    assert (made.directory / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert not (made.directory / "top").exists()
    section = fitted.section
    assert section["best_val_loss"] == best["val_loss"] == min(row["val_loss"] for row in fitted.last.history)
    assert (section["epochs_run"], section["best_epoch"]) == (
        len(fitted.last.history),
        fitted.last.best_epoch,
    )
    assert list(section["phases"]) == [name]


def test_the_strength_with_the_lowest_validation_loss_is_taken_and_written(task):
    made = task(SOLVED)
    fitted = fit(made)
    rows = rows_of(made, "history.csv")
    assert [row["strength"] for row in rows] == [0.01, 1.0, 0.1]
    best = min(rows, key=lambda row: row["val_loss"])
    assert fitted.section["best_strength"] == best["strength"]
    assert fitted.last.best_epoch == rows.index(best)


def test_the_solved_head_is_scikit_learns_on_standardised_features(task, pool):
    made = task(SOLVED.replace(strengths=(0.3,)))
    fit(made)
    table = FeatureTable(made.network, pool, SOLVED, made.directory.parent / "features")
    learnt, judged = (table.training(pool.places(name)) for name in ("train", "validation"))
    mean, deviation = learnt.values.mean(axis=0), learnt.values.std(axis=0)
    model = LogisticRegression(C=0.3, tol=1e-8, max_iter=9999)
    each = made.weights[learnt.labels]
    model.fit((learnt.values - mean) / deviation, learnt.labels, sample_weight=each)
    expected = model.predict_log_proba((judged.values - mean) / deviation)
    found = observed(made.network, pool, pool.places("validation"), "none", None).logits
    found = found - np.log(np.exp(found).sum(axis=1, keepdims=True))
    np.testing.assert_allclose(found, expected, atol=0.03)


def test_a_second_phase_that_lowers_the_loss_is_kept(task):
    made, alone = task(SOLVED.replace(**LOWERS)), task(SOLVED, name="alone")
    before = backbone(made.network).get_weights()
    fitted = fit(made)
    fit(alone)
    assert (list(fitted.phases), fitted.top_kept) == (["head", "top"], True)
    assert fitted.last is fitted.phases["top"]
    assert not same(before, backbone(made.network).get_weights())
    assert loss_of(made) == pytest.approx(fitted.section["best_val_loss"], abs=1e-4)
    assert loss_of(made) < loss_of(alone)
    assert rows_of(made, "top/history.csv") == fitted.phases["top"].history
    assert (made.directory / "top" / "curves.png").is_file()
    assert set(fitted.section["phases"]) == {"head", "top"}


def test_a_second_phase_that_does_not_is_set_aside(task):
    made, alone = task(STEPS.replace(**RAISES)), task(STEPS, name="alone")
    fitted = fit(made)
    fit(alone)
    assert (list(fitted.phases), fitted.top_kept) == (["head", "top"], False)
    assert fitted.last is fitted.phases["head"]
    assert same(made.network.get_weights(), alone.network.get_weights())
    assert not backbone(made.network).trainable_weights
    assert fitted.section["top_kept"] is False
    assert fitted.section["best_val_loss"] == pytest.approx(loss_of(made), abs=1e-4)
    assert len(rows_of(made, "top/history.csv")) == 2


def test_only_the_share_that_was_asked_for_is_trained(task):
    made = task(SOLVED.replace(**(LOWERS | {"fine_share": 0.5})))
    first, second = (made.network.get_layer(name) for name in ("first", "second"))
    before = [first.get_weights(), second.get_weights()]
    assert fit(made).top_kept
    assert same(before[0], first.get_weights())
    assert not same(before[1], second.get_weights())


@pytest.mark.parametrize(("first", "fine"), [(STEPS, LOWERS), (SOLVED, LOWERS), (SOLVED, RAISES)])
def test_a_refit_repeats_what_was_selected(task, first, fine):
    recipe = first.replace(**fine)
    chosen = fit(task(recipe))
    made = task(recipe, name="refit", refit=True)
    fitted = fit(made, chosen)
    assert (list(fitted.phases), fitted.top_kept) == (
        ["head", "top"] if fine is LOWERS else ["head"], fine is LOWERS
    )  # fmt: skip
    for name, outcome in fitted.phases.items():
        before = chosen.phases[name]
        assert all("val_loss" not in row for row in outcome.history)
        if name == "head" and first is SOLVED:
            assert outcome.column("strength") == [before.history[before.best_epoch]["strength"]]
        else:
            assert len(outcome.history) == before.best_epoch + 1
            assert outcome.column("height") == before.rates
            assert outcome.best_epoch == before.best_epoch
        history = "top/history.csv" if name == "top" else "history.csv"
        assert rows_of(made, history) == outcome.history
    assert "best_val_loss" not in fitted.section


def test_a_refit_goes_by_the_rates_of_the_selection_and_not_by_its_own(task):
    recipe = SOLVED.replace(**LOWERS)
    chosen = fit(task(recipe))
    slow = replace(
        chosen.phases["top"], history=[row | {"height": 1e-12} for row in chosen.phases["top"].history]
    )
    made = task(recipe, name="refit", refit=True)
    before = backbone(made.network).get_weights()
    fit(made, Fitted({"head": chosen.phases["head"], "top": slow}))
    for one, other in zip(before, backbone(made.network).get_weights(), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-8)


def test_a_head_of_several_layers_is_trained_on_features_as_they_are(make_network, pool, tmp_path):
    network = make_network(frozen=True, hidden=6)
    table = FeatureTable(network, pool, STEPS, tmp_path / "features")
    made = Task(network, pool, pool.places("train"), pool.places("validation"), STEPS, tmp_path, table)
    before = head(network).get_weights()
    fitted = fit(made)
    assert not same(before, head(network).get_weights())
    assert loss_of(made) == pytest.approx(fitted.section["best_val_loss"], abs=1e-4)

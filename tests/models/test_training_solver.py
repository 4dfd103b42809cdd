"""A head that is solved, end to end: what the classifier says, and runs that were killed on the way."""

import logging

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mri_tumor.dataset.augment import Augment
from mri_tumor.dataset.catalog import Catalog
from mri_tumor.dataset.pipeline import load
from mri_tumor.dataset.preprocess import Preprocess
from mri_tumor.errors import ArgumentError
from mri_tumor.models.builders import backbone
from mri_tumor.models.fitting import phases, solver
from mri_tumor.models.recipe import Recipe
from mri_tumor.models.training import train

RECIPE = Recipe(
    head_solver="newton", augment=Augment(rotation=5), copies=1, strengths=(0.01, 0.3, 0.1), seed=3
)
SPEC = Preprocess(size=32)


def images(catalog: Catalog, augment: Augment | None = None, epoch: int = 0) -> np.ndarray:
    batches = load(catalog, SPEC, augment=augment, seed=RECIPE.seed, epoch=epoch)
    return np.concatenate([batch["image"] for batch in batches])


def same(one, other) -> bool:
    return all(map(np.array_equal, one.get_weights(), other.get_weights()))


def of_two_classes(part: Catalog) -> Catalog:
    return Catalog((one for one in part if one.label in ("glioma", "none")), ("glioma", "none"))


@pytest.mark.parametrize("classes", [2, 4])
def test_the_classifier_says_what_scikit_learn_does(make_network, sides, tmp_path, classes):
    parts = sides if classes == 4 else tuple(map(of_two_classes, sides))
    network = make_network(frozen=True, classes=classes)
    classifier = train(network, *parts, recipe=RECIPE, run_dir=tmp_path)
    strength = classifier.manifest.sections["training"]["best_strength"]
    learnt, judged = parts
    varied = [images(learnt), images(learnt, RECIPE.augment, 1)]
    values = np.concatenate([np.asarray(backbone(network)(one)) for one in varied]).astype(np.float64)
    labels = np.tile(learnt.label_indices, 2)
    weights = len(labels) / (classes * np.bincount(labels))
    model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, tol=1e-8, max_iter=9999))
    model.fit(values, labels, logisticregression__sample_weight=weights[labels])
    expected = model.predict_proba(np.asarray(backbone(network)(images(judged)), np.float64))
    found = [list(one.probabilities.values()) for one in classifier.predict(judged)]
    np.testing.assert_allclose(found, expected, atol=5e-3)
    rows = (tmp_path / "history.csv").read_text().splitlines()
    assert len(rows) == 4
    assert rows[0].startswith("epoch,strength,loss,accuracy,val_loss")


class Killed(Exception):
    pass


@pytest.mark.parametrize(("refit", "call"), [(False, 2), (False, 4), (True, 4)])
def test_a_run_killed_between_strengths_ends_as_one_that_was_not(
    make_network, sides, whole, tmp_path, monkeypatch, refit, call
):
    calls = []

    def dies(*arguments):
        calls.append(arguments)
        if len(calls) == call:
            raise Killed
        return solve(*arguments)

    expected, folder = whole(RECIPE, refit)
    solve = solver.solve
    options = {"recipe": RECIPE, "run_dir": tmp_path, "refit": refit}
    with monkeypatch.context() as patched:
        patched.setattr(solver, "solve", dies)
        if call == 4 and not refit:  # all strengths were solved: it dies before they are written
            patched.setattr(phases, "write_history", dies_always)
        with pytest.raises(Killed):
            train(make_network(frozen=True), *sides, **options)
    resumed = train(make_network(frozen=True), *sides, **options)
    assert same(resumed.model, expected.model)
    assert resumed.manifest.sections["training"] == expected.manifest.sections["training"]
    assert (tmp_path / "history.csv").read_bytes() == (folder / "history.csv").read_bytes()


def dies_always(*arguments):
    raise Killed


def test_a_refit_solves_for_the_strength_that_was_chosen(whole):
    (classifier, folder), (plain, _) = whole(RECIPE, True), whole(RECIPE)
    training = classifier.manifest.sections["training"]
    chosen = training["best_strength"]
    assert plain.manifest.sections["training"]["best_strength"] == chosen
    assert training["refit"]["best_strength"] == chosen
    assert (training["refit"]["count"], training["refit"]["epochs_run"]) == (30, 1)
    rows = (folder / "refit" / "history.csv").read_text().splitlines()
    assert rows[0] == "epoch,strength,loss,accuracy"
    assert [float(row.split(",")[1]) for row in rows[1:]] == [chosen]
    assert not same(classifier.model, plain.model)


def test_strengths_are_said_in_the_log(make_network, sides, tmp_path, caplog):
    with caplog.at_level(logging.INFO, logger="mri_tumor"):
        train(
            make_network(frozen=True), *sides, recipe=RECIPE.replace(copies=0, augment=None), run_dir=tmp_path
        )
    said = [line.getMessage() for line in caplog.records if line.getMessage().startswith("head ")]
    assert [line.split("  ")[:2] for line in said] == [
        ["head 1/3", "strength 0.01"],
        ["head 2/3", "strength 0.3"],
        ["head 3/3", "strength 0.1"],
    ]


def test_what_the_solver_cannot_do_is_refused_before_a_folder_is_made(make_network, sides, tmp_path):
    plain = [load(part, SPEC) for part in sides]
    for network, parts, text in (
        (make_network(), sides, "a backbone that is not frozen"),
        (make_network(frozen=True, hidden=3), sides, "whose head has several layers"),
        (make_network(frozen=True), plain, "plain Datasets, whose features are not cached"),
    ):
        with pytest.raises(ArgumentError, match=text):
            train(network, *parts, recipe=RECIPE, run_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()

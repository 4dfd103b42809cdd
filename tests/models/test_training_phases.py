"""Runs of two phases end to end, and the mirror images that a classifier answers by."""

import numpy as np
import pytest
from scipy.special import softmax

from mri_tumor.dataset.augment import Augment
from mri_tumor.dataset.pipeline import load
from mri_tumor.dataset.preprocess import Preprocess
from mri_tumor.models.builders import backbone
from mri_tumor.models.classifier import Classifier
from mri_tumor.models.novelty import Density
from mri_tumor.models.recipe import Recipe
from mri_tumor.models.steps import checkpoint
from mri_tumor.models.training import train

SOLVED = Recipe(head_solver="newton", augment=None, strengths=(0.003, 0.01), seed=3, tta="mirror")
FINE = SOLVED.replace(
    **{"fine_epochs": 3, "fine_learning_rate": 5e-3, "fine_share": 1.0, "batch_size": 8},
    **{"augment": Augment(rotation=5), "copies": 0, "ema": 0.5},
)


def images(part) -> np.ndarray:
    return np.concatenate([batch["image"] for batch in load(part, Preprocess(size=32))])


def same(one: list, other: list) -> bool:
    return all(map(np.array_equal, one, other))


def test_a_run_of_two_phases_says_how_both_went(make_network, sides, whole):
    classifier, folder = whole(FINE)
    training = classifier.manifest.sections["training"]
    assert training["top_kept"] is True
    assert list(training["phases"]) == ["head", "top"]
    assert training["best_val_loss"] == training["phases"]["top"]["best_val_loss"]
    for name in ("history.csv", "curves.png", "top/history.csv", "top/curves.png", "top/checkpoint"):
        assert (folder / name).exists()
    assert not same(backbone(classifier.model).get_weights(), backbone(make_network()).get_weights())
    # The density is that of the features as they became.
    observed = classifier.observe(sides[0])
    expected = Density.fit(observed.features, sides[0].label_indices)
    np.testing.assert_allclose(classifier.density.means, expected.means, atol=1e-4)
    distances = classifier.density.distance(observed.features)
    np.testing.assert_allclose(distances, expected.distance(observed.features), rtol=0.01)


class Killed(Exception):
    pass


@pytest.mark.parametrize("refit", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_run_killed_in_its_second_phase_ends_as_one_that_was_not(
    make_network, sides, whole, tmp_path, monkeypatch, refit
):
    expected, folder = whole(FINE, refit)
    assert expected.manifest.sections["training"]["phases"]["top"]["best_epoch"] > 1
    where = tmp_path / "refit" / "top" if refit else tmp_path / "top"
    write = checkpoint.Checkpoint.on_epoch_end

    def dies(self, now, logs=None):
        write(self, now, logs)
        if now == 1 and self.directory.parent == where:
            raise Killed

    options = {"recipe": FINE, "run_dir": tmp_path, "refit": refit}
    with monkeypatch.context() as patched:
        patched.setattr(checkpoint.Checkpoint, "on_epoch_end", dies)
        with pytest.raises(Killed):
            train(make_network(frozen=True), *sides, **options)
    # Other initial weights of the head: the run goes on from its own.
    network = make_network(frozen=True)
    network.get_layer("logits").bias.assign([1, 2, 3, 4])
    resumed = train(network, *sides, **options)
    assert same(resumed.model.get_weights(), expected.model.get_weights())
    assert resumed.manifest.sections["training"] == expected.manifest.sections["training"]
    assert resumed.manifest.sections["training"]["top_kept"]
    for name in ("history.csv", "top/history.csv", *(["refit/top/history.csv"] if refit else [])):
        assert (folder / name).read_bytes() == (tmp_path / name).read_bytes()


def test_a_run_killed_between_its_phases_ends_as_one_that_was_not(
    make_network, sides, whole, tmp_path, monkeypatch
):
    expected, _ = whole(FINE)

    def dies(*arguments):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr("mri_tumor.models.fitting.phases.free_top", dies)
        with pytest.raises(Killed):
            train(make_network(frozen=True), *sides, recipe=FINE, run_dir=tmp_path)
    resumed = train(make_network(frozen=True), *sides, recipe=FINE, run_dir=tmp_path)
    assert same(resumed.model.get_weights(), expected.model.get_weights())


def test_a_second_phase_that_was_set_aside_leaves_the_first(make_network, sides, whole, tmp_path):
    plain, _ = whole(SOLVED)
    recipe = SOLVED.replace(fine_epochs=1, fine_learning_rate=3.0)
    classifier = train(make_network(frozen=True), *sides, recipe=recipe, run_dir=tmp_path)
    assert classifier.manifest.sections["training"]["top_kept"] is False
    assert same(classifier.model.get_weights(), plain.model.get_weights())
    assert classifier.manifest.sections["model"]["frozen"] is True
    assert classifier.predict(sides[1]) == plain.predict(sides[1])


@pytest.mark.parametrize("recipe", [SOLVED, FINE])
def test_with_mirror_images_the_answer_is_the_mean_of_both_views(sides, whole, recipe):
    classifier, folder = whole(recipe)
    assert classifier.manifest.sections["decision"] == {"tta": "mirror"}
    seen = images(sides[1])
    logits = [np.asarray(classifier.model(view)) for view in (seen, seen[:, :, ::-1])]
    assert np.abs(logits[0] - logits[1]).max() > 1e-2
    expected = softmax(np.mean(logits, axis=0), axis=1)
    for one in (classifier, Classifier.load(folder)):
        found = [list(answer.probabilities.values()) for answer in one.predict(sides[1])]
        np.testing.assert_allclose(found, expected, atol=1e-5)
        mirrored = [list(answer.probabilities.values()) for answer in one.predict(seen[:, :, ::-1])]
        np.testing.assert_allclose(mirrored, found, atol=1e-5)


def test_the_strength_is_selected_by_both_views(sides, whole):
    classifier, _ = whole(SOLVED)
    logits = classifier.observe(sides[1]).logits
    losses = -np.log(softmax(logits, axis=1))[np.arange(8), sides[1].label_indices]
    training = classifier.manifest.sections["training"]
    assert training["best_val_loss"] == pytest.approx(losses.mean(), abs=1e-4)


def test_plain_datasets_go_through_two_phases(make_network, sides, tmp_path):
    spec = Preprocess(size=32)
    data = [load(part, spec) for part in sides]
    recipe = Recipe(
        epochs=1, fine_epochs=1, fine_learning_rate=1e-3, batch_size=8, augment=None, class_weights="none"
    )
    classifier = train(make_network(frozen=True), *data, recipe=recipe, run_dir=tmp_path, refit=True)
    training = classifier.manifest.sections["training"]
    assert list(training["phases"]) == ["network", "top"]
    assert training["refit"]["count"] == 30
    assert classifier.seen is None

"""Runs of several networks: what each says of the pictures held out, and what becomes of them together."""

import numpy as np
import pytest

from mri_tumor.dataset.catalog import Catalog
from mri_tumor.dataset.pipeline import load
from mri_tumor.dataset.preprocess import Preprocess
from mri_tumor.errors import ArgumentError, LeakageError
from mri_tumor.models.builders import describe
from mri_tumor.models.calibration import calibrate
from mri_tumor.models.classifier import Classifier
from mri_tumor.models.evaluation import evaluate
from mri_tumor.models.fitting.held_out import HeldOut, group_folds
from mri_tumor.models.recipe import Recipe
from mri_tumor.models.steps import checkpoint
from mri_tumor.models.training import train

RECIPE = Recipe(head_solver="newton", augment=None, strengths=(0.03, 0.3), folds=3, seed=3, tta="mirror")
STEPS = Recipe(epochs=2, batch_size=8, learning_rate=0.02, augment=None, folds=3, seed=3)
FINE = {"fine_epochs": 2, "fine_learning_rate": 3e-3, "fine_share": 1.0, "batch_size": 8}


def parts_of(sides, pool) -> list[tuple[Catalog, Catalog, np.ndarray]]:
    """Return each fold's training and validation pictures, and the places of those held out."""
    every = Catalog([*sides[0], *sides[1]], sides[0].classes)
    chosen = []
    for fold in group_folds(pool, RECIPE):
        ids = [[pool.ids[place] for place in places] for places in fold[:2]]
        chosen.append((every.select(ids=ids[0]), every.select(ids=ids[1]), fold.held))
    return chosen


@pytest.mark.parametrize("refit", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_each_picture_is_answered_by_the_network_that_never_saw_it(
    make_network, sides, pool, whole, tmp_path, refit
):
    classifier, folder = whole(RECIPE, refit)
    held = HeldOut.load(folder)
    assert held.ids.tolist() == [*sides[0].ids, *sides[1].ids]
    assert held.labels.tolist() == pool.label_indices.tolist()
    assert held.groups.tolist() == [*sides[0].groups, *sides[1].groups]
    assert (held.logits.shape, held.distances.shape) == ((30, 4), (30,))
    every = Catalog([*sides[0], *sides[1]], sides[0].classes)
    said = []
    for number, (learnt, judged, places) in enumerate(parts_of(sides, pool)):
        options = {"recipe": RECIPE.replace(folds=None), "run_dir": tmp_path / str(number), "refit": refit}
        one = train(make_network(frozen=True), learnt, judged, **options)
        seen = one.observe(every)
        said.append(seen.logits)
        np.testing.assert_allclose(held.logits[places], seen.logits[places], atol=2e-3)
        distances = one.density.distance(seen.features[places])
        np.testing.assert_allclose(held.distances[places], distances, rtol=1e-3)
        section = classifier.manifest.sections["training"]["folds"][number]
        alone = one.manifest.sections["training"]
        assert section["best_strength"] == alone["best_strength"]
        assert section["class_weights"] == pytest.approx(alone["class_weights"])
        assert (section["refit"] is not None) == refit
    # Together they answer by the mean of their logits.
    np.testing.assert_allclose(classifier.observe(every).logits, np.mean(said, axis=0), atol=2e-3)


def test_the_run_leaves_everything_in_its_folder(make_network, sides, whole, monkeypatch):
    classifier, folder = whole(RECIPE)
    names = {path.name for path in folder.iterdir()}
    assert {"fold-0", "fold-1", "fold-2", "features", "classifier", "confusion.png", "initial.npz"} <= names
    for number in range(3):
        assert (folder / f"fold-{number}" / "history.csv").is_file()
        assert (folder / f"fold-{number}" / "curves.png").is_file()
    training = classifier.manifest.sections["training"]
    assert [section["phases"].keys() for section in training["folds"]] == [{"head"}] * 3
    assert "best_epoch" not in training
    monkeypatch.setattr("mri_tumor.models.training.fit", None)
    again = train(make_network(frozen=True), *sides, recipe=RECIPE, run_dir=folder)
    assert again.predict(sides[1]) == classifier.predict(sides[1])
    # One backbone: the classifier is no larger than each of the three.
    assert again.model.count_params() == make_network().count_params()


def test_the_run_calibrates_its_classifier(whole, sides):
    classifier, folder = whole(RECIPE)
    calibrated = calibrate(classifier, folder, risk=0.3, folds=3)
    assert calibrated.calibrated == classifier.seen
    assert len(calibrated.calibrated.files) == 30
    decision = calibrated.manifest.sections["decision"]
    assert decision["tta"] == "mirror"
    assert set(decision["conformal"]["thresholds"]) == set(classifier.labels)
    assert decision["novelty"]["threshold"] > 0
    assert decision["calibration"]["reuse"]["allowed"] is False
    found = calibrated.predict(sides[1])
    assert all(one.prediction_set is not None and one.novelty is not None for one in found)
    # Its own pictures are no news to it, in whatever form.
    with pytest.raises(LeakageError, match="trained on 8 pictures"):
        calibrate(classifier, sides[1], folds=3)


@pytest.mark.parametrize("recipe", [RECIPE, RECIPE.replace(folds=None)])
def test_all_pictures_count_as_seen_once_all_were_trained_on(whole, sides, recipe):
    classifier, folder = whole(recipe, recipe.folds is None)
    for one in (classifier, Classifier.load(folder)):
        for part in sides:
            with pytest.raises(LeakageError, match=f"trained on {len(part)} pictures"):
                evaluate(one, part)
            assert one.selected.shared(_known(part)).pictures == part.ids


def test_a_run_without_folds_kept_nothing_to_calibrate_by(whole):
    classifier, folder = whole(RECIPE.replace(folds=None))
    with pytest.raises(ArgumentError, match="a run without folds"):
        calibrate(classifier, folder)


def _known(part: Catalog):
    from mri_tumor.models.seen import known_of

    return known_of(part, part.ids, part.groups)


def test_in_a_single_run_the_validation_pictures_are_those_selected_by(whole, sides):
    classifier, folder = whole(RECIPE.replace(folds=None))
    learnt, judged = map(_known, sides)
    for one in (classifier, Classifier.load(folder)):
        assert one.seen.shared(learnt).pictures == learnt.ids
        assert not one.seen.shared(judged)
        assert one.selected.shared(judged).pictures == judged.ids
        assert not one.selected.shared(learnt)
    with pytest.raises(LeakageError, match="selected on 8 pictures"):
        calibrate(classifier, sides[1], folds=3)


class Killed(Exception):
    pass


def test_a_run_killed_in_its_second_fold_ends_as_one_that_was_not(
    make_network, sides, whole, tmp_path, monkeypatch
):
    expected, folder = whole(STEPS)
    write = checkpoint.Checkpoint.on_epoch_end

    def dies(self, epoch, logs=None):
        write(self, epoch, logs)
        if epoch == 0 and self.directory.parent.name == "fold-1":
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(checkpoint.Checkpoint, "on_epoch_end", dies)
        with pytest.raises(Killed):
            train(make_network(frozen=True), *sides, recipe=STEPS, run_dir=tmp_path)
    assert not (tmp_path / "out_of_fold.npz").exists()
    resumed = train(make_network(frozen=True), *sides, recipe=STEPS, run_dir=tmp_path)
    assert all(map(np.array_equal, resumed.model.get_weights(), expected.model.get_weights()))
    one, other = HeldOut.load(tmp_path), HeldOut.load(folder)
    assert all(np.array_equal(vars(one)[name], vars(other)[name]) for name in vars(one))


@pytest.mark.slow
def test_networks_that_were_trained_on_stand_side_by_side(sides, whole):
    recipe = RECIPE.replace(**FINE)
    classifier, folder = whole(recipe)
    sections = classifier.manifest.sections["training"]["folds"]
    assert all(section["top_kept"] for section in sections)
    described = describe(classifier.model)
    assert described["name"] == "tiny-members-3"
    assert classifier.density.means.shape == (4, 24)
    held = HeldOut.load(folder)
    assert (held.logits.argmax(axis=1) == held.labels).mean() > 0.5
    calibrated = calibrate(classifier, folder, risk=0.3, folds=3)
    calibrated.save(folder / "calibrated")
    loaded = Classifier.load(folder / "calibrated")
    assert loaded.predict(sides[1]) == calibrated.predict(sides[1])


def test_whole_networks_are_trained_in_folds_too(make_network, sides, pool, tmp_path, caplog):
    recipe = STEPS.replace(epochs=1, class_weights="sampling", mixup=0.2)
    classifier = train(make_network(), *sides, recipe=recipe, run_dir=tmp_path)
    # Each network's own density: none of the directions mixes features of two networks.
    stirred = np.abs(classifier.density.directions.reshape(-1, 3, 8)).sum(axis=2) > 0
    assert (stirred.sum(axis=1) == 1).all()
    assert stirred.any(axis=0).all()
    training = classifier.manifest.sections["training"]
    assert [list(section["phases"]) for section in training["folds"]] == [["network"]] * 3
    assert training["cached_features"] is False
    held = HeldOut.load(tmp_path)
    for number, fold in enumerate(group_folds(pool, recipe)):
        right = (held.logits.argmax(axis=1) == held.labels)[fold.held].mean()
        most = np.bincount(held.labels[fold.held]).max() / len(fold.held)
        said = f"fold {number + 1} is no better than naming its most frequent class" in caplog.text
        assert said == (right <= most)
    assert all(set(section["class_weights"].values()) == {1.0} for section in training["folds"])
    assert len(HeldOut.load(tmp_path).ids) == 30


def test_what_cannot_be_folded_is_refused_before_a_folder_is_made(make_network, sides, tmp_path):
    plain = [load(part, Preprocess(size=32)) for part in sides]
    few = tuple(
        part.with_groups(dict.fromkeys(part.ids, name)) for part, name in zip(sides, "ab", strict=True)
    )
    for network, parts, text in (
        (make_network(), plain, "folds is 3 with a plain Dataset"),
        (make_network(), [sides[0], plain[1]], "folds is 3 with a plain Dataset"),
        (make_network(hidden=3), sides, "folds is 3 for tiny, whose head has several layers"),
        (make_network(), few, "has 2 groups for 3 folds"),
    ):
        with pytest.raises(ArgumentError, match=text):
            train(network, *parts, recipe=STEPS, run_dir=tmp_path / "run")
    sampling = STEPS.replace(folds=None, class_weights="sampling")
    with pytest.raises(ArgumentError, match="class_weights is 'sampling' with a plain Dataset"):
        train(make_network(), *plain, recipe=sampling, run_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()

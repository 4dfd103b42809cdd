import functools
import json
import logging

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf

from mri_tumor import LABELS
from mri_tumor.dataset.augment import Augment
from mri_tumor.dataset.catalog import Catalog, scan
from mri_tumor.dataset.pipeline import Examples, load
from mri_tumor.dataset.preprocess import Preprocess
from mri_tumor.dataset.tfrecord import write_tfrecords
from mri_tumor.errors import ArgumentError, LeakageError, ManifestMismatch, TrainingError
from mri_tumor.manifest import Manifest
from mri_tumor.models.builders import set_frozen
from mri_tumor.models.classifier import Classifier
from mri_tumor.models.evaluation import evaluate
from mri_tumor.models.fitting.runfolder import RunFolder
from mri_tumor.models.recipe import Recipe
from mri_tumor.models.steps import checkpoint
from mri_tumor.models.training import train

SIZE = 32
RECIPE = Recipe(epochs=2, batch_size=8, learning_rate=3e-3, copies=1, seed=3, augment=Augment(rotation=5))


def network(frozen: bool = False, seed: int = 0, width: int = 4, classes: int = 4) -> keras.Model:
    """Return a network of the library's form that is small enough to train in a second."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((SIZE, SIZE, 1), dtype="uint8", name="image")
    x = keras.layers.Rescaling(1 / 255)(image)
    x = keras.layers.Conv2D(width, 5, strides=4, activation="relu")(x)
    features = keras.layers.GlobalAveragePooling2D(name="features")(x)
    x = keras.layers.Dropout(0.3)(features)
    model = keras.Model(image, keras.layers.Dense(classes, name="logits")(x), name="tiny")
    set_frozen(model, frozen)
    return model


@pytest.fixture(scope="module")
def pictures(tmp_path_factory) -> Catalog:
    root, rng = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for label in LABELS:
        (root / label).mkdir()
        for number in range(6):
            cv2.imwrite(str(root / label / f"{number:03d}.png"), rng.integers(30, 255, (40, 40), np.uint8))
    return scan(root)


@pytest.fixture(scope="module")
def parts(pictures) -> tuple[Catalog, Catalog]:
    places = range(len(pictures))
    chosen = [pictures.ids[place] for place in places if place % 3]
    others = [pictures.ids[place] for place in places if place % 3 == 0]
    # Unequal classes, so that class weights differ from 1.
    return pictures.select(ids=chosen[:-2]), pictures.select(ids=others)


@pytest.fixture(scope="module")
def whole(parts, tmp_path_factory):
    """Return a function that trains once without an interruption: (frozen, refit) -> (classifier, folder)."""

    @functools.cache
    def run(frozen: bool = False, refit: bool = False):
        folder = tmp_path_factory.mktemp("whole")
        return train(network(frozen), *parts, recipe=RECIPE, run_dir=folder, refit=refit), folder

    return run


@pytest.fixture(autouse=True)
def _without_drawings(request, monkeypatch):
    if "whole" not in request.fixturenames:
        monkeypatch.setattr(RunFolder, "draw", lambda *args: None)


def same(one: keras.Model, other: keras.Model) -> bool:
    return all(map(np.array_equal, one.get_weights(), other.get_weights()))


@pytest.mark.parametrize("frozen", [False, True])
def test_a_run_makes_its_folder_and_a_classifier(parts, whole, frozen):
    classifier, folder = whole(frozen)
    names = {path.name for path in folder.iterdir()}
    expected = {"manifest.json", "history.csv", "curves.png", "confusion.png", "checkpoint", "classifier"}
    assert expected <= names
    assert ("features" in names) == frozen
    assert not same(network(frozen), classifier.model)
    loaded = Classifier.load(folder / "classifier")
    assert loaded.predict(parts[1]) == classifier.predict(parts[1])
    assert loaded.manifest.digest == classifier.manifest.digest
    history = (folder / "history.csv").read_text().splitlines()
    assert len(history) == 1 + classifier.manifest.sections["training"]["epochs_run"]


def test_the_manifest_says_what_was_done(parts, whole):
    classifier, folder = whole()
    sections = classifier.manifest.sections
    assert sections["data"] == Examples(parts[0], Preprocess(size=SIZE)).section
    assert sections["validation"]["count"] == len(parts[1])
    assert Recipe.from_dict(sections["recipe"]) == RECIPE
    assert sections["decision"] == {}
    training = sections["training"]
    rows = [line.split(",") for line in (folder / "history.csv").read_text().splitlines()]
    losses = [float(row[rows[0].index("val_loss")]) for row in rows[1:]]
    assert training["best_val_loss"] == min(losses)
    assert training["best_epoch"] == losses.index(min(losses))
    assert training["leakage"] == {
        "allowed": False, "checked": True, "shared_pictures": 0, "shared_groups": 0
    }  # fmt: skip
    counts = sections["data"]["counts"]
    for label, weight in training["class_weights"].items():
        assert weight == pytest.approx(len(parts[0]) / (4 * counts[label]))
    run = Manifest.load(folder, kind="run").sections
    assert run["run"]["finished"] is True
    assert run["run"]["training"] == training


@pytest.mark.parametrize("frozen", [False, True])
def test_a_finished_run_is_returned_at_once(parts, whole, frozen, monkeypatch):
    first, folder = whole(frozen)
    monkeypatch.setattr("mri_tumor.models.fitting.phases.run_epochs", None)
    # A frozen backbone belongs to the run; weights drawn for training do not.
    again = train(network(frozen, seed=0 if frozen else 9), *parts, recipe=RECIPE, run_dir=folder)
    assert same(first.model, again.model)


def test_another_run_in_the_folder_is_refused_and_the_difference_named(parts, whole):
    _, folder = whole()
    with pytest.raises(TrainingError, match=r"recipe\.epochs: 2, not 3.*empty folder"):
        train(network(), *parts, recipe=RECIPE.replace(epochs=3), run_dir=folder)
    with pytest.raises(TrainingError, match="validation"):
        train(network(), parts[0], parts[1][:-1], recipe=RECIPE, run_dir=folder)
    with pytest.raises(TrainingError, match=r"settings\.architecture"):
        train(network(width=3), *parts, recipe=RECIPE, run_dir=folder)
    with pytest.raises(TrainingError, match="frozen"):
        train(network(frozen=True), *parts, recipe=RECIPE, run_dir=folder)


def test_the_model_that_was_given_stays_as_it_is(parts, tmp_path):
    model = network()
    before = model.get_weights()
    train(model, *parts, recipe=RECIPE.replace(epochs=1), run_dir=tmp_path)
    assert all(map(np.array_equal, before, model.get_weights()))


class Killed(Exception):
    pass


def kill_after(monkeypatch, epoch: int, folder: str) -> None:
    write = checkpoint.Checkpoint.on_epoch_end

    def dies(self, now, logs=None):
        write(self, now, logs)
        if now == epoch and self.directory.parent.name == folder:
            raise Killed

    monkeypatch.setattr(checkpoint.Checkpoint, "on_epoch_end", dies)


@pytest.mark.parametrize(
    ("frozen", "folder"), [(False, "run"), (True, "run"), (False, "refit"), (True, "refit")]
)
def test_a_killed_run_ends_as_the_uninterrupted_one(parts, whole, tmp_path, monkeypatch, frozen, folder):
    options = {"recipe": RECIPE, "refit": folder == "refit"}
    expected, place = whole(frozen, folder == "refit")
    with monkeypatch.context() as patched:
        kill_after(patched, 0, folder)
        with pytest.raises(Killed):
            train(network(frozen), *parts, run_dir=tmp_path / "run", **options)
    resumed = train(network(frozen), *parts, run_dir=tmp_path / "run", **options)
    assert same(resumed.model, expected.model)
    assert resumed.manifest.sections["training"] == expected.manifest.sections["training"]
    assert (place / "history.csv").read_bytes() == (tmp_path / "run" / "history.csv").read_bytes()


def test_shards_and_their_catalog_train_the_same(parts, whole, tmp_path):
    spec = Preprocess(size=SIZE)
    for name, part in zip(("train", "validation"), parts, strict=True):
        write_tfrecords(part, tmp_path / name, preprocess=spec)
    folders = [tmp_path / "train", tmp_path / "validation"]
    shards = train(network(), *folders, recipe=RECIPE, run_dir=tmp_path / "run")
    assert same(shards.model, whole()[0].model)


def test_a_plain_dataset_trains_and_says_what_it_lacks(parts, tmp_path, caplog):
    spec = Preprocess(size=SIZE)
    loaded = [load(part, spec, batch_size=5) for part in parts]
    pairs = [data.map(lambda one: (one["image"], one["label"])).unbatch() for data in loaded]
    with caplog.at_level(logging.WARNING):
        classifier = train(network(True), *loaded, recipe=RECIPE, run_dir=tmp_path / "dicts", preprocess=spec)
    assert "no check for leaks" in caplog.text
    training = classifier.manifest.sections["training"]
    assert training["cached_features"] is False
    assert training["leakage"]["checked"] is False
    assert classifier.manifest.sections["data"]["count"] == len(parts[0])
    train(network(), *pairs, recipe=RECIPE.replace(epochs=1), run_dir=tmp_path / "pairs", refit=True)


def test_refit_trains_on_both_for_the_epochs_chosen(parts, whole):
    (classifier, folder), (plain, _) = whole(refit=True), whole()
    training = classifier.manifest.sections["training"]
    assert training["refit"]["count"] == len(parts[0]) + len(parts[1])
    assert training["refit"]["epochs_run"] == training["best_epoch"] + 1
    assert not same(classifier.model, plain.model)
    history = (folder / "refit" / "history.csv").read_text().splitlines()
    assert len(history) == training["refit"]["epochs_run"] + 1
    assert plain.manifest.sections["training"]["refit"] is None


def test_class_weights_change_the_loss_by_what_they_say(parts, tmp_path):
    losses = []
    for name in ("balanced", "none"):
        recipe = RECIPE.replace(
            epochs=1, class_weights=name, learning_rate=1e-12, batch_size=64, augment=None
        )
        train(network(True), *parts, recipe=recipe, run_dir=tmp_path / name)
        rows = (tmp_path / name / "history.csv").read_text().splitlines()
        losses.append(float(rows[1].split(",")[1]))
    assert abs(losses[0] - losses[1]) > 1e-4


@pytest.fixture(params=["catalog", "shards"])
def given(request, tmp_path):
    """Return a function that gives pictures in each form that training and judging take."""

    def give(part, name):
        if request.param == "shards":
            write_tfrecords(part, tmp_path / name, preprocess=Preprocess(size=SIZE))
            return tmp_path / name
        return part

    return give


def grouped(part: Catalog, groups: str) -> Catalog:
    """Return the pictures with these groups, one letter a picture and the last one for the rest."""
    names = groups.ljust(len(part), groups[-1])
    return part.with_groups(dict(zip(part.ids, names, strict=True)))


def test_shared_pictures_are_refused_unless_allowed(pictures, parts, given, tmp_path):
    one, other = given(parts[0], "one"), given(pictures[:9], "other")
    with pytest.raises(LeakageError, match=r"6 pictures \(glioma/001.png") as caught:
        train(network(), one, other, recipe=RECIPE, run_dir=tmp_path / "run")
    assert "allow_leakage" in str(caught.value)
    assert not (tmp_path / "run").exists()
    recipe = RECIPE.replace(epochs=1)
    train(network(), one, other, recipe=recipe, run_dir=tmp_path / "run", allow_leakage=True)
    leakage = Classifier.load(tmp_path / "run").manifest.sections["training"]["leakage"]
    assert (leakage["allowed"], leakage["shared_pictures"]) == (True, 6)


def test_a_classifier_is_not_judged_by_what_it_was_trained_on(pictures, parts, given, tmp_path):
    options = {"recipe": RECIPE.replace(epochs=1), "run_dir": tmp_path / "run"}
    train(network(), *parts, **options)
    classifier = Classifier.load(tmp_path / "run")
    every, judged = given(pictures, "all"), given(parts[1], "validation")
    with pytest.raises(LeakageError, match=r"trained on \d+ pictures"):
        evaluate(classifier, every)
    assert evaluate(classifier, every, allow_leakage=True).to_dict()["trained_on"]["pictures"] == parts[0].ids
    assert not evaluate(classifier, judged).shared
    both = train(network(), *parts, refit=True, recipe=options["recipe"], run_dir=tmp_path / "both")
    with pytest.raises(LeakageError, match="trained on"):
        evaluate(both, judged)


def test_shared_groups_are_refused_unless_allowed(parts, given, tmp_path):
    one, same = given(grouped(parts[0], "a"), "one"), given(grouped(parts[1], "aab"), "same")
    recipe = RECIPE.replace(epochs=1)
    with pytest.raises(LeakageError, match=r"share 1 groups \(a\)"):
        train(network(), one, same, recipe=recipe, run_dir=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    train(network(), one, same, recipe=recipe, run_dir=tmp_path / "run", allow_leakage=True)
    leakage = Classifier.load(tmp_path / "run").manifest.sections["training"]["leakage"]
    assert leakage == {"allowed": True, "checked": True, "shared_pictures": 0, "shared_groups": 1}
    others = given(grouped(parts[1], "xb"), "others")
    train(network(), one, others, recipe=recipe, run_dir=tmp_path / "second")


def test_a_classifier_is_not_judged_by_groups_that_it_was_trained_on(parts, given, tmp_path):
    learnt = grouped(parts[0], "a")
    half = len(parts[1]) // 2
    train(network(), learnt, grouped(parts[1][:half], "b"), recipe=RECIPE.replace(epochs=1), run_dir=tmp_path)
    classifier = Classifier.load(tmp_path)
    test = given(grouped(parts[1][half:], "ac"), "test")
    with pytest.raises(LeakageError, match=r"trained on 1 groups \(a\)"):
        evaluate(classifier, test)
    allowed = evaluate(classifier, test, allow_leakage=True)
    assert (allowed.shared.pictures, allowed.shared.groups) == ((), ("a",))
    assert "trained on: 1 groups (a) of these" in allowed.summary()
    assert not evaluate(classifier, given(grouped(parts[1][half:], "dc"), "clean")).shared


def test_equal_ids_of_two_folders_are_no_leak_when_the_files_differ(make_folder, tmp_path):
    one = scan(make_folder(per_class=2, name="one"))
    other = scan(make_folder(per_class=2, name="other", seed=7))
    assert one.ids == other.ids
    train(network(), one, other, recipe=RECIPE.replace(epochs=1), run_dir=tmp_path / "run")


def test_what_does_not_fit_is_refused(parts, tmp_path):
    here = {"recipe": RECIPE, "run_dir": tmp_path / "run"}
    other = Catalog(parts[1], classes=("pituitary", "glioma", "meningioma", "none"))
    with pytest.raises(ManifestMismatch, match="same labels"):
        train(network(), parts[0], other, **here)
    with pytest.raises(ManifestMismatch, match="4 classes"):
        train(network(classes=3), *parts, **here)
    with pytest.raises(ManifestMismatch, match="size 32"):
        train(network(), *parts, preprocess=Preprocess(size=40), **here)
    write_tfrecords(parts[1], tmp_path / "shards", preprocess=Preprocess(size=SIZE, crop=False))
    with pytest.raises(ManifestMismatch, match="same preprocessing"):
        train(network(), parts[0], tmp_path / "shards", **here)
    with pytest.raises(TrainingError, match="no picture of pituitary"):
        train(network(), parts[0].select(where=lambda one: one.label != "pituitary"), parts[1], **here)
    assert not (tmp_path / "run").exists()


def test_wrong_arguments_are_refused_by_name(parts, tmp_path):
    here = {"run_dir": tmp_path}
    with pytest.raises(ArgumentError, match="recipe"):
        train(network(), *parts, recipe={"epochs": 3}, **here)
    with pytest.raises(ArgumentError, match="train is a list"):
        train(network(), [1], parts[1], **here)
    with pytest.raises(ArgumentError, match="features"):
        train(keras.Sequential([keras.Input((2,)), keras.layers.Dense(4)]), *parts, **here)
    floats = tf.data.Dataset.from_tensor_slices((np.zeros((4, SIZE, SIZE, 1), "f"), np.zeros(4, "i8"))).batch(
        2
    )
    with pytest.raises(ArgumentError, match="uint8"):
        train(network(), floats, parts[1], **here)
    images = np.zeros((4, SIZE, SIZE, 1), np.uint8)
    endless = tf.data.Dataset.from_tensor_slices((images, np.zeros(4, "i8"))).repeat()
    with pytest.raises(ArgumentError, match="never ends"):
        train(network(), endless, parts[1], **here)
    foreign = tf.data.Dataset.from_tensor_slices((images, np.array([0, 1, 2, 9])))
    with pytest.raises(ArgumentError, match="0 to 9"):
        train(network(), foreign, parts[1], **here)
    empty = tf.data.Dataset.from_tensor_slices((images[:0], np.zeros(0, "i8")))
    with pytest.raises(TrainingError, match="validation is empty"):
        train(network(), parts[0], empty, **here)


def test_a_class_that_nothing_is_selected_by_is_said(parts, tmp_path, caplog):
    few = parts[1].select(where=lambda one: one.label != "pituitary")
    few = Catalog(few, parts[0].classes)
    train(network(), parts[0], few, recipe=RECIPE.replace(epochs=1), run_dir=tmp_path)
    assert "validation has no picture of pituitary" in caplog.text


def test_an_unfinished_run_is_no_classifier_yet(tmp_path):
    Manifest("run", {}).save(tmp_path)
    with pytest.raises(ManifestMismatch, match="the run is not finished"):
        Classifier.load(tmp_path)


def test_a_manifest_of_the_folder_that_is_no_run_is_refused(parts, tmp_path):
    card = Manifest("model", {}).to_dict()
    (tmp_path / "manifest.json").write_text(json.dumps(card))
    with pytest.raises(ManifestMismatch, match="kind 'run'"):
        train(network(), *parts, recipe=RECIPE, run_dir=tmp_path)

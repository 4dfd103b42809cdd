"""Training by recipes from the command line, calibrating, and what predict says then."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import keras
import pytest

from mri_tumor import dataset
from mri_tumor.cli.models import recipe_of
from mri_tumor.errors import ArgumentError
from mri_tumor.labels import LABELS, NOTICE
from mri_tumor.manifest import Manifest
from mri_tumor.models import Classifier, Recipe


@pytest.fixture(scope="module")
def shards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return shards of phantoms of 32 pixels: train/ and validation/, each patient in one of them."""
    root = tmp_path_factory.mktemp("shards")
    pictures = dataset.make_phantoms(root / "phantoms", per_class=30, size=48)
    training = pictures.select(split="Training")
    for name, part in zip(("train", "validation"), dataset.split(training, (0.5, 0.5)), strict=True):
        dataset.write_tfrecords(part, root / name, preprocess=dataset.Preprocess(size=32))
    return root


def write(path: Path, recipe: Recipe) -> Path:
    path.write_text(json.dumps(recipe.to_dict()))
    return path


SMALL = Recipe(epochs=1, batch_size=16, augment=None, seed=7)


def trained_by(run: Path) -> Recipe:
    return Recipe.from_dict(Manifest.load(run, kind="run").sections["recipe"])


def table(out: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(out)))


def test_a_recipe_comes_from_a_preset_or_a_file_and_the_seed_from_whoever_names_it(tmp_path: Path) -> None:
    file = write(tmp_path / "recipe.json", SMALL)
    assert recipe_of(None, None, seed=None) == Recipe()
    assert recipe_of(None, None, seed=3) == Recipe(seed=3)
    assert recipe_of("fast", None, seed=None) == Recipe.preset("fast")
    assert recipe_of("fast", None, seed=3) == Recipe.preset("fast", seed=3)
    assert recipe_of(None, file, seed=None) == SMALL
    assert recipe_of(None, file, seed=0) == SMALL.replace(seed=0)


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "recipe.json is not JSON"), ("[1]", "a JSON object"), ('{"epoch": 1}', "a recipe has no epoch")],
)
def test_files_that_hold_no_recipe_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "recipe.json").write_text(text)
    with pytest.raises(ArgumentError, match=message):
        recipe_of(None, tmp_path / "recipe.json", seed=None)


def test_train_follows_a_recipe_and_what_is_named_beside_it(
    run: Callable[..., tuple], shards: Path, tmp_path: Path
) -> None:
    file = write(tmp_path / "recipe.json", SMALL.replace(epochs=3))
    code, out, _ = run("train", shards, tmp_path / "run", "--recipe", file, "--epochs", 1)
    assert code == 0
    assert out == f"{tmp_path / 'run' / 'classifier'}: the classifier. {NOTICE}\n"
    assert trained_by(tmp_path / "run") == SMALL
    options = ("--recipe", file, "--seed", 0, "--batch-size", 8, "--learning-rate", 0.01, "--copies", 5)
    assert run("train", shards, tmp_path / "other", *options, "--epochs", 1, "--refit")[0] == 0
    fields = {"seed": 0, "batch_size": 8, "learning_rate": 0.01, "copies": 5}
    assert trained_by(tmp_path / "other") == SMALL.replace(**fields)
    training = Classifier.load(tmp_path / "other").manifest.sections["training"]
    assert training["refit"]["epochs_run"] == 1


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--preset", "fast", "--recipe", "FILE"), "one of them"),
        (("--preset", "quick"), "there is no preset 'quick'"),
        (("--recipe", "nowhere.json"), "nowhere.json"),
        (("--preset", "fast"), "head_solver is 'newton' with a backbone that is not frozen"),
        (("--preset", "fast", "--epochs", "0"), "epochs is 0"),
    ],
)
def test_train_refuses_what_does_not_go_together(
    run: Callable[..., tuple], shards: Path, tmp_path: Path, options: tuple, text: str
) -> None:
    file = write(tmp_path / "recipe.json", SMALL)
    given = [file if option == "FILE" else option for option in options]
    code, out, error = run("train", shards, tmp_path / "run", *given)
    assert (code, out) == (1, "")
    assert text in " ".join(error.split())
    assert "Traceback" not in error
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_train_by_a_preset_on_given_weights(run: Callable[..., tuple], shards: Path, tmp_path: Path) -> None:
    weights = tmp_path / "mine.weights.h5"
    keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(32, 32, 3)).save_weights(
        weights
    )
    options = ("--model", "mobilenet_v2", "--weights", weights, "--preset", "fast")
    assert run("train", shards, tmp_path / "run", *options)[0] == 0
    assert trained_by(tmp_path / "run") == Recipe.preset("fast")
    training = Classifier.load(tmp_path / "run").manifest.sections["training"]
    assert training["cached_features"] is True
    assert training["best_strength"] in Recipe().strengths


@pytest.mark.slow
def test_from_folds_to_calibrated_answers(run: Callable[..., tuple], shards: Path, tmp_path: Path) -> None:
    file, folder = write(tmp_path / "recipe.json", SMALL), tmp_path / "run"
    assert run("train", shards, folder, "--recipe", file, "--folds", 3)[0] == 0
    assert (folder / "out_of_fold.npz").is_file()
    pictures = sorted((shards / "phantoms" / "Testing").rglob("*.png"))[:6]

    plain = table(run("predict", folder, *pictures)[1])
    assert list(plain[0]) == ["id", "label", "top", *LABELS, "prediction_set", "novelty", "reason"]
    assert {(row["prediction_set"], row["novelty"], row["reason"]) for row in plain} == {("", "", "")}
    assert all(row["label"] == row["top"] == max(LABELS, key=lambda name: float(row[name])) for row in plain)

    # The run is enough: each of its pictures was answered by a network that did not see it.
    code, out, _ = run("calibrate", folder / "classifier", folder, tmp_path / "sure", "--risk", 0.3)
    assert code == 0
    assert out == f"{tmp_path / 'sure'}: the calibrated classifier. {NOTICE}\n"
    decision = Classifier.load(tmp_path / "sure").manifest.sections["decision"]
    assert (decision["conformal"]["risk"], decision["conformal"]["method"]) == (0.3, "plain")
    expected = Classifier.load(tmp_path / "sure").predict(pictures)
    code, out, error = run("predict", tmp_path / "sure", *pictures)
    assert NOTICE in error
    for row, one in zip(table(out), expected, strict=True):
        assert row["prediction_set"] == "|".join(one.prediction_set)
        assert float(row["novelty"]) == pytest.approx(one.novelty, abs=1e-4)
        assert (row["label"], row["reason"]) == (one.label or "", one.reason or "")
        assert row["id"] == one.id
    told = [
        json.loads(line) for line in run("predict", tmp_path / "sure", *pictures, "--json")[1].splitlines()
    ]
    assert [tuple(one["prediction_set"]) for one in told] == [one.prediction_set for one in expected]


def test_calibrate_takes_new_pictures_and_refuses_those_that_it_was_selected_by(
    run: Callable[..., tuple], shards: Path, tmp_path: Path
) -> None:
    assert run("train", shards, tmp_path / "run", "--recipe", write(tmp_path / "r.json", SMALL))[0] == 0
    fresh = tmp_path / "fresh"
    dataset.make_phantoms(fresh, per_class=24, size=48, seed=5)
    pictures, groups = fresh / "Training", tmp_path / "groups.csv"
    # Of patients of their own: phantoms of every seed are numbered from 0.
    rows = (fresh / "groups.csv").read_text().replace("Training/", "").replace("phantom-", "new-")
    groups.write_text("\n".join(row for row in rows.splitlines() if not row.startswith("Testing/")))
    options = ("--groups", groups, "--method", "aps", "--risk", 0.2, "--seed", 4)
    assert run("calibrate", tmp_path / "run", pictures, tmp_path / "one", *options)[0] == 0
    decision = Classifier.load(tmp_path / "one").manifest.sections["decision"]
    assert (decision["conformal"]["method"], decision["calibration"]["seed"]) == ("aps", 4)

    again = ("calibrate", tmp_path / "run", shards / "validation", tmp_path / "two", "--risk", 0.3)
    code, out, error = run(*again)
    assert (code, out) == (1, "")
    assert "LeakageError: training selected on" in " ".join(error.split())
    assert not (tmp_path / "two").exists()
    assert run(*again, "--allow-reuse")[0] == 0
    calibration = Classifier.load(tmp_path / "two").manifest.sections["decision"]["calibration"]
    assert calibration["reuse"]["allowed"] is True
    assert calibration["reuse"]["selected_pictures"] > 0
    code, _, error = run("calibrate", tmp_path / "run", shards / "train", tmp_path / "three", "--allow-reuse")
    assert code == 1
    assert "was trained on" in " ".join(error.split())

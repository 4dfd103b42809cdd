"""The job itself, in this process, on an `/opt/ml` of its own."""

import csv
import json
import logging
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mri_tumor import cloud, models
from mri_tumor.cloud.archive import pack
from mri_tumor.cloud.container.job import METRICS, Places, main
from mri_tumor.cloud.local import read_history

ARGV = ["--model", "small_cnn", "--width", "2", "--epochs", "2", "--batch_size", "8", "--augment", "False"]


@pytest.fixture(autouse=True)
def _logging() -> Iterator[None]:
    """Leave the process's logging as it was: a job sets up its own."""
    root, ours = logging.getLogger(), logging.getLogger("mri_tumor")
    before = root.handlers[:], root.level, ours.level
    yield
    logging.captureWarnings(False)
    root.handlers[:], level, own = before
    root.setLevel(level)
    ours.setLevel(own)


@pytest.fixture
def environ(tmp_path: Path, shards: dict[str, Path]) -> dict[str, str]:
    base = tmp_path / "opt" / "ml"
    return {
        "SM_MODEL_DIR": str(base / "model"),
        "SM_OUTPUT_DATA_DIR": str(base / "output" / "data"),
        "SM_CHANNEL_TRAIN": str(shards["train"]),
        "SM_CHANNEL_VALIDATION": str(shards["validation"]),
        "SM_HOSTS": '["algo-1"]',
        "SM_CURRENT_HOST": "algo-1",
    }


def failure(environ: dict[str, str]) -> str:
    return Places.of(environ).failure.read_text(encoding="utf-8").partition("\n\n")[0]


def test_a_job_leaves_a_package_its_outputs_and_its_lines(
    environ: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(ARGV, environ) == 0
    base = tmp_path / "opt" / "ml"
    manifest = cloud.validate_package(pack(base / "model", tmp_path / "model.tar.gz"))
    assert manifest.sections["recipe"]["epochs"] == 2
    assert manifest.sections["recipe"]["augment"] is None
    outputs = {path.name for path in (base / "output" / "data").iterdir()}
    assert outputs == {"manifest.json", "history.csv", "curves.png", "confusion.png"}
    printed = capsys.readouterr().out
    lines = [line for line in printed.splitlines() if line.startswith("epoch ")]
    history = (base / "output" / "data" / "history.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(history.splitlines()))
    assert len(lines) == len(rows) == 2
    each = {name: expression for name, expression in METRICS.items() if not name.startswith("best_")}
    for name, expression in each.items():
        shown = [float(re.search(expression, line)[1]) for line in lines]
        assert shown == pytest.approx([float(row[name]) for row in rows], rel=1e-3)
    # What is kept is printed last, once: a tuning goes by it.
    kept = [float(value) for value in re.findall(METRICS["best_val_loss"], printed)]
    assert kept == pytest.approx([min(float(row["val_loss"]) for row in rows)], rel=1e-3)
    assert len(re.findall(METRICS["best_val_accuracy"], printed)) == 1


RECIPES = {
    "epochs": ["--epochs", "3", "--learning_rate", "0.02", "--batch_size", "8"],
    "a head that is solved": ["--frozen", "true", "--head_solver", "newton"],
    "a head, then the top": ["--frozen", "true", "--epochs", "2", "--fine_epochs", "2"],
    "refit": ["--epochs", "1", "--refit", "true"],
    "folds": ["--epochs", "1", "--folds", "3"],
}


@pytest.mark.slow
@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_what_a_tuning_goes_by_is_printed_with_every_recipe(
    environ: dict[str, str], shards: dict[str, Path], recipe: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*ARGV[:4], "--augment", "false", *recipe], environ) == 0
    printed = capsys.readouterr().out
    found = {name: re.findall(expression, printed) for name, expression in METRICS.items()}
    solved = "newton" in recipe
    assert [name for name, values in found.items() if not values] == (["learning_rate"] if solved else [])
    classifier = models.Classifier.load(Path(environ["SM_MODEL_DIR"]) / "classifier")
    training = classifier.manifest.sections["training"]
    parts = training.get("folds", [training])
    history = read_history(Path(environ["SM_OUTPUT_DATA_DIR"]) / "history.csv")
    assert {row.get("fold") for row in history} == ({0.0, 1.0, 2.0} if "folds" in training else {None})
    means = [
        sum(part[name] for part in parts) / len(parts) for name in ("best_val_loss", "best_val_accuracy")
    ]
    assert [float(found["best_val_loss"][0]), float(found["best_val_accuracy"][0])] == pytest.approx(
        means, rel=1e-3
    )
    if len(parts) == 1 and not training["refit"]:
        # Not another epoch's or another phase's: that of the network that is delivered.
        judged = models.evaluate(classifier, shards["validation"], allow_leakage=True)
        assert judged.all.accuracy == pytest.approx(means[1])


def test_the_metrics_are_within_sagemakers_limits() -> None:
    assert len(METRICS) <= 40
    assert all(len(name) <= 255 and 0 < len(expression) <= 500 for name, expression in METRICS.items())


def test_a_job_that_starts_again_goes_on_from_its_checkpoints(
    environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(ARGV, environ) == 0
    digest = models.Classifier.load(Path(environ["SM_MODEL_DIR"]) / "classifier").manifest.digest
    # A spot instance that comes back has its checkpoints and nothing else.
    shutil.rmtree(environ["SM_MODEL_DIR"])
    shutil.rmtree(Path(environ["SM_OUTPUT_DATA_DIR"]).parent)
    capsys.readouterr()
    assert main(ARGV, environ) == 0
    assert "epoch 1/2" not in capsys.readouterr().out
    assert models.Classifier.load(Path(environ["SM_MODEL_DIR"]) / "classifier").manifest.digest == digest


def test_an_unknown_hyperparameter_lists_the_known_ones(environ: dict[str, str]) -> None:
    assert main([*ARGV, "--epoch", "3"], environ) == 1
    reason = failure(environ)
    assert "epoch" in reason
    for name in ("width", "epochs", "refit", "dropout", "rotation"):
        assert name in reason


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        (["--epochs", "many"], "epochs is 'many'"),
        (["--model", "resnet"], "resnet"),
        (["--refit", "maybe"], "refit is 'maybe'"),
    ],
)
def test_the_reason_of_a_failure_is_in_its_file(
    environ: dict[str, str], argv: list[str], reason: str
) -> None:
    assert main([*ARGV, *argv], environ) == 1
    assert reason in failure(environ)
    assert not (Path(environ["SM_MODEL_DIR"]) / "1").exists()


@pytest.mark.parametrize("channel", ["train", "validation"])
def test_a_missing_channel(environ: dict[str, str], channel: str) -> None:
    del environ[f"SM_CHANNEL_{channel.upper()}"]
    assert main(ARGV, environ) == 1
    assert f"no channel '{channel}'" in failure(environ)


def test_a_channel_without_shards(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert main(ARGV, environ | {"SM_CHANNEL_TRAIN": str(tmp_path / "empty")}) == 1
    assert failure(environ).startswith("channel 'train'")


def test_channels_that_share_pictures(environ: dict[str, str]) -> None:
    environ["SM_CHANNEL_VALIDATION"] = environ["SM_CHANNEL_TRAIN"]
    assert main(ARGV, environ) == 1
    assert "share" in failure(environ)


def test_weights_come_as_a_channel_or_as_a_name(environ: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    environ["SM_CHANNEL_WEIGHTS"] = str(tmp_path / "weights")
    assert main(ARGV, environ) == 1
    assert "without a file *.h5" in failure(environ)
    (tmp_path / "weights" / "a.weights.h5").write_bytes(b"x")
    assert main([*ARGV, "--weights", "imagenet"], environ) == 1
    assert "one of the two" in failure(environ)
    # The file reaches the network's builder, which has no use for it.
    assert main(ARGV, environ) == 1
    assert "a.weights.h5" in failure(environ)


TWO = {"SM_HOSTS": '["algo-1", "algo-2"]', "SM_CURRENT_HOST": "algo-2"}


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        (["--devices", "one"], "2 hosts, and its recipe has devices='one'"),
        (["--devices", "mirrored"], "devices='mirrored'"),
        (["--preset", "fast"], "solves its head at once"),
    ],
)
def test_several_hosts_need_a_recipe_that_they_can_share(
    environ: dict[str, str], more: list[str], reason: str
) -> None:
    argv = more if "--preset" in more else [*ARGV, *more]
    assert main(argv, environ | TWO) == 1
    assert reason in failure(environ)
    assert "instance_count to 1" in failure(environ)


def test_a_host_that_is_not_among_the_hosts(environ: dict[str, str]) -> None:
    assert main(ARGV, environ | TWO | {"SM_CURRENT_HOST": "algo-3"}) == 1
    assert "SM_CURRENT_HOST is 'algo-3'" in failure(environ)


@pytest.mark.parametrize(
    ("hyperparameters", "place"), [({"_tuning_objective_metric": "val_loss"}, "a-1/run"), ({}, "run")]
)
def test_jobs_of_a_tuning_have_checkpoints_of_their_own(
    hyperparameters: dict[str, str], place: str, tmp_path: Path
) -> None:
    # Where AWS's toolkit starts the job, SM_HPS lacks the name by which a tuning is known.
    (tmp_path / "input" / "config").mkdir(parents=True)
    (tmp_path / "input" / "config" / "hyperparameters.json").write_text(json.dumps(hyperparameters))
    environ = {"SM_MODEL_DIR": str(tmp_path / "model"), "SM_HPS": "{}", "TRAINING_JOB_NAME": "a-1"}
    assert Places.of(environ).run == tmp_path / "checkpoints" / place


def test_none_and_objects_come_as_json(environ: dict[str, str]) -> None:
    # The command line as AWS's toolkit writes it: nothing for None, and an object without its braces.
    argv = [*ARGV[:-2], "--augment", "brightness=0.1,rotation=5", "--patience", ""]
    whole = {"augment": {"brightness": 0.1, "rotation": 5}, "patience": None}
    assert main(argv, environ | {"SM_HPS": json.dumps(whole)}) == 0
    manifest = models.Classifier.load(Path(environ["SM_MODEL_DIR"]) / "classifier").manifest
    recipe = manifest.sections["recipe"]
    assert recipe["patience"] is None
    assert (recipe["augment"]["brightness"], recipe["augment"]["rotation"]) == (0.1, 5)


def test_the_places_of_the_platform() -> None:
    places = Places.of({})
    assert places.model == Path("/opt/ml/model")
    assert places.run == Path("/opt/ml/checkpoints/run")
    assert places.failure == Path("/opt/ml/output/failure")

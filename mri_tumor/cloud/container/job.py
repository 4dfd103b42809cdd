"""The training job: shards in, a package's content out, under SageMaker's training contract.

The same file runs on SageMaker and, started by `Estimator(instance_type="local")`, on this machine. It
imports only what AWS's TensorFlow training image holds.
"""

import json
import logging
import os
import shutil
import sys
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mri_tumor.cloud.container.hosts import WAIT, Hosts
from mri_tumor.cloud.container.settings import Settings, parse
from mri_tumor.cloud.process import WATCH_STDIN, when_parent_ends
from mri_tumor.errors import ArgumentError, ManifestMismatch, MriTumorError
from mri_tumor.manifest import Manifest

if TYPE_CHECKING:
    from mri_tumor.models.recipe import Recipe

logger = logging.getLogger(__name__)

_NUMBER = "([0-9][-+0-9.e]*)"
_EACH_EPOCH = ("loss", "accuracy", "val_loss", "val_accuracy", "learning_rate")
_AT_THE_END = ("best_val_loss", "best_val_accuracy")
METRICS = {name: f" {name} {_NUMBER}" for name in (*_EACH_EPOCH, *_AT_THE_END)}
"""Name -> regular expression that finds it in the lines that the job logs.

After each epoch come its losses and accuracies, at the end `best_val_loss` and `best_val_accuracy` of the
weights that are kept (their means over folds): what a tuning goes by, since SageMaker takes the last value.

>>> import re
>>> line = "epoch 3/20  loss 0.41  accuracy 0.87  val_loss 0.52  val_accuracy 0.81  learning_rate 0.001"
>>> re.search(METRICS["val_accuracy"], line)[1], re.search(METRICS["loss"], line)[1]
('0.81', '0.41')
"""

_KEPT = ("manifest.json", "history.csv", "curves.png", "confusion.png")
_SHOWN = 1024  # characters of the failure file that SageMaker shows


@dataclass(frozen=True)
class Places:
    """Where a job reads and writes, as the platform's environment says.

    Args:
        channels: name -> folder.
        model: what becomes `model.tar.gz`.
        data: what is kept beside the model.
        run: the run's folder, under the checkpoints: a job that was stopped goes on from there. The jobs of
            a tuning, which share their checkpoints' place in S3, have one each.
        failure: the file for the reason of a failure.
    """

    channels: dict[str, Path]
    model: Path
    data: Path
    run: Path
    failure: Path

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "Places":
        """Read the places from the `SM_` variables; what is not set lies under `/opt/ml`."""
        model = Path(environ.get("SM_MODEL_DIR", "/opt/ml/model"))
        base = model.parent
        output = Path(environ.get("SM_OUTPUT_DIR", base / "output"))
        prefix = "SM_CHANNEL_"
        channels = {
            name.removeprefix(prefix).lower(): Path(place)
            for name, place in environ.items()
            if name.startswith(prefix)
        }
        data = Path(environ.get("SM_OUTPUT_DATA_DIR", output / "data"))
        # AWS's toolkit leaves a tuning's own hyperparameters out of SM_HPS: only their file has all of them.
        given = Path(environ.get("SM_INPUT_CONFIG_DIR", base / "input" / "config")) / "hyperparameters.json"
        tuned = given.is_file() and "_tuning_objective_metric" in json.loads(given.read_text("utf-8"))
        series = environ.get("TRAINING_JOB_NAME", "") if tuned else ""
        return cls(channels, model, data, base / "checkpoints" / series / "run", output / "failure")


def main(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run the job as the platform starts it; the reason of a failure goes to the failure file.

    Args:
        argv: the hyperparameters as `--name value`.
        environ: the platform's environment.

    Returns:
        The exit code: 0, or 1 after a failure.
    """
    _log_to_output()
    if environ.get(WATCH_STDIN):
        when_parent_ends(lambda: os._exit(1))
    places = Places.of(environ)
    try:
        run(argv, environ)
    except Exception as error:
        ours = isinstance(error, MriTumorError)
        reason = str(error) if ours else f"{type(error).__name__}: {error}"
        logger.error("job: failed: %s", reason if ours else traceback.format_exc())
        places.failure.parent.mkdir(parents=True, exist_ok=True)
        places.failure.write_text(f"{reason[:_SHOWN]}\n\n{traceback.format_exc()}", encoding="utf-8")
        return 1
    return 0


def run(argv: Sequence[str], environ: Mapping[str, str]) -> None:
    """Train on the channels `train` and `validation` and leave a package's content in the model folder.

    The channels are shard folders as `write_tfrecords` makes them. A channel `weights` holds the file of
    weights that the network starts from.

    Raises:
        MriTumorError: a hyperparameter, a channel or the training is not as it should be.
    """
    settings, hosts = parse(_words(argv, environ)), Hosts.of(environ)
    places = Places.of(environ)
    recipe = settings.recipe_for(len(hosts.names))
    train, validation = (_shards(places, name) for name in ("train", "validation"))
    weights = _weights(places, settings)
    logger.info("job: model %s, recipe %s", settings.model, json.dumps(recipe.to_dict()))
    run_dir = places.run if hosts.first else _own_run(places)
    _connect(recipe, hosts, environ, places.failure)

    from mri_tumor.cloud.package import layout
    from mri_tumor.models.training import train as train_model

    model = _build(settings, weights, Manifest.load(train, kind="shards"))
    classifier = train_model(
        model,
        train,
        validation,
        recipe=recipe,
        run_dir=run_dir,
        refit=settings.refit,
        allow_leakage=settings.allow_leakage,
    )
    if not hosts.first:
        logger.info("job: done, %s writes the model", hosts.names[0])
        return
    logger.info("job: kept  %s", _kept(classifier.manifest.sections["training"]))
    layout(places.run, places.model)
    _keep(places.run, places.data)
    logger.info("job: done, the model lies in %s", places.model)


def _keep(run: Path, data: Path) -> None:
    """Copy what tells how a run went, and each of its folds."""
    for name in (name for kept in _KEPT for name in (kept, f"fold-*/{kept}")):
        for path in run.glob(name):
            place = data / path.relative_to(run)
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, place)


def _words(argv: Sequence[str], environ: Mapping[str, str]) -> list[str]:
    """Return the hyperparameters as `--name value`, and once more as `SM_HPS` has them, which counts.

    AWS's toolkit writes None as nothing and an object as `a=1,b=2` on the command line; `SM_HPS` is JSON.
    """
    whole = json.loads(environ.get("SM_HPS", "{}"))
    return [*argv, *(word for name, value in whole.items() for word in (f"--{name}", json.dumps(value)))]


def _connect(recipe: "Recipe", hosts: Hosts, environ: Mapping[str, str], failure: Path) -> None:
    """Connect to the other hosts, which must be the first thing that TensorFlow does."""
    if not hosts.several:
        return
    os.environ.setdefault("TF_CONFIG", hosts.tf_config)
    from mri_tumor.models.steps.devices import devices_of

    seconds, place, count = float(environ.get(WAIT, 600)), hosts.place + 1, len(hosts.names)
    logger.info("job: host %d of %d waits for the others, at most %g s", place, count, seconds)
    with hosts.waiting(seconds, failure):
        devices_of(recipe)


def _own_run(places: Places) -> Path:
    """Return a run's folder for a host other than the first: what it writes must not reach the checkpoints.

    It begins with what the first host has, so that all go on from the same epoch, or return at once.
    """
    own = places.model.parent / "run-of-this-host"
    if places.run.is_dir():
        shutil.copytree(places.run, own, dirs_exist_ok=True)
    return own


def _kept(training: Mapping[str, Any]) -> str:
    """Return what a run came to, in the form that `METRICS` finds."""
    parts = training.get("folds", [training])
    found = {name: [part[name] for part in parts if name in part] for name in _AT_THE_END}
    return "  ".join(f"{name} {sum(values) / len(values):.4g}" for name, values in found.items() if values)


def _log_to_output() -> None:
    # Only what is ours in detail: the platform charges for every line of the log.
    logging.basicConfig(stream=sys.stdout, format="%(message)s", level=logging.WARNING, force=True)
    logging.getLogger("mri_tumor").setLevel(logging.INFO)
    logging.captureWarnings(True)


def _shards(places: Places, name: str) -> Path:
    folder = places.channels.get(name)
    if folder is None or not folder.is_dir():
        known = ", ".join(sorted(places.channels)) or "none"
        raise ArgumentError(
            f"there is no channel {name!r} (given: {known})",
            "the channels train and validation, each a folder of shards",
            "split with dataset.split, write both with dataset.write_tfrecords, and pass both to fit",
        )
    try:
        Manifest.load(folder, kind="shards")
    except ManifestMismatch as error:
        raise ManifestMismatch(f"channel {name!r}: {error.found}", error.expected, error.fix) from error
    return folder


def _weights(places: Places, settings: Settings) -> str | Path | None:
    folder = places.channels.get("weights")
    if folder is None:
        return settings.weights
    files = sorted(folder.glob("*.h5"))
    if settings.weights is not None or not files:
        found = f"and the hyperparameter weights={settings.weights!r}" if files else "without a file *.h5"
        raise ArgumentError(
            f"there is a channel 'weights' {found}",
            "one of the two, the channel with a file",
            "leave one out",
        )
    return files[0]


def _build(settings: Settings, weights: str | Path | None, shards: Manifest) -> Any:
    import keras

    from mri_tumor.models.builders import build

    data = shards.sections["data"]
    # The same seed gives the same network, whatever was drawn before.
    keras.utils.set_random_seed(settings.recipe().seed)
    size, classes = data["preprocess"]["size"], len(data["labels"])
    settings.check_options()
    return build(settings.model, weights, size=size, classes=classes, **settings.options)

"""Estimator: a training job from shards to `model.tar.gz`."""

import datetime
import json
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from mri_tumor.cloud.endpoint import deploy
from mri_tumor.cloud.instances import LOCAL, check_instance_type
from mri_tumor.cloud.local import LocalJob
from mri_tumor.cloud.package import classifier_of
from mri_tumor.cloud.predictor import Predictor
from mri_tumor.errors import ArgumentError, TrainingError

if TYPE_CHECKING:
    from mri_tumor.models.classifier import Classifier

# The platform's limits; a job that runs here should run there.
_JOB_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")
_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_MOST = 100
_LONGEST = 2500


class Estimator:
    """Trains a classifier in a job of its own, as SageMaker runs it.

    The hyperparameters are the fields of `models.Recipe` and `dataset.Augment`, with `preset` (a named recipe
    that they change), `model` (one of `models.available()`), `refit`, `allow_leakage`, `weights`, and the
    options of `models.build`. The size of the pictures and the classes come from the shards.

    Args:
        instance_type: `"local"`: a process of its own on this machine.
        hyperparameters: name -> value; numbers, texts, booleans, None, and lists and objects of these.
        output: the folder for jobs; each gets a folder of its name in it.
        job_name: the job's name. Without one every `fit` gets a new one; with one, `fit` goes on from the
            checkpoints of the job of that name.

    Raises:
        ArgumentError: an argument is of the wrong kind, or above a limit of the platform.

    >>> Estimator(hyperparameters={"model": "small_cnn", "epochs": 3}).hyperparameters
    {'model': 'small_cnn', 'epochs': '3'}
    """

    def __init__(
        self,
        instance_type: str = LOCAL,
        *,
        hyperparameters: Mapping[str, Any] | None = None,
        output: str | Path = "jobs",
        job_name: str | None = None,
    ) -> None:
        check_instance_type(instance_type)
        if job_name is not None and not (isinstance(job_name, str) and _JOB_NAME.fullmatch(job_name)):
            raise ArgumentError(
                f"job_name is {job_name!r}", "at most 63 letters, digits and hyphens", "choose another name"
            )
        self.instance_type = instance_type
        self.hyperparameters = _as_texts(hyperparameters or {})
        self.output = Path(output)
        self.job_name = job_name
        self._named = job_name is not None
        self._job: LocalJob | None = None

    def fit(self, inputs: Mapping[str, str | Path], *, logs: bool = True) -> Self:
        """Run a job to its end.

        Args:
            inputs: channel -> path: `train` and `validation`, folders of shards; and `weights`, a file of
                weights to start from, or its folder.
            logs: whether the job's lines are logged as they come.

        Raises:
            ArgumentError: a channel is no existing folder or file.
            TrainingError: the job failed; the error holds the reason it gave.
        """
        channels = _channels(inputs)
        if not self._named:
            self.job_name = _new_name()
        self._job = None
        job = LocalJob(self.output / str(self.job_name))
        job.run(channels, self.hyperparameters, logs=logs)
        self._job = job
        return self

    @property
    def model_data(self) -> Path:
        """The path of the finished job's `model.tar.gz`."""
        return self._finished().archive

    @property
    def history(self) -> list[dict[str, float]]:
        """One row an epoch: what `history.csv` holds."""
        return self._finished().history()

    def classifier(self) -> "Classifier":
        """Load the classifier that the job trained."""
        return classifier_of(self.model_data)

    def deploy(self, *, instance_type: str = LOCAL, **options: Any) -> Predictor:
        """Start an endpoint from the job's archive; see `mri_tumor.cloud.deploy`."""
        return deploy(self.model_data, instance_type=instance_type, **options)

    def _finished(self) -> LocalJob:
        if self._job is None:
            raise TrainingError(
                "no job of this Estimator has ended well", "a finished job", "call fit() first"
            )
        return self._job


def _new_name() -> str:
    now = datetime.datetime.now(datetime.UTC)
    return f"mri-tumor-{now:%Y%m%d-%H%M%S}-{secrets.token_hex(4)}"


def _channels(inputs: Mapping[str, str | Path]) -> dict[str, Path]:
    if not isinstance(inputs, Mapping) or not {"train", "validation"} <= inputs.keys():
        given = sorted(map(str, inputs)) if isinstance(inputs, Mapping) else type(inputs).__name__
        raise ArgumentError(
            f"the inputs are {given}",
            '{"train": folder, "validation": folder}, each a folder of shards',
            "split with dataset.split and write both with dataset.write_tfrecords",
        )
    for name, path in inputs.items():
        if not _NAME.fullmatch(name) or not isinstance(path, str | Path) or not Path(path).exists():
            raise ArgumentError(
                f"channel {name!r} is {str(path)!r}, which does not exist here",
                "an existing folder or file",
                "check the path; s3:// comes with a later release",
            )
    return {name: Path(path) for name, path in inputs.items()}


def _as_texts(hyperparameters: Mapping[str, Any]) -> dict[str, str]:
    if not isinstance(hyperparameters, Mapping) or len(hyperparameters) > _MOST:
        raise ArgumentError(
            "hyperparameters is no mapping, or has too many names",
            f"at most {_MOST} of them",
            "leave some out",
        )
    return {name: _as_text(name, value) for name, value in hyperparameters.items()}


def _as_text(name: str, value: Any) -> str:
    try:
        text = value if isinstance(value, str) else json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            f"the hyperparameter {name!r} is {value!r:.80}",
            "a number, text, boolean or None, or a list or object of these",
            "convert it; files are passed to fit as channels",
        ) from error
    # A single quote ends SageMaker's start-up before the job's first line.
    if not isinstance(name, str) or not _NAME.fullmatch(name) or "'" in text or len(text) > _LONGEST:
        raise ArgumentError(
            f"the hyperparameter {name!r} is {text!r:.80}",
            f"letters, digits and _ in its name; at most {_LONGEST} characters and no ' in its value",
            "change it",
        )
    return text

"""Estimator: a training job from shards to `model.tar.gz`, on this machine or on SageMaker."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, Unpack

from mri_tumor.cloud.aws.account import Account
from mri_tumor.cloud.aws.addresses import S3Address
from mri_tumor.cloud.aws.jobs.attaching import arguments_of
from mri_tumor.cloud.aws.jobs.machines import Machines
from mri_tumor.cloud.aws.jobs.trainer import JobPlan
from mri_tumor.cloud.aws.jobs.training import RemoteJob
from mri_tumor.cloud.aws.jobs.tuner import tune_remotely
from mri_tumor.cloud.aws.names import TIME, check_name, new_name, own_name
from mri_tumor.cloud.aws.terms import GivenTerms, Terms, check_names, refuse_locally
from mri_tumor.cloud.channels import Inputs, check_channels, in_s3, stored_channels
from mri_tumor.cloud.endpoint import deploy
from mri_tumor.cloud.hyperparameters import as_texts, check_values
from mri_tumor.cloud.instances import LOCAL, check_instance_type
from mri_tumor.cloud.local import LocalJob
from mri_tumor.cloud.package import archive_of, classifier_of
from mri_tumor.cloud.predictor import Predictor
from mri_tumor.cloud.tuning import Objective, Range, Trial, check_budget, corners, points
from mri_tumor.errors import ArgumentError, TrainingError

if TYPE_CHECKING:
    from mri_tumor.models.classifier import Classifier

logger = logging.getLogger(__name__)


class Estimator:
    """Trains a classifier in a job of its own, on this machine or on SageMaker.

    The hyperparameters are the fields of `models.Recipe` and `dataset.Augment`, with `preset` (a named recipe
    that they change), `model` (one of `models.available()`), `refit`, `allow_leakage`, `weights`, and the
    options of `models.build`. The size of the pictures and the classes come from the shards.

    Args:
        instance_type: `"local"`: a process of its own on this machine, with the entry point that SageMaker
            runs; `"ml.<family>.<size>"`: instances on SageMaker.
        hyperparameters: name -> value; numbers, texts, booleans, None, and lists and objects of these.
        output: the folder for jobs; each gets a folder of its name in it. On SageMaker `s3://bucket/prefix`,
            which also takes what the job reads.
        job_name: the job's name. Without one every `fit` gets a new one; with one, `fit` goes on from the
            checkpoints of the jobs of that name. On SageMaker it begins with `mri-tumor-` in any case, and
            the time is added for each job.
        instance_count: how many instances; several share every batch.
        volume_size: GB of storage for each instance.
        input_mode: `"File"`: the channels are copied to the instance first; `"FastFile"`: they are read from
            S3 while the job runs.
        spot: use spare instances, which are cheaper and may be taken away: the job then goes on from its last
            epoch.
        max_run: seconds that the job may run, a day by default.
        max_wait: with `spot`, seconds that it may run and wait for instances in all.
        environment: variables for the job.
        image: the training image, AWS's TensorFlow image by default.
        **terms: on SageMaker `role`, and if need be `subnets`, `security_group_ids`, `kms_key`,
            `network_isolation`, `tags`, `session`.

    Raises:
        ArgumentError: an argument is of the wrong kind, above a limit of the platform, or means nothing for
            the instance type.
        MissingExtra: SageMaker is asked for and the extra is not installed.
        CloudError: no region is set.

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
        instance_count: int = 1,
        volume_size: int = 30,
        input_mode: str = "File",
        spot: bool = False,
        max_run: int = 24 * 3600,
        max_wait: int | None = None,
        environment: Mapping[str, str] | None = None,
        image: str | None = None,
        **terms: Unpack[GivenTerms],
    ) -> None:
        check_names(terms, type(self).__init__)
        check_instance_type(instance_type)
        if job_name is not None:
            check_name(job_name, "job_name")
        self.instance_type = instance_type
        self.hyperparameters = as_texts(hyperparameters or {})
        self.job_name = job_name
        self._named = job_name is not None
        self._job: LocalJob | RemoteJob | None = None
        self._terms: Terms | None = None
        self.trials: list[Trial] = []
        self.machines = Machines(
            instance_type,
            instance_count,
            volume_size,
            input_mode,
            spot,
            max_run,
            max_wait,
            environment or {},
            image,
        )
        if instance_type == LOCAL:
            refuse_locally(self.machines.changed | dict(terms))
            self.output: str | Path = _local_folder(output)
        else:
            self._terms = Terms.of(terms)
            self.output = _s3_folder(output)
            _check_isolation(self._terms, self.hyperparameters)

    def fit(self, inputs: Inputs, *, wait: bool = True, logs: bool = True) -> Self:
        """Run a job.

        On SageMaker folders and files of this machine are put into S3 under `output` first, unless they are
        there. Ctrl-C while it waits stops the job, here and there; its checkpoints stay.

        Args:
            inputs: channel -> path or `s3://` address: `train` and `validation`, folders of shards; and
                `weights`, a file of weights to start from, or its folder.
            wait: whether to wait for the job's end; without, call `wait` later. A job of this machine ends
                with this program.
            logs: whether the job's lines are logged as they come.

        Raises:
            ArgumentError: a channel is no existing folder or file, or a hyperparameter is outside its range.
            TrainingError: the job failed; the error holds the reason it gave.
            CloudError: AWS refused.
        """
        check_channels(inputs)
        self._check_values({})
        if not self._named:
            self.job_name = new_name()
        terms = self._terms
        self._job = self._start_local(inputs) if terms is None else self._start_remote(inputs, terms)
        return self.wait(logs=logs) if wait else self

    def wait(self, *, logs: bool = True) -> Self:
        """Wait for the job's end.

        Raises:
            TrainingError: no job was started, or it failed or was stopped.
            CloudError: AWS cannot be asked any more; the job goes on.
        """
        self._started().wait(logs=logs)
        return self

    def stop(self) -> None:
        """Stop the job; its checkpoints stay, and `fit` with the same `job_name` goes on from them.

        Raises:
            TrainingError: no job was started.
            CloudError: AWS refused.
        """
        self._started().stop()

    @classmethod
    def attach(cls, name: str, *, session: Any = None) -> Self:
        """Return an Estimator for a job that was started on SageMaker before, by any program.

        Args:
            name: the job's full name, which `training_job_name` and the log lines say.
            session: a `boto3.Session`.

        Raises:
            ArgumentError: the name cannot be one.
            CloudError: there is no such job, or AWS refused.
        """
        check_name(name, "name")
        job = RemoteJob(Account(session), name)
        estimator = cls(**arguments_of(job))
        estimator._job = job
        return estimator

    @property
    def training_job_name(self) -> str:
        """The full name of the job that was started last, which `attach` takes."""
        return self._started().name

    @property
    def status(self) -> str:
        """The job's state in SageMaker's words, as `InProgress`, `Completed`, `Failed` or `Stopped`."""
        return self._started().status

    @property
    def metrics(self) -> dict[str, float]:
        """The value of each metric that the finished job printed last."""
        return self._started().metrics()

    @property
    def model_data(self) -> str | Path:
        """Where the finished job's `model.tar.gz` lies, as a path or as an address in S3."""
        return self._started().model_data

    @property
    def history(self) -> list[dict[str, float]]:
        """The rows of the finished job's `history.csv`, one an epoch; those of folds name their `fold`.

        Reading it raises TrainingError for a job that has left none, or not yet.
        """
        return self._started().history()

    def classifier(self) -> "Classifier":
        """Load the classifier that the job trained."""
        return classifier_of(self.model_data, session=self._session)

    def tune(
        self,
        inputs: Inputs,
        ranges: Mapping[str, Any],
        *,
        objective: str = "best_val_loss",
        max_jobs: int = 10,
        max_parallel_jobs: int = 1,
        seed: int = 0,
        logs: bool = False,
    ) -> "Estimator":
        """Run jobs with other hyperparameters and return an Estimator of the best one.

        On SageMaker its tuning chooses the values, one after the other by what the earlier ones came to; here
        they fill the ranges evenly, and the jobs run one after another. Both judge by the value that a job
        prints last, on the validation part: that part chose, and says nothing of new pictures any more.

        Args:
            inputs: what `fit` takes.
            ranges: hyperparameter -> `(low, high)`, `(low, high, "log")`, or a list of values.
            objective: one of the metrics that jobs print; a loss is made small, all others large.
            max_jobs: how many jobs in all.
            max_parallel_jobs: how many jobs at a time on SageMaker.
            seed: of the values that are tried here.
            logs: whether the lines of the jobs here are logged.

        Returns:
            The Estimator of the best job; its `trials` says what all came to.

        Raises:
            ArgumentError: a range, the objective or a number is not as it should be.
            TrainingError: no job ended well.
            CloudError: AWS refused.
        """
        check_channels(inputs)
        check_budget(max_jobs, max_parallel_jobs)
        wanted, goal = [Range.of(name, given) for name, given in ranges.items()], Objective(objective)
        if not wanted:
            raise ArgumentError("there are no ranges", "at least one", 'pass {"learning_rate": (1e-4, 1e-2)}')
        # All before the first job: what is wrong would otherwise end the tuning when jobs have run already.
        for values in corners(wanted):
            self._check_values(values)
        estimators: dict[str, Estimator] = {}
        if self._terms is None:
            tried = points(wanted, max_jobs, seed)
            for values in tried:
                self._check_values(values)
            trials = [self._try(inputs, as_texts(values), goal, logs, estimators) for values in tried]
        else:
            plan = self._plan(inputs, self._terms, self.job_name or new_name())
            options = {"max_jobs": max_jobs, "max_parallel_jobs": max_parallel_jobs}
            trials = tune_remotely(plan, wanted, goal, **options)
        best = goal.best(trials)
        found = estimators.get(best.name) or type(self).attach(best.name, session=self._session)
        found.trials = trials
        return found

    def _try(
        self,
        inputs: Inputs,
        values: Mapping[str, str],
        goal: Objective,
        logs: bool,
        estimators: "dict[str, Estimator]",
    ) -> Trial:
        """Run one job of a tuning on this machine, and keep its Estimator under its name."""
        one = type(self)(
            hyperparameters={**self.hyperparameters, **values},
            output=self.output,
            environment=self.machines.environment,
        )
        reason = ""
        try:
            one.fit(inputs, logs=logs)
        except TrainingError as error:
            reason = str(error)
        value = one.metrics.get(goal.name) if one.status == "Completed" else None
        trial = Trial(one.training_job_name, values, value, one.status, reason)
        logger.info("tuning: %s", trial)
        estimators[trial.name] = one
        return trial

    def deploy(self, *, instance_type: str | None = None, **options: Any) -> Predictor:
        """Start an endpoint from the job's archive; see `mri_tumor.cloud.deploy`.

        Args:
            instance_type: where it runs: here by default for a job of this machine; a job of SageMaker needs
                one named.
            **options: what `deploy` takes. The terms of the Estimator, and its `output`, hold unless others
                are given.
        """
        if self._terms is None:
            return deploy(self.model_data, instance_type=instance_type or LOCAL, **options)
        if instance_type is None:
            raise ArgumentError(
                "instance_type is None",
                "an instance type for the endpoint, 'serverless' or 'local'",
                "pass instance_type='ml.m5.large'",
            )
        if instance_type == LOCAL:
            with archive_of(self.model_data, session=self._session) as archive:
                return deploy(archive, **options)
        given = {"output": str(self.output), **self._terms.given, **options}
        return deploy(self.model_data, instance_type=instance_type, **given)

    @property
    def _session(self) -> Any:
        return None if self._terms is None else self._terms.account.session

    def _start_local(self, inputs: Inputs) -> LocalJob:
        job = LocalJob(Path(self.output) / str(self.job_name))
        job.start(inputs, self.hyperparameters, self.machines.environment)
        return job

    def _start_remote(self, inputs: Inputs, terms: Terms) -> RemoteJob:
        return RemoteJob.start(self._plan(inputs, terms, str(self.job_name)))

    def __repr__(self) -> str:
        name = "" if self._job is None else f", job {self._job.name}"
        return f"Estimator({self.instance_type!r}{name})"

    def _check_values(self, values: Mapping[str, Any]) -> None:
        given = {**self.hyperparameters, **as_texts(values)}
        check_values(given, instance_count=self.machines.instance_count)

    def _plan(self, inputs: Inputs, terms: Terms, name: str) -> JobPlan:
        folder = S3Address.parse(str(self.output))
        name = own_name(name, room=TIME)
        channels = stored_channels(inputs, folder, terms)
        return JobPlan(name, folder, channels, self.hyperparameters, self.machines, terms)

    def _started(self) -> LocalJob | RemoteJob:
        if self._job is None:
            raise TrainingError("no job of this Estimator was started", "a job", "call fit() first")
        return self._job


def _local_folder(output: Any) -> Path:
    if not isinstance(output, str | Path) or in_s3(output):
        raise ArgumentError(
            f"output is {str(output)!r}",
            "a folder of this machine, for a job with instance_type='local'",
            "leave it out, or pass instance_type='ml.<family>.<size>'; cloud.upload sends a model to S3",
        )
    return Path(output)


def _s3_folder(output: Any) -> str:
    if not in_s3(output):
        raise ArgumentError(
            f"output is {str(output)!r}",
            "s3://bucket/prefix, for a job on SageMaker",
            "pass output='s3://BUCKET/PREFIX', in the region of the job",
        )
    return str(S3Address.parse(output))


def _check_isolation(terms: Terms, hyperparameters: Mapping[str, str]) -> None:
    """Refuse a job that would fetch weights without a network."""
    if terms.network_isolation and hyperparameters.get("weights") == "imagenet":
        raise ArgumentError(
            "weights='imagenet' would be fetched by the job, which network_isolation keeps from it",
            "weights as a channel",
            'download them, leave the hyperparameter out, and pass fit({..., "weights": file})',
        )

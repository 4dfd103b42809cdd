"""A training job on SageMaker: started, followed, stopped, found again."""

import logging
from typing import Any

from mri_tumor.cloud.archive import extract
from mri_tumor.cloud.aws.account import Account
from mri_tumor.cloud.aws.jobs.following import ENDED, Followed, JobLines
from mri_tumor.cloud.aws.jobs.trainer import JobPlan, channels_of, quiet, trainer_of
from mri_tumor.cloud.aws.objects import fetched
from mri_tumor.cloud.aws.refusals import asking
from mri_tumor.cloud.local import read_history
from mri_tumor.errors import CloudError, TrainingError

logger = logging.getLogger(__name__)

_GROUP = "/aws/sagemaker/TrainingJobs"
_PAUSE = 5.0  # seconds between two looks at a job


class RemoteJob:
    """A training job of an account.

    Args:
        account: where it is.
        name: the job's full name.
    """

    def __init__(self, account: Account, name: str) -> None:
        self.account = account
        self.name = name
        self._client = account.client("sagemaker")
        named = {"TrainingJobName": name}
        self._job = Followed(
            "training job",
            name,
            "TrainingJobStatus",
            lambda: self._client.describe_training_job(**named),
            lambda: self._client.stop_training_job(**named),
        )
        self._lines = JobLines(account, _GROUP, name)
        self._shown = 0

    @classmethod
    def start(cls, plan: JobPlan) -> "RemoteJob":
        """Start a job and return at once.

        Raises:
            CloudError: AWS refused.
            ArgumentError: AWS has no image for the instance type.
        """
        with quiet(), asking(f"starting the training job {plan.name}"):
            trainer = trainer_of(plan)
            try:
                trainer.train(input_data_config=channels_of(plan), wait=False, logs=False)
            except BaseException as error:
                # The SDK makes the name, and tells it only at the end.
                error.add_note(f"If a job {plan.name}-... was started all the same, it goes on: stop it.")
                raise
            # The SDK gives its job out by no public name.
            name = str(trainer._latest_training_job.training_job_name)
        logger.info("job %s: started on %s", name, plan.machines.instance_type)
        return cls(plan.terms.account, name)

    def describe(self) -> dict[str, Any]:
        """Return what AWS says of the job now.

        Raises:
            CloudError: there is no such job, or AWS refused.
        """
        return self._job.describe()

    @property
    def status(self) -> str:
        """`"InProgress"`, `"Completed"`, `"Failed"`, `"Stopping"` or `"Stopped"`."""
        return str(self.describe()["TrainingJobStatus"])

    def wait(self, *, logs: bool = True) -> None:
        """Follow the job to its end, with a log line for each of its states and, if asked for, its own lines.

        Raises:
            TrainingError: the job failed or was stopped; the error holds the reason.
            CloudError: AWS cannot be asked any more; the job goes on.
        """
        try:
            card = self._job.follow(_PAUSE, self._show_states, *([self._lines] if logs else []))
        except CloudError as error:
            error.add_note(
                f"The job goes on, and costs money: Estimator.attach({self.name!r}) finds it again."
            )
            raise
        except KeyboardInterrupt:
            logger.info("job %s: is stopped; its checkpoints stay", self.name)
            self.stop()
            raise
        self._check(card)

    def _show_states(self, card: dict[str, Any], seconds: float) -> None:
        """Log the states that the job went through since the last look."""
        states = card.get("SecondaryStatusTransitions", [])
        for state in states[self._shown :]:
            logger.info(
                "job %s: %s after %.0f s: %s",
                self.name,
                state["Status"],
                seconds,
                state.get("StatusMessage", ""),
            )
        self._shown = len(states)

    def _check(self, card: dict[str, Any]) -> None:
        """Refuse a job that did not end well."""
        status, secondary = card["TrainingJobStatus"], card.get("SecondaryStatus", "")
        billed = card.get("BillableTimeInSeconds")
        if status == "Completed":
            logger.info("job %s: done, %s s billed", self.name, billed if billed is not None else "?")
            return
        if status == "Stopped":
            late = secondary == "MaxRuntimeExceeded" or secondary == "MaxWaitTimeExceeded"
            raise TrainingError(
                f"job {self.name} was stopped" + (f": {secondary}" if late else ""),
                "a job that runs to its end",
                "fit again with the same job_name: it goes on from its checkpoints"
                + ("; raise max_run or max_wait" if late else ""),
            )
        # Behind the empty line is the traceback.
        reason = str(card.get("FailureReason", "no reason is given")).partition("\n\n")[0]
        reason = self._lines.explained(reason)
        fix = "" if "To do: " in reason else "mend that and fit again"
        raise TrainingError(f"job {self.name} failed (its log group is {_GROUP}): {reason}", "", fix)

    def stop(self) -> None:
        """Stop the job; one that has ended stays as it is.

        Raises:
            CloudError: AWS refused.
        """
        if self.status in ENDED:
            return
        with asking(f"stopping the training job {self.name}"):
            self._client.stop_training_job(TrainingJobName=self.name)

    @property
    def model_data(self) -> str:
        """The `s3://` address of the finished job's `model.tar.gz`.

        Raises:
            TrainingError: the job has not ended well.
        """
        card = self.describe()
        if card["TrainingJobStatus"] != "Completed":
            raise TrainingError(
                f"job {self.name} is {card['TrainingJobStatus']}", "a finished job", "call wait() first"
            )
        return str(card["ModelArtifacts"]["S3ModelArtifacts"])

    def metrics(self) -> dict[str, float]:
        """Return the value of each metric that the job printed last."""
        found = self.describe().get("FinalMetricDataList", [])
        return {metric["MetricName"]: float(metric["Value"]) for metric in found}

    def history(self) -> list[dict[str, float]]:
        """Return the rows of `history.csv`: one an epoch."""
        data = self.model_data.rpartition("/")[0] + "/output.tar.gz"
        with fetched(data, session=self.account.session) as path:
            return read_history(extract(path, path.parent / "output") / "history.csv")

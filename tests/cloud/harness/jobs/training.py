"""Training jobs: created, stopped, interrupted; what they do is in `training_run`."""

from typing import Any

from harness.base import Platform
from harness.errors import Refused
from harness.jobs.states import fail, move
from harness.jobs.training_run import TrainingRun
from harness.jobs.work import DAY, Work, check_role


class TrainingJobs:
    """The operations on training jobs.

    Args:
        platform: whose they are.
    """

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._works: dict[str, Work] = {}

    def create_training_job(self, given: dict[str, Any]) -> dict[str, Any]:
        check_role(self._platform, given["RoleArn"])
        limits = given.setdefault("StoppingCondition", {"MaxRuntimeInSeconds": DAY})
        if given.get("EnableManagedSpotTraining") and "MaxWaitTimeInSeconds" not in limits:
            raise Refused("ValidationException", "MaxWaitTimeInSeconds must be set for managed spot training")
        return {"TrainingJobArn": self.begin(given).job.arn}

    def begin(self, given: dict[str, Any], **facts: Any) -> Work:
        """Add a job and start it.

        Raises:
            Refused: its name is taken.
        """
        job = self._platform.store.create(
            "TrainingJob", given, TrainingJobStatus="InProgress", SecondaryStatusTransitions=[], **facts
        )
        move(job, "Starting")
        work = self._works[job.name] = Work(job)
        work.begin(lambda work: TrainingRun(self._platform, work).run(), lambda reason: fail(job, reason))
        return work

    def stop_training_job(self, given: dict[str, Any]) -> dict[str, Any]:
        job = self._platform.store.get("TrainingJob", given["TrainingJobName"])
        if job.status == "InProgress":
            job.set(TrainingJobStatus="Stopping")
            move(job, "Stopping")
            self._works[job.name].stopped.set()
        elif job.status != "Stopping":
            raise Refused(
                "ValidationException",
                f"The request was rejected because the training job is in status {job.status}.",
            )
        return {}

    def interrupt(self, name: str) -> None:
        """Take back a running spot job's machine.

        Raises:
            Refused: it is none.
        """
        job = self._platform.store.get("TrainingJob", name)
        if job.status != "InProgress" or not job.request.get("EnableManagedSpotTraining"):
            raise Refused("ValidationException", f"{name} is no running spot job")
        self._works[name].interrupted.set()

"""Tuning jobs: points of the ranges, each trained for real, the best found by its objective."""

import contextlib
import time
import uuid
from typing import Any

from harness.base import Platform
from harness.describing import paged
from harness.errors import Refused
from harness.jobs.points import Points
from harness.jobs.training import TrainingJobs
from harness.jobs.work import TICK, JobFailed, Work, check_role
from harness.store import Resource, now

_STATES = ("Completed", "InProgress", "RetryableError", "NonRetryableError", "Stopped")
_NOTHING = {
    "TrainingJobStatusCounters": dict.fromkeys(_STATES, 0),
    "ObjectiveStatusCounters": {"Succeeded": 0, "Pending": 0, "Failed": 0},
}


class TuningJobs:
    """The operations on tuning jobs.

    Args:
        platform: whose they are.
        training: starts their training jobs.
    """

    def __init__(self, platform: Platform, training: TrainingJobs) -> None:
        self._platform, self._training = platform, training
        self._works: dict[str, Work] = {}

    def create_hyper_parameter_tuning_job(self, given: dict[str, Any]) -> dict[str, Any]:
        if "TrainingJobDefinition" not in given:
            raise Refused("ValidationException", "the harness tunes jobs of one TrainingJobDefinition")
        check_role(self._platform, given["TrainingJobDefinition"]["RoleArn"])
        kept = {**given, "TrainingJobDefinition": _with_metric(given)}
        config = given["HyperParameterTuningJobConfig"]
        job = self._platform.store.create(
            "HyperParameterTuningJob",
            kept,
            HyperParameterTuningJobStatus="InProgress",
            Strategy=config["Strategy"],
            ResourceLimits=config["ResourceLimits"],
            **_NOTHING,
        )
        work = self._works[job.name] = Work(job)
        run = TuningRun(self._platform, self._training, work)
        work.begin(lambda _: run.run(), lambda reason: run.end("Failed", FailureReason=reason))
        return {"HyperParameterTuningJobArn": job.arn}

    def stop_hyper_parameter_tuning_job(self, given: dict[str, Any]) -> dict[str, Any]:
        job = self._platform.store.get("HyperParameterTuningJob", given["HyperParameterTuningJobName"])
        if job.status == "InProgress":
            job.set(HyperParameterTuningJobStatus="Stopping")
            self._works[job.name].stopped.set()
        return {}

    def list_training_jobs_for_hyper_parameter_tuning_job(self, given: dict[str, Any]) -> dict[str, Any]:
        job = self._platform.store.get("HyperParameterTuningJob", given["HyperParameterTuningJobName"])
        rows = [summary(one, job) for one in jobs_of(self._platform, job)]
        rows = [
            one
            for one in rows
            if given.get("StatusEquals", one["TrainingJobStatus"]) == one["TrainingJobStatus"]
        ]
        if given.get("SortBy") == "FinalObjectiveMetricValue":
            rows.sort(key=_value)
        if given.get("SortOrder", "Ascending") == "Descending":
            rows.reverse()
        page, token = paged(rows, given)
        return {"TrainingJobSummaries": page, **({"NextToken": token} if token else {})}


class TuningRun:
    """One run of a tuning job.

    Args:
        platform: where it runs.
        training: starts its training jobs.
        work: the job and its signals.
    """

    def __init__(self, platform: Platform, training: TrainingJobs, work: Work) -> None:
        self._platform, self._training, self._work = platform, training, work
        self._job, self._given = work.job, work.job.request
        config = self._given["HyperParameterTuningJobConfig"]
        self._limits = config["ResourceLimits"]
        self._objective = config["HyperParameterTuningJobObjective"]
        self._points = Points(config.get("ParameterRanges", {}), config.get("RandomSeed", 0))

    def run(self) -> None:
        """Run the job to its end.

        Raises:
            JobFailed: none of its training jobs gave the objective.
        """
        works: list[Work] = []
        while len(works) < self._limits["MaxNumberOfTrainingJobs"] and not self._work.stopped.is_set():
            if sum(not work.ended.is_set() for work in works) < self._limits["MaxParallelTrainingJobs"]:
                works.append(self._begin(len(works) + 1))
            self._count()
            time.sleep(TICK)
        while not all(work.ended.is_set() for work in works):
            if self._work.stopped.is_set():
                self._stop(works)
            self._count()
            time.sleep(TICK)
        self._count()
        if self._work.stopped.is_set():
            self.end("Stopped")
        elif "BestTrainingJob" not in self._job.facts:
            raise JobFailed(
                "All training jobs failed. Please take a look at the training jobs failures to get more "
                "details."
            )
        else:
            self.end("Completed")

    def end(self, status: str, **facts: Any) -> None:
        """Say what became of the job."""
        self._job.set(HyperParameterTuningJobStatus=status, HyperParameterTuningEndTime=now(), **facts)

    def _begin(self, number: int) -> Work:
        definition = self._given["TrainingJobDefinition"]
        tuned = self._points.draw()
        own = ("AlgorithmSpecification", "DefinitionName", "TuningObjective", "HyperParameterRanges")
        own += ("StaticHyperParameters", "HyperParameterTuningResourceConfig")
        request = {name: value for name, value in definition.items() if name not in own}
        specification = {
            name: value for name, value in definition["AlgorithmSpecification"].items() if value is not None
        }
        request |= {
            "TrainingJobName": f"{self._job.name}-{number:03d}-{uuid.uuid4().hex[:8]}",
            "AlgorithmSpecification": specification,
            "HyperParameters": {**definition.get("StaticHyperParameters", {}), **tuned},
        }
        return self._training.begin(request, TuningJobArn=self._job.arn, TunedHyperParameters=tuned)

    def _stop(self, works: list[Work]) -> None:
        for work in works:
            if work.job.status == "InProgress":
                with contextlib.suppress(Refused):  # it has just ended by itself
                    self._training.stop_training_job({"TrainingJobName": work.job.name})

    def _count(self) -> None:
        rows = [summary(one, self._job) for one in jobs_of(self._platform, self._job)]
        counts = dict.fromkeys(_STATES, 0)
        outcomes = dict.fromkeys(("Succeeded", "Pending", "Failed"), 0)
        for row in rows:
            counts[_state_of(row["TrainingJobStatus"])] += 1
            outcomes[row["ObjectiveStatus"]] += 1
        facts: dict[str, Any] = {"TrainingJobStatusCounters": counts, "ObjectiveStatusCounters": outcomes}
        good = [row for row in rows if row["ObjectiveStatus"] == "Succeeded"]
        if good:
            best = max if self._objective["Type"] == "Maximize" else min
            facts["BestTrainingJob"] = best(good, key=_value)
        self._job.set(**facts)


def jobs_of(platform: Platform, job: Resource) -> list[Resource]:
    """Return the training jobs of a tuning job, in the order in which they began."""
    return [one for one in platform.store.all("TrainingJob") if one.facts.get("TuningJobArn") == job.arn]


def summary(one: Resource, job: Resource) -> dict[str, Any]:
    """Return what a tuning job says of one of its training jobs."""
    objective = job.request["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"]
    found = [
        metric["Value"]
        for metric in one.facts.get("FinalMetricDataList", [])
        if metric["MetricName"] == objective["MetricName"]
    ]
    row = {
        "TrainingJobName": one.name,
        "TrainingJobArn": one.arn,
        "CreationTime": one.facts["CreationTime"],
        "TrainingJobStatus": one.status,
        "TunedHyperParameters": one.facts["TunedHyperParameters"],
    }
    for name in ("TrainingStartTime", "TrainingEndTime", "FailureReason"):
        if one.facts.get(name) is not None:
            row[name] = one.facts[name]
    if one.status in ("InProgress", "Stopping"):
        return {**row, "ObjectiveStatus": "Pending"}
    if not found or one.status == "Failed":
        return {**row, "ObjectiveStatus": "Failed"}
    metric = {"Type": objective["Type"], "MetricName": objective["MetricName"], "Value": found[0]}
    return {**row, "ObjectiveStatus": "Succeeded", "FinalHyperParameterTuningJobObjectiveMetric": metric}


def _with_metric(given: dict[str, Any]) -> dict[str, Any]:
    """Return the definition with the hyperparameter that SageMaker adds."""
    definition: dict[str, Any] = given["TrainingJobDefinition"]
    name = given["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"]["MetricName"]
    static = {**definition.get("StaticHyperParameters", {}), "_tuning_objective_metric": name}
    return {**definition, "StaticHyperParameters": static}


def _state_of(status: str) -> str:
    return {"Failed": "NonRetryableError", "Stopping": "InProgress"}.get(status, status)


def _value(row: dict[str, Any]) -> float:
    return float(row.get("FinalHyperParameterTuningJobObjectiveMetric", {}).get("Value", 0.0))

"""Tuning jobs on SageMaker.

They go through boto3: the SDK's own tuner leaves out network isolation, VPC, volume key and checkpoints of
the job that it is given, without a word.
"""

import logging
import time
from collections.abc import Sequence
from typing import Any

from mri_tumor.cloud.aws.account import Account
from mri_tumor.cloud.aws.images import training_image
from mri_tumor.cloud.aws.jobs.following import Followed, Watcher
from mri_tumor.cloud.aws.jobs.source import ARCHIVE, TRAIN, stored_source
from mri_tumor.cloud.aws.jobs.trainer import JobPlan, prefix_of
from mri_tumor.cloud.aws.refusals import asking
from mri_tumor.cloud.container.job import METRICS
from mri_tumor.cloud.hyperparameters import as_texts
from mri_tumor.cloud.tuning import Objective, Range, Trial
from mri_tumor.errors import TrainingError

logger = logging.getLogger(__name__)

_PAUSE = 15.0  # seconds between two looks at a tuning job
_NAME = 32  # characters that a tuning job's name may have


def tune_remotely(
    plan: JobPlan, ranges: Sequence[Range], objective: Objective, *, max_jobs: int, max_parallel_jobs: int
) -> list[Trial]:
    """Run a tuning job to its end.

    Args:
        plan: what all its training jobs have in common.
        ranges: one a hyperparameter.
        objective: what is tuned for.
        max_jobs: training jobs in all.
        max_parallel_jobs: training jobs at a time.

    Raises:
        CloudError: AWS refused.
        TrainingError: the tuning failed.
    """
    name = f"{plan.name[: _NAME - 9].rstrip('-')}-{int(time.time()) % 10**8:08d}"
    account = plan.terms.account
    client = account.client("sagemaker")
    named = {"HyperParameterTuningJobName": name}
    job = Followed(
        "tuning job",
        name,
        "HyperParameterTuningJobStatus",
        lambda: client.describe_hyper_parameter_tuning_job(**named),
        lambda: client.stop_hyper_parameter_tuning_job(**named),
    )
    try:
        # Inside: the job may have been started when the answer is lost, or at Ctrl-C.
        _create(client, plan, ranges, objective, name, max_jobs, max_parallel_jobs)
        logger.info("tuning %s: started, at most %d jobs, %d at a time", name, max_jobs, max_parallel_jobs)
        card = job.follow(_PAUSE, _counts(name))
    except BaseException as error:
        job.stop_after(error, _PAUSE)
        raise
    if card["HyperParameterTuningJobStatus"] == "Failed":
        raise TrainingError(
            f"tuning {name} failed: {card.get('FailureReason', 'no reason is given')}",
            "",
            "mend that and tune again; the log group is /aws/sagemaker/TrainingJobs",
        )
    return _trials(account, name, {one.name for one in ranges})


def _create(
    client: Any,
    plan: JobPlan,
    ranges: Sequence[Range],
    objective: Objective,
    name: str,
    max_jobs: int,
    max_parallel_jobs: int,
) -> None:
    source = stored_source(plan.folder, plan.terms)
    with asking(f"starting the tuning job {name}"):
        client.create_hyper_parameter_tuning_job(
            HyperParameterTuningJobName=name,
            HyperParameterTuningJobConfig={
                "Strategy": "Bayesian",
                "HyperParameterTuningJobObjective": {
                    "Type": "Minimize" if objective.minimize else "Maximize",
                    "MetricName": objective.name,
                },
                "ResourceLimits": {
                    "MaxNumberOfTrainingJobs": max_jobs,
                    "MaxParallelTrainingJobs": max_parallel_jobs,
                },
                "ParameterRanges": parameter_ranges(ranges),
            },
            TrainingJobDefinition=_definition(plan, source, {one.name for one in ranges}),
            Tags=plan.terms.tag_list,
        )


def parameter_ranges(ranges: Sequence[Range]) -> dict[str, list[dict[str, Any]]]:
    """Return ranges as the platform takes them.

    >>> parameter_ranges([Range.of("width", (8, 16))])["IntegerParameterRanges"][0]["MaxValue"]
    '16'
    """
    found: dict[str, list[dict[str, Any]]] = {
        "CategoricalParameterRanges": [],
        "ContinuousParameterRanges": [],
        "IntegerParameterRanges": [],
    }
    for one in ranges:
        if one.choices:
            values = list(as_texts({str(place): value for place, value in enumerate(one.choices)}).values())
            found["CategoricalParameterRanges"].append({"Name": one.name, "Values": values})
            continue
        kind = "IntegerParameterRanges" if one.whole else "ContinuousParameterRanges"
        scale = "Logarithmic" if one.log else "Linear"
        limits = {"MinValue": str(one.low), "MaxValue": str(one.high), "ScalingType": scale}
        found[kind].append({"Name": one.name, **limits})
    return found


def _definition(plan: JobPlan, source: str, tuned: set[str]) -> dict[str, Any]:
    """Return what all training jobs of a tuning have in common.

    A tuning job cannot name a command: AWS's own start-up unpacks the source, which comes as a channel so
    that an isolated container has it too, and runs our entry point.
    """
    machines, terms = plan.machines, plan.terms
    code = f"/opt/ml/input/data/code/{ARCHIVE}"
    own = {
        "sagemaker_program": TRAIN,
        "sagemaker_submit_directory": code,
        "sagemaker_region": terms.account.region,
    }
    fixed = {name: value for name, value in plan.hyperparameters.items() if name not in tuned}
    channels = [_channel(name, place, machines.input_mode) for name, place in plan.channels.items()]
    key = {} if terms.kms_key is None else {"KmsKeyId": terms.kms_key}
    volume = terms.volume_key("VolumeKmsKeyId", machines.instance_type)
    longest = {} if machines.longest_wait is None else {"MaxWaitTimeInSeconds": machines.longest_wait}
    return {
        "StaticHyperParameters": {**fixed, **own},
        "AlgorithmSpecification": {
            "TrainingImage": machines.image or training_image(terms.account, machines.instance_type),
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": name, "Regex": regex} for name, regex in METRICS.items()],
        },
        "RoleArn": terms.role,
        "InputDataConfig": [*channels, _channel("code", source, "File")],
        "OutputDataConfig": {"S3OutputPath": f"{plan.folder}/jobs", **key},
        "ResourceConfig": {
            "InstanceType": machines.instance_type,
            "InstanceCount": machines.instance_count,
            "VolumeSizeInGB": machines.volume_size,
            **volume,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": machines.max_run, **longest},
        "EnableManagedSpotTraining": machines.spot,
        "EnableNetworkIsolation": terms.network_isolation,
        "EnableInterContainerTrafficEncryption": machines.instance_count > 1,
        "CheckpointConfig": {"S3Uri": plan.checkpoints},
        **({"Environment": dict(machines.environment)} if machines.environment else {}),
        **terms.vpc,
    }


def _channel(name: str, place: str, mode: str) -> dict[str, Any]:
    address = place if name == "code" else prefix_of(place)
    source = {"S3DataType": "S3Prefix", "S3Uri": address, "S3DataDistributionType": "FullyReplicated"}
    return {"ChannelName": name, "InputMode": mode, "DataSource": {"S3DataSource": source}}


def _counts(name: str) -> Watcher:
    """Return a watcher that logs how many training jobs are in which state, when that changes."""
    shown = ""

    def watch(card: dict[str, Any], _: float) -> None:
        nonlocal shown
        counts = card.get("TrainingJobStatusCounters", {})
        line = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
        if line != shown:
            logger.info("tuning %s: %s: %s", name, card["HyperParameterTuningJobStatus"], line)
            shown = line

    return watch


def _trials(account: Account, name: str, tuned: set[str]) -> list[Trial]:
    """Return what the training jobs came to, in the order in which they were begun."""
    client = account.client("sagemaker")
    with asking(f"reading the jobs of the tuning job {name}"):
        pages = client.get_paginator("list_training_jobs_for_hyper_parameter_tuning_job").paginate(
            HyperParameterTuningJobName=name, SortBy="CreationTime", SortOrder="Ascending"
        )
        jobs = [job for page in pages for job in page["TrainingJobSummaries"]]
    return [
        Trial(
            job["TrainingJobName"],
            {key: value for key, value in job["TunedHyperParameters"].items() if key in tuned},
            _value(job),
            job["TrainingJobStatus"],
            str(job.get("FailureReason", "")).partition("\n\n")[0],
        )
        for job in jobs
    ]


def _value(job: dict[str, Any]) -> float | None:
    """Return what a job came to; one that was stopped has a value of its middle, and no model."""
    if job["TrainingJobStatus"] != "Completed":
        return None
    value = job.get("FinalHyperParameterTuningJobObjectiveMetric", {}).get("Value")
    return None if value is None else float(value)

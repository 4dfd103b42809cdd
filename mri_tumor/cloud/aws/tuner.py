"""Tuning jobs on SageMaker: the adapter to the SDK's `HyperparameterTuner`."""

import logging
import time
from collections.abc import Sequence
from typing import Any

from mri_tumor.cloud.aws.account import Account
from mri_tumor.cloud.aws.refusals import asking
from mri_tumor.cloud.aws.trainer import JobPlan, channels_of, quiet, trainer_of
from mri_tumor.cloud.container.job import METRICS
from mri_tumor.cloud.tuning import Objective, Range, Trial
from mri_tumor.errors import CloudError, TrainingError

logger = logging.getLogger(__name__)

_PAUSE = 15.0  # seconds between two looks at a tuning job
_ENDED = ("Completed", "Failed", "Stopped")
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
    name = f"{plan.name[: _NAME - 9]}-{int(time.time()) % 10**8:08d}"
    with quiet(), asking(f"starting the tuning job {name}"):
        trainer = trainer_of(plan)
        tuner = _tuner(trainer, plan, ranges, objective, max_jobs, max_parallel_jobs)
        tuner.tune(inputs=channels_of(plan), job_name=name, wait=False)
        # The SDK leaves the folder behind that it has just sent.
        trainer._tuner_temp_dir.cleanup()
    logger.info("tuning %s: started, at most %d jobs, %d at a time", name, max_jobs, max_parallel_jobs)
    try:
        _follow(plan.terms.account, name)
    except KeyboardInterrupt:
        logger.info("tuning %s: is stopped", name)
        with asking(f"stopping the tuning job {name}"):
            plan.terms.account.client("sagemaker").stop_hyper_parameter_tuning_job(
                HyperParameterTuningJobName=name
            )
        raise
    except CloudError as error:
        error.add_note(f"The tuning job {name} goes on, and costs money: stop it in SageMaker's console.")
        raise
    return _trials(plan.terms.account, name, {one.name for one in ranges})


def _tuner(
    trainer: Any, plan: JobPlan, ranges: Sequence[Range], objective: Objective, most: int, parallel: int
) -> Any:
    from sagemaker.core.shapes import Tag
    from sagemaker.train.tuner import HyperparameterTuner

    return HyperparameterTuner(
        model_trainer=trainer,
        objective_metric_name=objective.name,
        objective_type="Minimize" if objective.minimize else "Maximize",
        hyperparameter_ranges={one.name: _range(one) for one in ranges},
        metric_definitions=[{"Name": name, "Regex": expression} for name, expression in METRICS.items()],
        max_jobs=most,
        max_parallel_jobs=parallel,
        tags=[Tag(key=key, value=value) for key, value in plan.terms.tags.items()],
    )


def _range(one: Range) -> Any:
    from sagemaker.core.parameter import CategoricalParameter, ContinuousParameter, IntegerParameter

    if one.choices:
        return CategoricalParameter(list(one.choices))
    kind = IntegerParameter if one.whole else ContinuousParameter
    return kind(one.low, one.high, scaling_type="Logarithmic" if one.log else "Linear")


def _follow(account: Account, name: str) -> None:
    client, shown = account.client("sagemaker"), ""
    while True:
        with asking(f"looking at the tuning job {name}"):
            card = client.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name)
        counts = card.get("TrainingJobStatusCounters", {})
        line = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
        if line != shown:
            logger.info("tuning %s: %s: %s", name, card["HyperParameterTuningJobStatus"], line)
            shown = line
        if card["HyperParameterTuningJobStatus"] in _ENDED:
            break
        time.sleep(_PAUSE)
    if card["HyperParameterTuningJobStatus"] == "Failed":
        raise TrainingError(
            f"tuning {name} failed: {card.get('FailureReason', 'no reason is given')}",
            "",
            "mend that and tune again; the log group is /aws/sagemaker/TrainingJobs",
        )


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
            job.get("FinalHyperParameterTuningJobObjectiveMetric", {}).get("Value"),
            job["TrainingJobStatus"],
        )
        for job in jobs
    ]

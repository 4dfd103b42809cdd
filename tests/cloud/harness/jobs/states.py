"""The secondary statuses that a training job goes through."""

from typing import Any

from harness.store import Resource, now

_MESSAGES = {
    "Starting": "Starting the training job",
    "Downloading": "Downloading input data",
    "Training": "Training image download completed. Training in progress.",
    "Uploading": "Uploading generated training model",
    "Interrupted": "Training job interrupted: spot capacity was taken back",
    "Restarting": "Restarting the training job",
    "Stopping": "Stopping the training job",
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
    "Completed": "Training job completed",
    "Failed": "Training job failed",
}


def move(job: Resource, secondary: str, **facts: Any) -> None:
    """Let a job go on to its next secondary status."""
    at = now()
    step = {"Status": secondary, "StartTime": at, "StatusMessage": _MESSAGES[secondary]}
    if secondary in ("Completed", "Stopped", "Failed", "MaxRuntimeExceeded"):
        step["EndTime"] = at
    # The job's own thread and a call that stops it may both move it on.
    with job.lock:
        steps = [{"EndTime": at, **one} for one in job.facts["SecondaryStatusTransitions"]]
        job.set(SecondaryStatus=secondary, SecondaryStatusTransitions=[*steps, step], **facts)


def fail(job: Resource, reason: str) -> None:
    """Let a job fail."""
    if "TrainingEndTime" not in job.facts:
        job.set(TrainingEndTime=now())
    move(job, "Failed", TrainingJobStatus="Failed", FailureReason=reason)

"""From a job that AWS knows back to the arguments of an Estimator."""

from typing import Any

from mri_tumor.cloud.aws.jobs.training import RemoteJob
from mri_tumor.cloud.aws.names import foreign_tags
from mri_tumor.cloud.aws.refusals import asking

_JOBS = "/jobs"


def arguments_of(job: RemoteJob) -> dict[str, Any]:
    """Return the arguments with which an Estimator would start the job again.

    Raises:
        CloudError: there is no such job, or AWS refused.
    """
    card = job.describe()
    resources, network = card["ResourceConfig"], card.get("VpcConfig", {})
    limits, outputs = card["StoppingCondition"], card["OutputDataConfig"]
    spot = bool(card.get("EnableManagedSpotTraining"))
    found = {
        "instance_type": resources["InstanceType"],
        "instance_count": resources["InstanceCount"],
        "volume_size": resources["VolumeSizeInGB"],
        "input_mode": card["InputDataConfig"][0].get("InputMode", "File"),
        "spot": spot,
        "max_run": limits["MaxRuntimeInSeconds"],
        "max_wait": limits.get("MaxWaitTimeInSeconds") if spot else None,
        "environment": card.get("Environment"),
        "image": card["AlgorithmSpecification"].get("TrainingImage"),
        "hyperparameters": _own_hyperparameters(card.get("HyperParameters", {})),
        "output": outputs["S3OutputPath"].rstrip("/").removesuffix(_JOBS),
        "job_name": _series(card),
        "role": card["RoleArn"],
        "subnets": network.get("Subnets"),
        "security_group_ids": network.get("SecurityGroupIds"),
        "kms_key": outputs.get("KmsKeyId"),
        "network_isolation": card.get("EnableNetworkIsolation"),
        "tags": _tags(job, card["TrainingJobArn"]),
        "session": job.account.session,
    }
    return {name: value for name, value in found.items() if value not in (None, "", [], {})}


def _own_hyperparameters(given: dict[str, str]) -> dict[str, str]:
    """Return them without what the platform and its SDK add."""
    return {name: value for name, value in given.items() if not name.startswith(("sagemaker_", "_tuning"))}


def _series(card: dict[str, Any]) -> str:
    """Return the name without the time at its end: where its checkpoints lie is where `fit` goes on from."""
    place = card.get("CheckpointConfig", {}).get("S3Uri", "").rstrip("/").split("/")
    return place[-2] if len(place) > 2 else str(card["TrainingJobName"])


def _tags(job: RemoteJob, arn: str) -> dict[str, str]:
    with asking(f"reading the tags of {job.name}"):
        found = job.account.client("sagemaker").list_tags(ResourceArn=arn)["Tags"]
    tags = {tag["Key"]: tag["Value"] for tag in found}
    return {key: value for key, value in foreign_tags(tags).items() if not key.startswith("aws:")}

"""Processing jobs on SageMaker: a folder of units in, shards and their notes out."""

import logging
from dataclasses import dataclass
from typing import Any

from mri_tumor.cloud.aws.addresses import S3Address
from mri_tumor.cloud.aws.jobs.following import Followed, JobLines
from mri_tumor.cloud.aws.jobs.machines import Machines
from mri_tumor.cloud.aws.jobs.source import ARCHIVE
from mri_tumor.cloud.aws.refusals import asking
from mri_tumor.cloud.aws.terms import Terms
from mri_tumor.cloud.container.preparing import error_of
from mri_tumor.errors import CloudError

logger = logging.getLogger(__name__)

_GROUP = "/aws/sagemaker/ProcessingJobs"
_PAUSE = 5.0  # seconds between two looks at a job
_BASE = "/opt/ml/processing"
# An entry of a command has at most 256 characters.
_START = (
    f"mkdir -p {_BASE}/library && tar -xzf {_BASE}/input/code/{ARCHIVE} -C {_BASE}/library"
    f' && exec python3 {_BASE}/library/mri_tumor/cloud/container/prepare.py "$@"'
)


@dataclass(frozen=True)
class ProcessingPlan:
    """A Processing job before it starts.

    Args:
        name: of the job.
        units: the `s3://` folder of the units, which the hosts share.
        source: the `s3://` folder of the library's archive.
        shards: the `s3://` folder for the shards.
        notes: the `s3://` folder for their notes.
        image: the image that it runs in.
        machines: what it runs on.
        terms: the terms it runs on.
    """

    name: str
    units: S3Address
    source: S3Address
    shards: S3Address
    notes: S3Address
    image: str
    machines: Machines
    terms: Terms

    @property
    def request(self) -> dict[str, Any]:
        """The arguments of `create_processing_job`."""
        terms, machines = self.terms, self.machines
        key = {} if terms.kms_key is None else {"KmsKeyId": terms.kms_key}
        volume = terms.volume_key("VolumeKmsKeyId", machines.instance_type)
        cluster = {
            "InstanceType": machines.instance_type,
            "InstanceCount": machines.instance_count,
            "VolumeSizeInGB": machines.volume_size,
            **volume,
        }
        outputs = [_output("shards", self.shards), _output("notes", self.notes)]
        return {
            "ProcessingJobName": self.name,
            "ProcessingInputs": [
                _input("units", self.units, "ShardedByS3Key"),
                _input("code", self.source, "FullyReplicated"),
            ],
            "ProcessingOutputConfig": {"Outputs": outputs, **key},
            "ProcessingResources": {"ClusterConfig": cluster},
            "AppSpecification": {
                "ImageUri": self.image,
                "ContainerEntrypoint": ["/bin/bash", "-c", _START, "prepare"],
                "ContainerArguments": _arguments(),
            },
            "Environment": {"TF_CPP_MIN_LOG_LEVEL": "3"},
            "NetworkConfig": {"EnableNetworkIsolation": terms.network_isolation, **terms.vpc},
            "StoppingCondition": {"MaxRuntimeInSeconds": machines.max_run},
            "RoleArn": terms.role,
            "Tags": terms.tag_list,
        }


def _input(name: str, folder: S3Address, distribution: str) -> dict[str, Any]:
    place = {
        "S3Uri": f"{folder}/",
        "LocalPath": f"{_BASE}/input/{name}",
        "S3DataType": "S3Prefix",
        "S3InputMode": "File",
        "S3DataDistributionType": distribution,
    }
    return {"InputName": name, "S3Input": place}


def _output(name: str, folder: S3Address) -> dict[str, Any]:
    place = {"S3Uri": str(folder), "LocalPath": f"{_BASE}/output/{name}", "S3UploadMode": "EndOfJob"}
    return {"OutputName": name, "S3Output": place}


def _arguments() -> list[str]:
    places = {
        "units": f"{_BASE}/input/units",
        "shards": f"{_BASE}/output/shards",
        "notes": f"{_BASE}/output/notes",
        "message": "/opt/ml/output/message",
    }
    return [word for name, place in places.items() for word in (f"--{name}", place)]


def process(plan: ProcessingPlan) -> None:
    """Run a job and wait for its end; whatever ends the waiting, Ctrl-C too, stops the job.

    Raises:
        CloudError: AWS refused.
        ReadError: the job failed at a picture; names its id.
        ShardError: the job failed for another reason or was stopped; the error holds the reason.
    """
    client, machines = plan.terms.account.client("sagemaker"), plan.machines
    lines = JobLines(plan.terms.account, _GROUP, plan.name)
    named = {"ProcessingJobName": plan.name}
    job = Followed(
        "processing job",
        plan.name,
        "ProcessingJobStatus",
        lambda: client.describe_processing_job(**named),
        lambda: client.stop_processing_job(**named),
    )
    try:
        # Inside: the job may have been started when the answer is lost, or at Ctrl-C.
        _create(client, plan)
        logger.info("job %s: started on %d x %s", plan.name, machines.instance_count, machines.instance_type)
        card = job.follow(_PAUSE, job.states(), lines)
    except BaseException as error:
        job.stop_after(error, _PAUSE)
        raise
    if card["ProcessingJobStatus"] != "Completed":
        # What the job itself said, else what the platform says.
        reason = str(card.get("ExitMessage") or card.get("FailureReason") or "no reason is given")
        what = f"processing job {plan.name} ({card['ProcessingJobStatus']})"
        fix = (
            f"mend that and call prepare again (max_run was {machines.max_run} s); its log group is {_GROUP}"
        )
        raise error_of(lines.explained(reason), what, fix)


def _create(client: Any, plan: ProcessingPlan) -> None:
    try:
        with asking(f"starting the processing job {plan.name}"):
            client.create_processing_job(**plan.request)
    except CloudError as error:
        # The name is new: what has it is this job, started by a call whose answer was lost.
        if error.code != "ResourceInUse":
            raise

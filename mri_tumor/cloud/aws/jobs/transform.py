"""Batch transform jobs on SageMaker: many pictures through a model, without an endpoint."""

import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mri_tumor.cloud.aws.addresses import S3Address
from mri_tumor.cloud.aws.jobs.following import Followed
from mri_tumor.cloud.aws.logs import last_events
from mri_tumor.cloud.aws.objects import fetched, remove_folder
from mri_tumor.cloud.aws.refusals import asking
from mri_tumor.cloud.aws.terms import Terms
from mri_tumor.errors import CloudError, EndpointError

logger = logging.getLogger(__name__)

_GROUP = "/aws/sagemaker/TransformJobs"
_PAUSE = 10.0  # seconds between two looks at a job


@dataclass(frozen=True)
class TransformPlan:
    """A batch transform job before it starts.

    Args:
        name: of the job and its model.
        data: `s3://.../model.tar.gz`.
        image: the inference image.
        folder: the `s3://` folder in which this job gets one for its requests and answers.
        content_type: of each request.
        instance_type: `"ml.<family>.<size>"`.
        instance_count: how many instances share the requests.
        terms: the terms it runs on.
    """

    name: str
    data: str
    image: str
    folder: S3Address
    content_type: str
    instance_type: str
    instance_count: int
    terms: Terms


def transform(plan: TransformPlan, requests: Path) -> list[bytes]:
    """Send the files of a folder through a model, one request each, and return the answers in their order.

    The model, the requests and the answers are removed at the end, also after an exception.

    Args:
        plan: the job.
        requests: a folder of files.

    Raises:
        CloudError: AWS refused.
        EndpointError: the job failed; the error holds the reason.
    """
    from mri_tumor.cloud.storage import upload

    account, terms = plan.terms.account, plan.terms
    # Model and folder are this call's own: another one, of the same name, may be running.
    own = f"{plan.name[:54]}-{secrets.token_hex(4)}"
    folder = plan.folder / own
    undo: list[Callable[[], Any]] = [partial(remove_folder, account, folder)]
    failed: BaseException | None = None
    try:
        sent = upload(
            requests,
            str(folder / "requests"),
            kms_key=terms.kms_key,
            tags=dict(terms.tags),
            session=account.session,
        )
        logger.info("%s", sent.summary())
        undo.append(partial(account.client("sagemaker").delete_model, ModelName=own))
        _run(plan, own, folder)
        return [_answer(plan, folder / "answers" / f"{path.name}.out") for path in sorted(requests.iterdir())]
    except BaseException as error:
        failed = error
        raise
    finally:
        _undo(undo, failed)


def _run(plan: TransformPlan, model: str, folder: S3Address) -> None:
    """Run the job to its end; Ctrl-C, and whatever else ends the waiting, stops it."""
    client, named = plan.terms.account.client("sagemaker"), {"TransformJobName": plan.name}
    job = Followed(
        "batch transform job",
        plan.name,
        "TransformJobStatus",
        lambda: client.describe_transform_job(**named),
        lambda: client.stop_transform_job(**named),
        ours=lambda card: card["ModelName"] == model,
    )
    try:
        # Inside: the job may have been started when the answer is lost, or at Ctrl-C.
        with asking(f"starting the batch transform job {plan.name}"):
            _create(client, plan, model, folder)
        card = job.follow(_PAUSE, job.states())
    except BaseException as error:
        # Its requests are removed next: it must not go on, and cost money, without them.
        job.stop_after(error, _PAUSE)
        raise
    if card["TransformJobStatus"] != "Completed":
        lines = last_events(plan.terms.account, _GROUP, f"{plan.name}/")
        reason = card.get("FailureReason", "no reason is given")
        raise EndpointError(
            f"the batch transform job {plan.name} is {card['TransformJobStatus']}: {reason}"
            + (f" The end of its log:\n{lines}" if lines else ""),
            "a finished job",
            f"mend that and call it again; the log group is {_GROUP}",
        )


def _create(client: Any, plan: TransformPlan, model: str, folder: S3Address) -> None:
    terms = plan.terms
    client.create_model(
        ModelName=model,
        ExecutionRoleArn=terms.role,
        PrimaryContainer={"Image": plan.image, "ModelDataUrl": plan.data},
        EnableNetworkIsolation=terms.network_isolation,
        Tags=terms.tag_list,
        **terms.vpc,
    )
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"{folder}/requests/"}}
    key = {} if terms.kms_key is None else {"KmsKeyId": terms.kms_key}
    volume = terms.volume_key("VolumeKmsKeyId", plan.instance_type)
    client.create_transform_job(
        TransformJobName=plan.name,
        ModelName=model,
        BatchStrategy="SingleRecord",
        MaxPayloadInMB=6,
        TransformInput={
            "DataSource": source,
            "ContentType": plan.content_type,
            "SplitType": "None",
            "CompressionType": "None",
        },
        TransformOutput={"S3OutputPath": f"{folder}/answers", "Accept": "application/json", **key},
        TransformResources={
            "InstanceType": plan.instance_type,
            "InstanceCount": plan.instance_count,
            **volume,
        },
        Tags=terms.tag_list,
    )


def _answer(plan: TransformPlan, place: S3Address) -> bytes:
    with fetched(str(place), session=plan.terms.account.session) as path:
        return path.read_bytes()


def _undo(steps: list[Callable[[], Any]], failed: BaseException | None) -> None:
    """Remove what was made for the job; what cannot be removed stands beside the first error."""
    for step in reversed(steps):
        try:
            with asking("removing what the batch transform job needed"):
                step()
        except CloudError as left:
            if left.code == "ResourceNotFound":
                continue
            logger.error("%s", left)
            if failed is None:
                raise
            failed.add_note(str(left))

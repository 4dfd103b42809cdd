"""Batch transform jobs on SageMaker: many pictures through a model, without an endpoint."""

import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mri_tumor.cloud.aws.addresses import S3Address
from mri_tumor.cloud.aws.logs import last_events
from mri_tumor.cloud.aws.objects import fetched, remove_folder
from mri_tumor.cloud.aws.refusals import asking
from mri_tumor.cloud.aws.terms import Terms
from mri_tumor.errors import CloudError, EndpointError

logger = logging.getLogger(__name__)

_GROUP = "/aws/sagemaker/TransformJobs"
_PAUSE = 10.0  # seconds between two looks at a job
_ENDED = ("Completed", "Failed", "Stopped")


@dataclass(frozen=True)
class TransformPlan:
    """A batch transform job before it starts.

    Args:
        name: of the job and its model.
        data: `s3://.../model.tar.gz`.
        image: the inference image.
        folder: the `s3://` folder for requests and answers.
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
    client = account.client("sagemaker")
    asked, answers = plan.folder / "requests", plan.folder / "answers"
    model = f"{plan.name[:54]}-{secrets.token_hex(4)}"
    undo: list[Callable[[], Any]] = [partial(remove_folder, account, plan.folder)]
    failed: BaseException | None = None
    try:
        sent = upload(
            requests, str(asked), kms_key=terms.kms_key, tags=dict(terms.tags), session=account.session
        )
        logger.info("%s", sent.summary())
        undo.append(partial(client.delete_model, ModelName=model))
        with asking(f"starting the batch transform job {plan.name}"):
            _create(client, plan, model, asked, answers)
        _follow(client, plan)
        return [_answer(plan, answers / f"{path.name}.out") for path in sorted(requests.iterdir())]
    except BaseException as error:
        failed = error
        raise
    finally:
        _undo(undo, failed)


def _create(client: Any, plan: TransformPlan, model: str, asked: S3Address, answers: S3Address) -> None:
    terms = plan.terms
    client.create_model(
        ModelName=model,
        ExecutionRoleArn=terms.role,
        PrimaryContainer={"Image": plan.image, "ModelDataUrl": plan.data},
        EnableNetworkIsolation=terms.network_isolation,
        Tags=terms.tag_list,
        **terms.vpc,
    )
    source = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": f"{asked}/"}}
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
        TransformOutput={"S3OutputPath": str(answers), "Accept": "application/json", **key},
        TransformResources={
            "InstanceType": plan.instance_type,
            "InstanceCount": plan.instance_count,
            **volume,
        },
        Tags=terms.tag_list,
    )


def _follow(client: Any, plan: TransformPlan) -> None:
    """Wait for the job's end; Ctrl-C, and whatever else ends the waiting, stops it."""
    start, shown = time.monotonic(), ""
    try:
        while True:
            with asking(f"looking at the batch transform job {plan.name}"):
                card = client.describe_transform_job(TransformJobName=plan.name)
            status = card["TransformJobStatus"]
            if status != shown:
                logger.info("batch %s: %s after %.0f s", plan.name, status, time.monotonic() - start)
                shown = status
            if status in _ENDED:
                break
            time.sleep(_PAUSE)
    except BaseException:
        # Its requests are removed now: it must not go on, and cost money, without them.
        with asking(f"stopping the batch transform job {plan.name}"):
            client.stop_transform_job(TransformJobName=plan.name)
        raise
    if status != "Completed":
        lines = last_events(plan.terms.account, _GROUP, f"{plan.name}/")
        reason = card.get("FailureReason", "no reason is given")
        raise EndpointError(
            f"the batch transform job {plan.name} is {status}: {reason}"
            + (f" The end of its log:\n{lines}" if lines else ""),
            "a finished job",
            f"mend that and call it again; the log group is {_GROUP}",
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

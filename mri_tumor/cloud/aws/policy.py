"""The permissions that each step needs: what the IAM policy in the documentation is made from.

A test records every call that the library makes and holds it against this table.
"""

from collections.abc import Collection, Mapping
from typing import Any

from mri_tumor.cloud.aws.names import PREFIX
from mri_tumor.cloud.aws.terms import check_role
from mri_tumor.errors import ArgumentError

_SHARED_S3 = ("s3:GetObject", "s3:ListBucket")
_JOB = ("logs:DescribeLogStreams", "logs:GetLogEvents", "iam:PassRole", "sagemaker:AddTags")
_STORE = (
    *_SHARED_S3,
    "kms:DescribeKey",
    "s3:AbortMultipartUpload",
    "s3:ListBucketMultipartUploads",
    "s3:PutObject",
    "s3:PutObjectTagging",
)

_FIT = (
    *_STORE,
    *_JOB,
    "sagemaker:CreateTrainingJob",
    "sagemaker:DescribeTrainingJob",
    "sagemaker:ListTags",
    "sagemaker:StopTrainingJob",
)
_PREDICT = ("sagemaker:DescribeEndpoint", "sagemaker:DescribeEndpointConfig", "sagemaker:InvokeEndpoint")

STEPS: Mapping[str, tuple[str, ...]] = {
    "download": _SHARED_S3,
    "upload": _STORE,
    "fit": _FIT,
    "tune": (
        *_FIT,
        "sagemaker:CreateHyperParameterTuningJob",
        "sagemaker:DescribeHyperParameterTuningJob",
        "sagemaker:ListTrainingJobsForHyperParameterTuningJob",
        "sagemaker:StopHyperParameterTuningJob",
    ),
    "prepare": (
        *_STORE,
        *_JOB,
        "s3:DeleteObject",
        "sagemaker:CreateProcessingJob",
        "sagemaker:DescribeProcessingJob",
        "sagemaker:StopProcessingJob",
    ),
    "deploy": (
        *_STORE,
        *_JOB,
        "sagemaker:CreateEndpoint",
        "sagemaker:CreateEndpointConfig",
        "sagemaker:CreateModel",
        "sagemaker:DeleteEndpoint",
        "sagemaker:DeleteEndpointConfig",
        "sagemaker:DeleteModel",
        "sagemaker:DescribeEndpoint",
        "sagemaker:DescribeEndpointConfig",
    ),
    "predict": _PREDICT,
    "predict asynchronously": (
        *_PREDICT,
        "s3:DeleteObject",
        "s3:GetObject",
        "s3:ListBucket",
        "s3:PutObject",
        "sagemaker:InvokeEndpointAsync",
    ),
    "batch_predict": (
        *_STORE,
        *_JOB,
        "s3:DeleteObject",
        "sagemaker:CreateModel",
        "sagemaker:CreateTransformJob",
        "sagemaker:DeleteModel",
        "sagemaker:DescribeTransformJob",
        "sagemaker:StopTransformJob",
    ),
    "endpoints": (
        "sagemaker:ListEndpoints",
        "sagemaker:ListEndpointConfigs",
        "sagemaker:ListModels",
        "sagemaker:ListTags",
    ),
    "doctor": ("s3:GetBucketLocation", "s3:ListBucket", "sagemaker:ListEndpoints", "sts:GetCallerIdentity"),
}
"""Step -> the actions that the caller needs for it."""

_CONDITIONS: Mapping[str, dict[str, Any]] = {
    "Role": {"Condition": {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}}
}
# S3 and SageMaker use the key in the caller's name; no call of ours bears these names.
_WITH_KEY = ("kms:CreateGrant", "kms:Decrypt", "kms:GenerateDataKey")
_EVERYWHERE = ("kms:", "sagemaker:List", "sts:", "logs:")


def policy(
    bucket: str, role: str, steps: Collection[str] | None = None, *, kms_key: str | None = None
) -> dict[str, Any]:
    """Return the least-privilege IAM policy for the person or program that calls this library.

    What is created can be looked at, changed and deleted only under the names that this library gives.

    Args:
        bucket: the bucket that everything goes through.
        role: the ARN of the execution role, which the caller passes on.
        steps: some of `STEPS`; None: all.
        kms_key: the ARN of the key that is used, if one is.

    Raises:
        ArgumentError: a step is not known, or the role is no ARN of one.

    >>> document = policy("my-bucket", "arn:aws:iam::123456789012:role/sagemaker", ["predict"])
    >>> document["Statement"][0]["Action"]
    ['sagemaker:DescribeEndpoint', 'sagemaker:DescribeEndpointConfig', 'sagemaker:InvokeEndpoint']
    """
    unknown = sorted(set(steps or ()) - STEPS.keys())
    if unknown:
        known = ", ".join(STEPS)
        raise ArgumentError(f"there is no step {unknown[0]!r}", f"some of {known}", "correct the name")
    chosen = STEPS if steps is None else {step: STEPS[step] for step in steps}
    actions = sorted({action for needed in chosen.values() for action in needed})
    partition = check_role(role).split(":")[1]
    objects, whole = f"arn:{partition}:s3:::{bucket}/*", f"arn:{partition}:s3:::{bucket}"
    statements: list[tuple[str, list[str], Any]] = [
        ("Own", [one for one in actions if _is_own(one)], f"arn:{partition}:sagemaker:*:*:*/{PREFIX}-*"),
        ("Lists", [one for one in actions if one.startswith(_EVERYWHERE)], "*"),
        ("Objects", [one for one in actions if _is_object(one)], objects),
        ("Bucket", [one for one in actions if one.startswith("s3:") and not _is_object(one)], whole),
        ("Key", [] if kms_key is None else list(_WITH_KEY), kms_key),
        ("Role", [one for one in actions if one == "iam:PassRole"], role),
    ]
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": name,
                "Effect": "Allow",
                "Action": needed,
                "Resource": resource,
                **_CONDITIONS.get(name, {}),
            }
            for name, needed, resource in statements
            if needed
        ],
    }


def _is_own(action: str) -> bool:
    return action.startswith("sagemaker:") and not action.startswith(_EVERYWHERE)


def _is_object(action: str) -> bool:
    return action.startswith("s3:") and "Bucket" not in action

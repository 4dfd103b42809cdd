"""The policy of the documentation holds what the library calls: no more, and no less."""

import json
import logging
from pathlib import Path

import pytest
from harness.client import SageMakerServer

from mri_tumor import cloud, dataset
from mri_tumor.cloud.aws.endpoints import hosting
from mri_tumor.cloud.aws.jobs import training, transform, tuner
from mri_tumor.cloud.aws.policy import STEPS
from mri_tumor.errors import ArgumentError, MriTumorError

# Calls whose permission has another name. A list: any of the S3 calls that carry an object's parts.
ACTIONS = {
    ("s3", "HeadObject"): "s3:GetObject",
    ("s3", "HeadBucket"): "s3:ListBucket",
    ("s3", "ListObjectsV2"): "s3:ListBucket",
    ("s3", "ListMultipartUploads"): "s3:ListBucketMultipartUploads",
    ("s3", "DeleteObjects"): "s3:DeleteObject",
    ("s3", "CreateMultipartUpload"): "s3:PutObject",
    ("s3", "UploadPart"): "s3:PutObject",
    ("s3", "CompleteMultipartUpload"): "s3:PutObject",
}
# What the SDK asks and does without where it is refused, which a test below shows.
OPTIONAL = {"iam:SimulatePrincipalPolicy", "s3:ListAllMyBuckets", "s3:CreateBucket", "sts:GetCallerIdentity"}


def actions(calls: list[tuple[str, str]]) -> set[str]:
    names = {
        ACTIONS.get(call, f"{call[0].replace('sagemaker-runtime', 'sagemaker')}:{call[1]}") for call in calls
    }
    names = {"s3:ListAllMyBuckets" if name == "s3:ListBuckets" else name for name in names}
    created = {name for name in names if name.startswith("sagemaker:Create")}
    # Everything is created with tags and with a role, and so are objects with tags.
    return names | ({"sagemaker:AddTags", "iam:PassRole"} if created else set())


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (hosting, training, transform, tuner):
        monkeypatch.setattr(module, "_PAUSE", 0.3)


@pytest.mark.slow
def test_the_policy_is_what_is_called(
    archive: Path,
    shards: dict[str, Path],
    catalog: dataset.Catalog,
    aws: SageMakerServer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    place = {"role": aws.role, "output": f"s3://{aws.bucket}/policy"}
    called: dict[str, set[str]] = {}

    def record(step: str, mark: int) -> None:
        called.setdefault(step, set()).update(actions(aws.calls(mark)))

    mark = aws.mark()
    cloud.upload(shards["train"], f"{place['output']}/train", tags={"project": "thesis"})
    record("upload", mark)
    mark = aws.mark()
    cloud.download(f"{place['output']}/train", tmp_path / "train")
    record("download", mark)

    settings = {"model": "small_cnn", "width": 2, "epochs": 1, "batch_size": 8, "augment": False}
    estimator = cloud.Estimator("ml.m5.large", hyperparameters=settings, **place)
    mark = aws.mark()
    estimator.fit(shards)
    again = cloud.Estimator.attach(estimator.training_job_name)
    assert again.history
    other = cloud.Estimator("ml.m5.large", hyperparameters=settings, **place).fit(shards, wait=False)
    other.stop()
    record("fit", mark)
    mark = aws.mark()
    estimator.tune(shards, {"learning_rate": (1e-4, 1e-2)}, max_jobs=1)
    record("tune", mark)

    mark = aws.mark()
    endpoint = cloud.deploy(archive, instance_type="ml.m5.large", asynchronous=True, **place)
    record("deploy", mark)
    mark = aws.mark()
    cloud.Predictor(endpoint.name).predict(catalog[:2])
    record("predict asynchronously", mark)
    mark = aws.mark()
    assert cloud.resources()
    record("endpoints", mark)
    mark = aws.mark()
    endpoint.delete()
    record("deploy", mark)
    mark = aws.mark()
    aws.fail_endpoints()
    with pytest.raises(MriTumorError):
        cloud.deploy(archive, instance_type="ml.m5.large", **place)
    record("deploy", mark)
    with cloud.deploy(archive, instance_type="ml.m5.large", **place) as endpoint:
        mark = aws.mark()
        cloud.Predictor(endpoint.name).predict(catalog[:2])
        record("predict", mark)
    mark = aws.mark()
    cloud.batch_predict(archive, catalog[:2], instance_type="ml.m5.large", **place)
    record("batch_predict", mark)
    mark = aws.mark()
    assert all(finding.good for finding in cloud.doctor(**place))
    record("doctor", mark)

    for step, found in called.items():
        allowed = set(STEPS[step])
        assert found - OPTIONAL - allowed == set(), step
    # Nothing is asked for that nothing needs.
    everything = set().union(*called.values())
    only_at_times = {
        "kms:DescribeKey",  # with a key
        "s3:AbortMultipartUpload",  # after a large file that was interrupted
        "s3:PutObjectTagging",  # is no call of its own
        "sagemaker:StopHyperParameterTuningJob",  # at Ctrl-C
        "sagemaker:StopProcessingJob",
        "sagemaker:StopTransformJob",
        *STEPS["prepare"],  # has a test of its own
    }
    asked_for = {action for needed in STEPS.values() for action in needed}
    assert asked_for - everything - only_at_times == set()


@pytest.mark.slow
def test_what_the_sdk_asks_besides_may_be_refused(shards: dict[str, Path], aws: SageMakerServer) -> None:
    for service, operation in (
        ("iam", "SimulatePrincipalPolicy"),
        ("s3", "ListBuckets"),
        ("sts", "GetCallerIdentity"),
    ):
        aws.fail(operation, "denied", count=50, service=service)
    place = {"role": aws.role, "output": f"s3://{aws.bucket}/policy"}
    job = cloud.Estimator("ml.m5.large", **place).fit(shards, wait=False)
    job.stop()


def test_a_policy_is_a_document_that_names_one_bucket_and_one_role() -> None:
    role = "arn:aws-cn:iam::123456789012:role/study"
    document = cloud.policy("my-bucket", role)
    assert json.loads(json.dumps(document)) == document
    by_name = {one["Sid"]: one for one in document["Statement"]}
    condition = {"StringEquals": {"iam:PassedToService": "sagemaker.amazonaws.com"}}
    assert by_name["Role"]["Condition"] == condition
    assert (by_name["Role"]["Action"], by_name["Role"]["Resource"]) == (["iam:PassRole"], role)
    assert by_name["Own"]["Resource"] == "arn:aws-cn:sagemaker:*:*:*/mri-tumor-*"
    assert by_name["Objects"]["Resource"] == "arn:aws-cn:s3:::my-bucket/*"
    assert by_name["Bucket"]["Resource"] == "arn:aws-cn:s3:::my-bucket"
    given = [action for one in document["Statement"] for action in one["Action"]]
    assert sorted(given) == sorted({action for needed in STEPS.values() for action in needed})
    assert not any("*" in action for action in given)
    key = "arn:aws-cn:kms:cn-north-1:123456789012:key/1"
    with_key = {one["Sid"]: one for one in cloud.policy("my-bucket", role, kms_key=key)["Statement"]}
    assert with_key.keys() - by_name.keys() == {"Key"}
    assert with_key["Key"]["Resource"] == key
    with pytest.raises(ArgumentError, match="there is no step 'downlod'"):
        cloud.policy("my-bucket", role, ["downlod"])
    for wrong in ("notarole", "", None):
        with pytest.raises(ArgumentError, match=r"role is .*arn:aws:iam"):
            cloud.policy("my-bucket", wrong)

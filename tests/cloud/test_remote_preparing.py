"""Preparing pictures on SageMaker, as a server on this machine stands for it: the job really runs."""

import json
import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from harness.client import SageMakerServer
from harness.steps import objects

from mri_tumor import cloud, dataset
from mri_tumor.cloud.aws.addresses import S3Address
from mri_tumor.cloud.aws.jobs import following, preparation, processing
from mri_tumor.cloud.aws.jobs.machines import Machines
from mri_tumor.cloud.aws.jobs.processing import ProcessingPlan
from mri_tumor.cloud.aws.policy import STEPS
from mri_tumor.cloud.aws.terms import Terms
from mri_tumor.errors import ArgumentError, CatalogError, CloudError, ReadError, ShardError

from .conftest import SPEC
from .test_policy import OPTIONAL, actions

# What only some calls need: a key, large files, files that were interrupted, Ctrl-C; tags are no call.
AT_TIMES = {
    "kms:DescribeKey",
    "s3:AbortMultipartUpload",
    "s3:ListBucketMultipartUploads",
    "s3:PutObjectTagging",
    "sagemaker:StopProcessingJob",
}


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processing, "_PAUSE", 0.3)


@pytest.fixture
def place(aws: SageMakerServer) -> dict[str, Any]:
    return {"instance_type": "ml.m5.large", "role": aws.role, "preprocess": SPEC}


def left(aws: SageMakerServer, prefix: str) -> list[str]:
    """Return the keys under a prefix, without the library's source, which stays for other jobs."""
    return [key for key in objects(aws, prefix) if not key.endswith("/sourcedir.tar.gz")]


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"instance_type": "m5"}, "instance_type is 'm5'"),
        ({"instance_count": 0}, "instance_count is 0"),
        ({"shards": 41}, "shards is 41"),
        ({"compression": "zip"}, "compression is 'zip'"),
        ({"preprocess": 224}, "preprocess is 224"),
        ({"max_run": 10 * 24 * 3600}, "max_run is 864000"),
        ({"volume_size": 0}, "volume_size is 0"),
        ({"directory": "shards"}, "'shards' is no address in S3"),
        ({"directory": "s3://bucket"}, "pass 's3://bucket/shards'"),
        ({"output": "work"}, "'work' is no address in S3"),
        ({"directory": "s3://bucket/a", "output": "s3://bucket/a"}, "lie in each other"),
        ({"directory": "s3://bucket/code"}, "lie in each other"),
        ({"role": "me"}, "role is 'me'"),
        ({"instance_type": "local"}, "role cannot be honoured"),
    ],
)
def test_arguments_are_refused_before_aws_is_asked(
    catalog: dataset.Catalog,
    place: dict[str, Any],
    aws: SageMakerServer,
    changes: dict[str, Any],
    wanted: str,
) -> None:
    mark = aws.mark()
    with pytest.raises(ArgumentError, match=wanted):
        cloud.prepare(catalog, **{"directory": f"s3://{aws.bucket}/refused/train", **place, **changes})
    assert aws.calls(mark) == []


@pytest.mark.parametrize(
    ("head", "kind"), [(bytes(128) + b"DICM", "DICOM"), (b"\x5c\x01\0\0" + bytes(340) + b"n+1\0", "NIfTI")]
)
def test_pictures_that_the_image_cannot_read_are_refused_before_aws_is_asked(
    catalog: dataset.Catalog,
    place: dict[str, Any],
    aws: SageMakerServer,
    tmp_path: Path,
    head: bytes,
    kind: str,
) -> None:
    (tmp_path / "scan").write_bytes(head + bytes(200))
    pictures = dataset.Catalog([*catalog[:3], dataset.Record("scan", tmp_path / "scan", "none")])
    mark = aws.mark()
    with pytest.raises(ArgumentError, match=f"'scan' is {kind}.*to_png"):
        cloud.prepare(pictures, f"s3://{aws.bucket}/refused/train", **place)
    assert aws.calls(mark) == []


def test_pictures_that_are_not_there_are_refused_before_aws_is_asked(
    catalog: dataset.Catalog, place: dict[str, Any], aws: SageMakerServer, tmp_path: Path
) -> None:
    gone = dataset.Catalog([*catalog[:3], replace(catalog[3], path=tmp_path / "gone")])
    mark = aws.mark()
    with pytest.raises(ReadError, match=f"picture '{catalog[3].id}': .*cannot be opened"):
        cloud.prepare(gone, f"s3://{aws.bucket}/refused/train", **place)
    with pytest.raises(CatalogError, match="empty"):
        cloud.prepare(dataset.Catalog([]), f"s3://{aws.bucket}/refused/train", **place)
    assert aws.calls(mark) == []


def test_a_job_is_asked_for_on_the_terms_given(aws: SageMakerServer) -> None:
    given = {"subnets": ["subnet-1"], "security_group_ids": ["sg-1"], "network_isolation": True}
    terms = Terms.of({"role": aws.role, "kms_key": "key", "tags": {"project": "thesis"}, **given})
    folder = S3Address.parse("s3://bucket/work")
    machines = Machines("ml.m5.large", 3, 50, max_run=600)
    asked = ProcessingPlan("mri-tumor-a", folder, folder, folder, folder, "image", machines, terms).request
    assert asked["NetworkConfig"] == {
        "EnableNetworkIsolation": True,
        "VpcConfig": {"Subnets": ["subnet-1"], "SecurityGroupIds": ["sg-1"]},
    }
    assert asked["ProcessingResources"]["ClusterConfig"] == {
        "InstanceType": "ml.m5.large",
        "InstanceCount": 3,
        "VolumeSizeInGB": 50,
        "VolumeKmsKeyId": "key",
    }
    assert asked["ProcessingOutputConfig"]["KmsKeyId"] == "key"
    assert asked["StoppingCondition"] == {"MaxRuntimeInSeconds": 600}
    assert {"Key": "project", "Value": "thesis"} in asked["Tags"]
    application = asked["AppSpecification"]
    # The platform's limit for each part of a command.
    assert max(map(len, application["ContainerEntrypoint"] + application["ContainerArguments"])) <= 256


@pytest.mark.slow
def test_instances_write_what_write_tfrecords_writes_and_leave_nothing_else(
    catalog: dataset.Catalog,
    place: dict[str, Any],
    aws: SageMakerServer,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    mark = aws.mark()
    target = f"s3://{aws.bucket}/prepared/train"
    how = {"shards": 3, "compression": "gzip"}
    manifest = cloud.prepare(catalog, target, **how, **place, network_isolation=True)
    calls = aws.calls(mark)
    there = objects(aws, "prepared/train/")
    dataset.write_tfrecords(catalog, tmp_path / "expected", preprocess=SPEC, **how)
    expected = {path.name: path.read_bytes() for path in (tmp_path / "expected").iterdir()}
    assert {key.rpartition("/")[2]: body for key, body in there.items()} == expected
    assert dataset.verify_tfrecords(tmp_path / "expected") == manifest
    assert left(aws, "prepared/") == sorted(there)
    # Each of two instances had its share of the three units.
    assert "unit 1 of 2" in caplog.text
    assert "unit 1 of 1" in caplog.text
    assert "absl" not in caplog.text  # TensorFlow's chatter is not shown
    # The policy of the documentation.
    assert actions(calls) - OPTIONAL - set(STEPS["prepare"]) == set()
    assert set(STEPS["prepare"]) - actions(calls) - AT_TIMES == set()
    # Nothing is written over what is there.
    with pytest.raises(ArgumentError, match="holds 4 objects"):
        cloud.prepare(catalog, target, **how, **place)
    assert objects(aws, "prepared/train/") == there


@pytest.mark.slow
def test_a_picture_that_cannot_be_read_fails_the_job_and_nothing_is_left(
    catalog: dataset.Catalog, place: dict[str, Any], aws: SageMakerServer, tmp_path: Path
) -> None:
    path = tmp_path / "cut-off.jpg"
    path.write_bytes(catalog[38].path.read_bytes()[:200])
    broken = dataset.Catalog([*catalog[:38], replace(catalog[38], path=path), catalog[39]])
    where = {"directory": f"s3://{aws.bucket}/failing/train", "output": f"s3://{aws.bucket}/failing/work"}
    with pytest.raises(ReadError, match=rf"\(Failed\) failed: picture '{catalog[38].id}'.*To do: "):
        cloud.prepare(broken, shards=2, **where, **place)
    assert left(aws, "failing/") == []


@pytest.mark.slow
@pytest.mark.parametrize("operation", ["CreateProcessingJob", "DescribeProcessingJob"])
def test_a_refusal_leaves_neither_a_job_nor_pictures(
    catalog: dataset.Catalog, place: dict[str, Any], aws: SageMakerServer, operation: str
) -> None:
    mark = aws.mark()
    aws.fail(operation, "denied")
    with pytest.raises(CloudError, match="AccessDenied") as refused:
        cloud.prepare(catalog, f"s3://{aws.bucket}/denied/train", shards=2, **place)
    assert not hasattr(refused.value, "__notes__")
    assert left(aws, "denied/") == []
    stopped = ("sagemaker", "StopProcessingJob") in aws.calls(mark)
    assert stopped == (operation == "DescribeProcessingJob")
    running = aws.client("sagemaker").list_processing_jobs(StatusEquals="InProgress")
    assert running["ProcessingJobSummaries"] == []


@pytest.mark.slow
def test_a_lost_answer_starts_one_job_and_throttling_is_waited_for(
    catalog: dataset.Catalog, place: dict[str, Any], aws: SageMakerServer
) -> None:
    aws.fail("CreateProcessingJob", "lost")
    aws.fail("DescribeProcessingJob", "throttle", count=3)
    manifest = cloud.prepare(catalog[:4], f"s3://{aws.bucket}/lost/train", **place)
    assert manifest.sections["data"]["count"] == 4
    assert sorted(left(aws, "lost/")) == [
        "lost/train/manifest.json",
        "lost/train/part-00000-of-00001.tfrecord",
    ]


@pytest.mark.slow
def test_an_interrupt_stops_the_job_and_leaves_nothing(
    catalog: dataset.Catalog, place: dict[str, Any], aws: SageMakerServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    sleep, follow, names = time.sleep, following.Followed.follow, []

    def interrupt(_: float) -> None:
        monkeypatch.setattr(following.time, "sleep", sleep)
        raise KeyboardInterrupt

    def interrupted(job: following.Followed, *given: Any) -> Any:
        names.append(job.name)
        monkeypatch.setattr(following.time, "sleep", interrupt)
        return follow(job, *given)

    monkeypatch.setattr(following.Followed, "follow", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cloud.prepare(catalog, f"s3://{aws.bucket}/stopped/train", shards=2, **place)
    card = aws.client("sagemaker").describe_processing_job(ProcessingJobName=names[0])
    assert card["ProcessingJobStatus"] == "Stopped"
    assert left(aws, "stopped/") == []


@pytest.mark.slow
def test_a_job_that_takes_too_long_is_a_failure_that_says_so(
    catalog: dataset.Catalog, place: dict[str, Any], aws: SageMakerServer
) -> None:
    with pytest.raises(ShardError, match=r"(?s)MaxRuntimeInSeconds.*max_run was 1 s"):
        cloud.prepare(catalog, f"s3://{aws.bucket}/late/train", max_run=1, **place)
    assert left(aws, "late/") == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lost", "wanted"),
    [
        ("notes", "missing or too many: 'part-00000-of-00002.tfrecord.json'"),
        ("shards", "shard part-00000-of-00002.tfrecord is missing"),
    ],
)
def test_shards_without_their_notes_and_notes_without_their_shards_are_no_shard_folder(
    catalog: dataset.Catalog,
    place: dict[str, Any],
    aws: SageMakerServer,
    monkeypatch: pytest.MonkeyPatch,
    lost: str,
    wanted: str,
) -> None:
    process = preparation.process

    def lose_one(plan: ProcessingPlan) -> None:
        process(plan)
        key = min(objects(aws, getattr(plan, lost).inside))
        aws.client("s3").delete_object(Bucket=aws.bucket, Key=key)

    monkeypatch.setattr(preparation, "process", lose_one)
    with pytest.raises(ShardError, match=wanted):
        cloud.prepare(catalog, f"s3://{aws.bucket}/half/train", shards=2, **place)
    assert left(aws, "half/") == []


@pytest.mark.slow
def test_what_others_put_beside_the_shards_meanwhile_stays(
    catalog: dataset.Catalog, place: dict[str, Any], aws: SageMakerServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = preparation.process
    others: set[str] = set()

    def disturbed(plan: ProcessingPlan) -> None:
        process(plan)
        for key in others:
            aws.client("s3").put_object(Bucket=aws.bucket, Key=key, Body=b"other")
        # So that it fails in any case.
        aws.client("s3").delete_object(Bucket=aws.bucket, Key=min(objects(aws, plan.notes.inside)))

    monkeypatch.setattr(preparation, "process", disturbed)
    others.add("disturbed/train/mine.txt")
    with pytest.raises(ShardError):
        cloud.prepare(catalog[:4], f"s3://{aws.bucket}/disturbed/train", shards=2, **place)
    assert set(left(aws, "disturbed/")) == others
    # A folder with a manifest is whole for everybody who reads it: nothing of it is removed.
    others = {"disturbed/again/manifest.json"}
    shards = {f"disturbed/again/part-0000{number}-of-00002.tfrecord" for number in range(2)}
    with pytest.raises(ShardError):
        cloud.prepare(catalog[:4], f"s3://{aws.bucket}/disturbed/again", shards=2, **place)
    assert set(left(aws, "disturbed/again/")) == others | shards


@pytest.mark.slow
def test_a_note_that_says_something_else_is_refused(
    catalog: dataset.Catalog, place: dict[str, Any], aws: SageMakerServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = preparation.process

    def altered(plan: ProcessingPlan) -> None:
        process(plan)
        ((key, body),) = objects(aws, plan.notes.inside).items()
        note = json.dumps({**json.loads(body), "records": 5}).encode()
        aws.client("s3").put_object(Bucket=aws.bucket, Key=key, Body=note)

    monkeypatch.setattr(preparation, "process", altered)
    with pytest.raises(ShardError, match=r"number of pictures\. Expected: 0 and 4"):
        cloud.prepare(catalog[:4], f"s3://{aws.bucket}/altered/train", **place)
    assert left(aws, "altered/") == []

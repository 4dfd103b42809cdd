"""What is missing before anything is created."""

from pathlib import Path

import boto3
import pytest
from harness.client import SageMakerServer

from mri_tumor import cloud


def by_name(found: list[cloud.Finding]) -> dict[str, cloud.Finding]:
    return {finding.what: finding for finding in found}


def test_all_is_well(aws: SageMakerServer) -> None:
    mark = aws.mark()
    found = cloud.doctor(aws.role, f"s3://{aws.bucket}/study")
    assert [finding.what for finding in found] == [
        "packages",
        "region",
        "credentials",
        "role",
        "SageMaker",
        "bucket",
    ]
    assert all(finding.good for finding in found)
    assert by_name(found)["bucket"].text == f"{aws.bucket} in eu-west-1"
    writing = ("Create", "Put", "Delete", "Stop", "Update")
    assert not [call for call in aws.calls(mark) if call[1].startswith(writing)]


def test_without_a_region_the_rest_is_left_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    found = cloud.doctor()
    assert [(finding.what, finding.good) for finding in found] == [("packages", True), ("region", False)]
    assert "AWS_REGION" in found[1].text


def test_credentials_that_are_over(aws: SageMakerServer) -> None:
    aws.fail("GetCallerIdentity", "expired", service="sts")
    found = by_name(cloud.doctor(aws.role, f"s3://{aws.bucket}"))
    assert "log in again" in found["credentials"].text
    assert not found["credentials"].good
    assert found["role"].good
    assert "SageMaker" not in found


def test_role_bucket_and_its_region(aws: SageMakerServer) -> None:
    found = by_name(cloud.doctor("execution", "s3://there-is-none/x"))
    assert "arn:aws:iam" in found["role"].text
    assert not found["bucket"].good
    assert not by_name(cloud.doctor(None))["role"].good
    elsewhere = boto3.Session(region_name="us-west-2")
    found = by_name(cloud.doctor(aws.role, f"s3://{aws.bucket}", session=elsewhere))
    assert "is in eu-west-1, and the region is us-west-2" in found["bucket"].text
    assert not by_name(cloud.doctor(aws.role, "bucket/x"))["bucket"].good

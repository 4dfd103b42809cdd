"""Tests of what stands for SageMaker: its process, the record of calls, faults, and repairs of moto."""

import functools
import signal
import urllib.request
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore import xform_name
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError
from harness.client import SageMakerServer


def once(server: SageMakerServer, service: str) -> Any:
    """Return a client that does not try again."""
    config = Config(retries={"total_max_attempts": 1, "mode": "standard"})
    return boto3.client(service, endpoint_url=server.url, config=config)


def test_the_server_ends_with_whoever_started_it(tmp_path: Path) -> None:
    with SageMakerServer(tmp_path) as server:
        server.client("sagemaker").list_models()
        pid = server._process.pid
        assert Path(f"/proc/{pid}").exists()
    assert not Path(f"/proc/{pid}").exists()


def test_the_server_ends_on_sigterm_and_takes_its_children_along(tmp_path: Path) -> None:
    from harness.steps import job, until

    with SageMakerServer(tmp_path) as server:
        job(server, "endless", f"echo $$ > {tmp_path}/pid; sleep 600")
        until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text().strip(), bool)
        server._process.send_signal(signal.SIGTERM)
        server._process.wait(20)
        child = (tmp_path / "pid").read_text().strip()
        assert not Path(f"/proc/{child}").exists()


def test_the_environment_leads_here(aws: SageMakerServer) -> None:
    session = boto3.Session()
    assert session.region_name == "eu-west-1"
    assert session.client("sts").get_caller_identity()["Account"] == "123456789012"
    assert session.client("s3").head_bucket(Bucket=aws.bucket)["ResponseMetadata"]["HTTPStatusCode"] == 200
    role = session.client("iam").get_role(RoleName=aws.role.rpartition("/")[2])["Role"]
    assert (
        role["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]["Service"] == "sagemaker.amazonaws.com"
    )
    # The SDK asks STS by an address of its own.
    fixed = session.client("sts", endpoint_url="https://sts.eu-west-1.amazonaws.com")
    assert fixed.get_caller_identity()["Account"] == "123456789012"


def test_policies_are_simulated(aws: SageMakerServer) -> None:
    found = boto3.client("iam").simulate_principal_policy(
        PolicySourceArn=aws.role,
        ActionNames=["s3:PutObject", "s3:GetObject"],
        ResourceArns=["arn:aws:s3:::a/*"],
    )
    decisions = {one["EvalActionName"]: one["EvalDecision"] for one in found["EvaluationResults"]}
    assert decisions == {"s3:PutObject": "allowed", "s3:GetObject": "allowed"}


def test_calls_are_recorded_by_service_operation_and_caller(aws: SageMakerServer) -> None:
    mark = aws.mark()
    boto3.client("sagemaker").list_models()
    s3 = boto3.client("s3")
    s3.put_object(Bucket=aws.bucket, Key="calls/a b", Body=b"")
    s3.get_object(Bucket=aws.bucket, Key="calls/a b")
    s3.head_object(Bucket=aws.bucket, Key="calls/a b")
    s3.list_objects_v2(Bucket=aws.bucket)
    s3.copy_object(Bucket=aws.bucket, Key="calls/b", CopySource=f"{aws.bucket}/calls/a b")
    upload = s3.create_multipart_upload(Bucket=aws.bucket, Key="calls/c")["UploadId"]
    part = s3.upload_part(Bucket=aws.bucket, Key="calls/c", UploadId=upload, PartNumber=1, Body=b"c")
    s3.list_parts(Bucket=aws.bucket, Key="calls/c", UploadId=upload)
    parts = {"Parts": [{"ETag": part["ETag"], "PartNumber": 1}]}
    s3.complete_multipart_upload(Bucket=aws.bucket, Key="calls/c", UploadId=upload, MultipartUpload=parts)
    s3.delete_objects(Bucket=aws.bucket, Delete={"Objects": [{"Key": "calls/c"}]})
    urllib.request.urlopen(
        s3.generate_presigned_url("get_object", Params={"Bucket": aws.bucket, "Key": "calls/b"})
    ).close()
    boto3.client("sts").get_caller_identity()
    boto3.client("logs").describe_log_groups()
    boto3.client("cloudwatch").list_metrics()
    wanted = ["PutObject", "GetObject", "HeadObject", "ListObjectsV2", "CopyObject", "CreateMultipartUpload"]
    wanted += ["UploadPart", "ListParts", "CompleteMultipartUpload", "DeleteObjects", "GetObject"]
    others = [("sts", "GetCallerIdentity"), ("logs", "DescribeLogGroups"), ("cloudwatch", "ListMetrics")]
    assert aws.calls(mark) == [("sagemaker", "ListModels"), *(("s3", name) for name in wanted), *others]


FAULTS = [
    ("sagemaker", "ListModels", "throttle", "ThrottlingException", 400),
    ("sagemaker", "ListModels", "error", "InternalFailure", 500),
    ("sagemaker", "*", "expired", "ExpiredTokenException", 403),
    ("sagemaker", "ListModels", "denied", "AccessDeniedException", 400),
    ("s3", "ListBuckets", "throttle", "SlowDown", 503),
    ("s3", "ListBuckets", "error", "InternalError", 500),
    ("s3", "ListBuckets", "expired", "ExpiredToken", 400),
    ("s3", "ListBuckets", "denied", "AccessDenied", 403),
    ("sts", "GetCallerIdentity", "expired", "ExpiredToken", 403),
    ("logs", "DescribeLogGroups", "throttle", "ThrottlingException", 400),
    ("cloudwatch", "ListMetrics", "denied", "AccessDeniedException", 400),
    ("sagemaker-runtime", "InvokeEndpoint", "throttle", "ThrottlingException", 400),
]


@pytest.mark.parametrize(("service", "operation", "kind", "code", "status"), FAULTS)
def test_a_fault_hits_so_many_calls_of_an_operation_as_it_should(
    aws: SageMakerServer, service: str, operation: str, kind: str, code: str, status: int
) -> None:
    name = "ListModels" if operation == "*" else operation
    given = {"EndpointName": "a", "Body": b""} if name == "InvokeEndpoint" else {}
    client = once(aws, service)
    call = functools.partial(getattr(client, xform_name(name)), **given)
    aws.fail(operation, kind, service=service, count=2)
    for _ in range(2):
        with pytest.raises(ClientError) as caught:
            call()
        assert caught.value.response["Error"]["Code"] == code
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    if name == "InvokeEndpoint":
        with pytest.raises(ClientError, match="not found"):
            call()
    else:
        call()


@pytest.mark.parametrize(("kind", "carried_out"), [("reset", False), ("lost", True)])
def test_a_connection_breaks_before_or_after_the_call(
    aws: SageMakerServer, kind: str, carried_out: bool
) -> None:
    client = once(aws, "s3")
    aws.fail("PutObject", kind, service="s3")
    with pytest.raises(ConnectionClosedError):
        client.put_object(Bucket=aws.bucket, Key=f"broken/{kind}", Body=b"")
    found = client.list_objects_v2(Bucket=aws.bucket, Prefix=f"broken/{kind}")
    assert found["KeyCount"] == carried_out


def test_the_clients_own_retries_get_over_a_fault(aws: SageMakerServer) -> None:
    mark = aws.mark()
    aws.fail("ListModels", "throttle", count=2)
    boto3.client("sagemaker", config=Config(retries={"mode": "standard", "max_attempts": 4})).list_models()
    assert aws.calls(mark) == [("sagemaker", "ListModels")] * 3


def test_what_moto_answers_for_sagemaker_has_no_empty_objects(aws: SageMakerServer) -> None:
    client = boto3.client("sagemaker")
    client.create_model_package_group(ModelPackageGroupName="group", Tags=[{"Key": "a", "Value": "b"}])
    found = client.describe_model_package_group(ModelPackageGroupName="group")
    assert {} not in found.values()
    arn = found["ModelPackageGroupArn"]
    assert client.list_tags(ResourceArn=arn)["Tags"] == [{"Key": "a", "Value": "b"}]


def test_a_body_in_chunks_arrives_whole(aws: SageMakerServer) -> None:
    client = boto3.client("s3")
    place = {"Bucket": aws.bucket, "Key": "chunks"}
    address = client.generate_presigned_url("put_object", Params=place)
    kind = {"Content-Type": "application/octet-stream"}
    request = urllib.request.Request(address, iter([b"first,", b"second"]), kind, method="PUT")
    urllib.request.urlopen(request).close()
    assert client.get_object(**place)["Body"].read() == b"first,second"

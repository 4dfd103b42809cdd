"""Tests of models, endpoints and their invocations in the harness."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from harness.client import SageMakerServer
from harness.steps import at_rest, create_endpoint, create_model, log_of, objects, until

from .conftest import encoded

MIB = 2**20


@pytest.fixture(scope="module")
def model(sagemaker_server: SageMakerServer, archive: Path) -> str:
    create_model(sagemaker_server, archive, "shared-model")
    return "shared-model"


@pytest.fixture(scope="module")
def running(sagemaker_server: SageMakerServer, model: str) -> str:
    found = create_endpoint(sagemaker_server, "shared-endpoint", model)
    assert found["EndpointStatus"] == "InService", found
    return "shared-endpoint"


def test_an_endpoint_answers_with_the_packages_own_handler_and_model(
    aws: SageMakerServer, running: str, classifier: Any
) -> None:
    answer = aws.client("sagemaker-runtime").invoke_endpoint(
        EndpointName=running, ContentType="image/jpeg", Body=encoded(3)
    )
    assert answer["ContentType"] == "application/json"
    assert answer["InvokedProductionVariant"] == "AllTraffic"
    said = json.loads(answer["Body"].read())["predictions"][0]
    expected = classifier.predict([encoded(3)])[0]
    assert said["top"] == expected.top
    assert said["probabilities"] == pytest.approx(expected.probabilities, abs=1e-4)


def test_the_handlers_refusal_comes_as_a_model_error(aws: SageMakerServer, running: str) -> None:
    client = aws.client("sagemaker-runtime")
    with pytest.raises(client.exceptions.ModelError) as caught:
        client.invoke_endpoint(EndpointName=running, ContentType="text/csv", Body=b"1,2")
    answer = caught.value.response
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert answer["OriginalStatusCode"] == 500
    assert json.loads(json.loads(answer["OriginalMessage"])["error"])["code"] == 415
    assert answer["LogStreamArn"].startswith("arn:aws:logs:")
    group = f"/aws/sagemaker/Endpoints/{running}"
    until(lambda: log_of(aws, group, "AllTraffic/"), lambda lines: any("415" in line for line in lines))


def test_custom_attributes_reach_the_handler(aws: SageMakerServer, running: str) -> None:
    client = aws.client("sagemaker-runtime")
    with pytest.raises(client.exceptions.ModelError, match="409"):
        client.invoke_endpoint(
            EndpointName=running,
            ContentType="application/x-npy",
            Body=b"",
            CustomAttributes="preprocess-digest=another",
        )


def test_an_endpoint_is_described_tagged_and_listed(aws: SageMakerServer, running: str) -> None:
    client = aws.client("sagemaker")
    found = client.describe_endpoint(EndpointName=running)
    (variant,) = found["ProductionVariants"]
    assert (variant["VariantName"], variant["CurrentInstanceCount"]) == ("AllTraffic", 1)
    assert "FailureReason" not in found
    client.add_tags(
        ResourceArn=found["EndpointArn"], Tags=[{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "2"}]
    )
    client.delete_tags(ResourceArn=found["EndpointArn"], TagKeys=["a"])
    assert client.list_tags(ResourceArn=found["EndpointArn"])["Tags"] == [{"Key": "b", "Value": "2"}]
    pages = client.get_paginator("list_endpoints").paginate(NameContains="shared", StatusEquals="InService")
    assert [one["EndpointName"] for page in pages for one in page["Endpoints"]] == [running]
    names = [one["EndpointConfigName"] for one in client.list_endpoint_configs()["EndpointConfigs"]]
    assert running in names
    assert "shared-model" in [one["ModelName"] for one in client.list_models(MaxResults=50)["Models"]]


def test_what_is_created_is_deleted_and_gone(aws: SageMakerServer, model: str) -> None:
    client = aws.client("sagemaker")
    create_endpoint(aws, "short", model)
    client.delete_endpoint(EndpointName="short")
    with pytest.raises(ClientError, match="in-progress"):
        client.delete_endpoint(EndpointName="short")
    assert client.describe_endpoint(EndpointName="short")["EndpointStatus"] == "Deleting"
    client.get_waiter("endpoint_deleted").wait(EndpointName="short", WaiterConfig={"Delay": 1})
    client.delete_endpoint_config(EndpointConfigName="short")
    for ask, text in (
        (lambda: client.describe_endpoint(EndpointName="short"), "Could not find endpoint"),
        (
            lambda: client.describe_endpoint_config(EndpointConfigName="short"),
            "Could not find endpoint configuration",
        ),
        (lambda: client.describe_model(ModelName="never"), "Could not find model"),
        (lambda: client.delete_model(ModelName="never"), "Could not find model"),
        (lambda: client.delete_endpoint(EndpointName="short"), "Could not find endpoint"),
    ):
        with pytest.raises(ClientError, match=text) as caught:
            ask()
        assert caught.value.response["Error"]["Code"] == "ValidationException"
    runtime = aws.client("sagemaker-runtime")
    with pytest.raises(ClientError, match="not found") as caught:
        runtime.invoke_endpoint(EndpointName="short", Body=b"")
    assert caught.value.response["Error"]["Code"] == "ValidationError"


def test_a_name_is_taken_once_and_parts_must_be_there(aws: SageMakerServer, running: str) -> None:
    client = aws.client("sagemaker")
    variant = {"VariantName": "a", "InstanceType": "ml.c5.large", "InitialInstanceCount": 1}
    with pytest.raises(ClientError, match="Cannot create already existing endpoint "):
        client.create_endpoint(EndpointName=running, EndpointConfigName=running)
    with pytest.raises(ClientError, match="Cannot create already existing endpoint configuration"):
        client.create_endpoint_config(
            EndpointConfigName=running, ProductionVariants=[{**variant, "ModelName": "shared-model"}]
        )
    with pytest.raises(ClientError, match="Could not find endpoint configuration"):
        client.create_endpoint(EndpointName="a", EndpointConfigName="never")
    with pytest.raises(ClientError, match="Could not find model"):
        client.create_endpoint_config(
            EndpointConfigName="a", ProductionVariants=[{**variant, "ModelName": "never"}]
        )
    with pytest.raises(ClientError, match="Could not access model data"):
        client.create_model(
            ModelName="a",
            PrimaryContainer={"Image": "a", "ModelDataUrl": "s3://mri-tumor-tests/never"},
            ExecutionRoleArn=aws.role,
        )


def test_a_package_that_cannot_be_served_fails_its_endpoint(
    aws: SageMakerServer, altered: Callable[[Callable[[Path], None]], Path]
) -> None:
    create_model(aws, altered(lambda folder: shutil.rmtree(folder / "1")), "no-version")
    found = create_endpoint(aws, "no-version", "no-version")
    assert found["EndpointStatus"] == "Failed"
    assert "did not pass the ping health check" in found["FailureReason"]
    assert any(
        "no versions" in line for line in log_of(aws, "/aws/sagemaker/Endpoints/no-version", "AllTraffic/")
    )
    aws.client("sagemaker").delete_endpoint(EndpointName="no-version")


def test_the_container_has_numpy_and_the_packages_code_and_nothing_else(
    aws: SageMakerServer, altered: Callable[[Callable[[Path], None]], Path]
) -> None:
    def spoil(folder: Path) -> None:
        script = folder / "code" / "inference.py"
        script.write_text("import cv2\n" + script.read_text(encoding="utf-8"), encoding="utf-8")

    create_model(aws, altered(spoil), "other-imports")
    assert create_endpoint(aws, "other-imports", "other-imports")["EndpointStatus"] == "Failed"
    lines = log_of(aws, "/aws/sagemaker/Endpoints/other-imports", "AllTraffic/")
    assert any("No module named 'cv2'" in line for line in lines)


def test_no_archive_fails_its_endpoint(aws: SageMakerServer, tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"no archive")
    create_model(aws, tmp_path / "a", "no-archive")
    assert "Failed to extract" in create_endpoint(aws, "no-archive", "no-archive")["FailureReason"]
    with pytest.raises(ClientError, match="ValidationError"):
        aws.client("sagemaker-runtime").invoke_endpoint(EndpointName="no-archive", Body=b"")


def test_an_endpoint_can_be_told_to_fail(aws: SageMakerServer, model: str) -> None:
    aws.fail_endpoints()
    assert create_endpoint(aws, "told-to-fail", model)["EndpointStatus"] == "Failed"


def test_an_update_changes_the_model_behind_a_name(
    aws: SageMakerServer, running: str, archive: Path, model: str
) -> None:
    client = aws.client("sagemaker")
    runtime = aws.client("sagemaker-runtime")
    create_endpoint(aws, "updated", model)
    # Its container takes one byte and no more, which shows whose variables the handler has.
    create_model(aws, archive, "one-byte", MRI_TUMOR_MAX_BODY="1")
    variant = {
        "VariantName": "b",
        "ModelName": "one-byte",
        "InstanceType": "ml.c5.large",
        "InitialInstanceCount": 1,
    }
    client.create_endpoint_config(EndpointConfigName="updated-2", ProductionVariants=[variant])
    client.update_endpoint(EndpointName="updated", EndpointConfigName="updated-2")
    with pytest.raises(ClientError, match="in-progress"):
        client.update_endpoint(EndpointName="updated", EndpointConfigName="updated-2")
    assert at_rest(client, "updated")["EndpointConfigName"] == "updated-2"
    with pytest.raises(runtime.exceptions.ModelError, match="larger than 1 bytes"):
        runtime.invoke_endpoint(EndpointName="updated", ContentType="image/jpeg", Body=encoded(3))
    aws.fail_endpoints()
    client.update_endpoint(EndpointName="updated", EndpointConfigName="updated")
    found = at_rest(client, "updated")
    assert (found["EndpointStatus"], found["EndpointConfigName"]) == ("InService", "updated-2")
    assert "ping" in found["FailureReason"]


def test_bodies_have_the_limits_of_the_platform(aws: SageMakerServer, running: str, model: str) -> None:
    found = create_endpoint(aws, "serverless", model, serverless=True)
    config = found["ProductionVariants"][0]["CurrentServerlessConfig"]
    assert config == {"MemorySizeInMB": 2048, "MaxConcurrency": 2}
    runtime = aws.client("sagemaker-runtime")
    for name, limit in ((running, 6 * MIB), ("serverless", 4 * MIB)):
        with pytest.raises(runtime.exceptions.ModelError):
            runtime.invoke_endpoint(EndpointName=name, ContentType="image/png", Body=bytes(limit))
        with pytest.raises(ClientError) as caught:
            runtime.invoke_endpoint(EndpointName=name, ContentType="image/png", Body=bytes(limit + 1))
        assert caught.value.response["Error"]["Code"] == "413"


def test_an_asynchronous_endpoint_answers_into_s3(aws: SageMakerServer, model: str) -> None:
    place = f"s3://{aws.bucket}/later"
    output = {"S3OutputPath": f"{place}/answers", "S3FailurePath": f"{place}/failures"}
    found = create_endpoint(aws, "later", model, AsyncInferenceConfig={"OutputConfig": output})
    assert found["AsyncInferenceConfig"]["OutputConfig"] == output
    aws.client("s3").put_object(Bucket=aws.bucket, Key="later/in/a.jpg", Body=encoded(3))
    runtime = aws.client("sagemaker-runtime")
    with pytest.raises(ClientError, match="asynchronous"):
        runtime.invoke_endpoint(EndpointName="later", ContentType="image/jpeg", Body=encoded(3))
    answer = runtime.invoke_endpoint_async(
        EndpointName="later", ContentType="image/jpeg", InputLocation=f"{place}/in/a.jpg", InferenceId="mine"
    )
    assert answer["InferenceId"] == "mine"
    assert answer["OutputLocation"].startswith(f"{place}/answers/")
    (body,) = until(lambda: objects(aws, "later/answers"), bool).values()
    assert "predictions" in json.loads(body)
    failing = runtime.invoke_endpoint_async(
        EndpointName="later", ContentType="text/csv", InputLocation=f"{place}/in/a.jpg"
    )
    lying = until(lambda: objects(aws, "later/failures"), bool)
    assert failing["FailureLocation"].removeprefix(f"s3://{aws.bucket}/") in lying
    assert "415" in next(iter(lying.values())).decode()
    with pytest.raises(ClientError, match="not asynchronous"):
        runtime.invoke_endpoint_async(EndpointName="shared-endpoint", InputLocation=f"{place}/in/a.jpg")

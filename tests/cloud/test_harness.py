"""Tests of what stands for SageMaker: botocore accepts its answers, and what runs in it really runs."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from harness.client import SageMakerServer

from .conftest import encoded

IMAGE = "763104351884.dkr.ecr.eu-west-1.amazonaws.com/tensorflow-inference:2.20-cpu"


def until(ask: Callable[[], Any], wanted: Callable[[Any], bool], seconds: float = 60) -> Any:
    """Ask until the answer is wanted."""
    end = time.monotonic() + seconds
    while not wanted(found := ask()):
        assert time.monotonic() < end, f"still {found} after {seconds} s"
        time.sleep(0.1)
    return found


def at_rest(client: Any, name: str) -> dict[str, Any]:
    """Return an endpoint's description once nothing is done to it."""
    return until(
        lambda: client.describe_endpoint(EndpointName=name),
        lambda found: found["EndpointStatus"] not in ("Creating", "Updating"),
    )


def create_model(server: SageMakerServer, archive: Path, name: str, **environment: str) -> None:
    key = f"models/{name}.tar.gz"
    server.client("s3").upload_file(str(archive), server.bucket, key)
    container = {"Image": IMAGE, "ModelDataUrl": f"s3://{server.bucket}/{key}", "Environment": environment}
    server.client("sagemaker").create_model(
        ModelName=name, PrimaryContainer=container, ExecutionRoleArn=server.role
    )


def create_endpoint(
    server: SageMakerServer, name: str, model: str, *, serverless: bool = False, **config: Any
) -> dict[str, Any]:
    client = server.client("sagemaker")
    variant: dict[str, Any] = {"VariantName": "AllTraffic", "ModelName": model}
    if serverless:
        variant["ServerlessConfig"] = {"MemorySizeInMB": 2048, "MaxConcurrency": 2}
    else:
        variant |= {"InstanceType": "ml.c5.large", "InitialInstanceCount": 1}
    client.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant], **config)
    client.create_endpoint(EndpointName=name, EndpointConfigName=name)
    return at_rest(client, name)


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

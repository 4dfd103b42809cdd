"""Steps that tests of the harness, and of what is tested against it, take again and again."""

import io
import tarfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.client import SageMakerServer
from harness.s3 import keys_under

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


def ended(client: Any, name: str, seconds: float = 150) -> dict[str, Any]:
    """Return a training job's description once it has ended."""
    return until(
        lambda: client.describe_training_job(TrainingJobName=name),
        lambda found: found["TrainingJobStatus"] not in ("InProgress", "Stopping"),
        seconds,
    )


def log_of(server: SageMakerServer, group: str, prefix: str) -> list[str]:
    """Return the lines of all streams of a job; none while it has written none."""
    client = server.client("logs")
    try:
        streams = client.describe_log_streams(logGroupName=group, logStreamNamePrefix=prefix)["logStreams"]
    except client.exceptions.ResourceNotFoundException:
        return []
    return [
        event["message"]
        for stream in streams
        for page in client.get_paginator("filter_log_events").paginate(
            logGroupName=group, logStreamNames=[stream["logStreamName"]]
        )
        for event in page["events"]
    ]


def job(server: SageMakerServer, name: str, script: str, **changes: Any) -> dict[str, Any]:
    """Start a training job that runs a shell script, and return its description at once."""
    client = server.client("sagemaker")
    place = f"s3://{server.bucket}/{name}"
    request: dict[str, Any] = {
        "TrainingJobName": name,
        "AlgorithmSpecification": {
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["/bin/bash", "-c", script],
        },
        "RoleArn": server.role,
        "OutputDataConfig": {"S3OutputPath": f"{place}/jobs"},
        "CheckpointConfig": {"S3Uri": f"{place}/checkpoints"},
        "ResourceConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 10},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    }
    client.create_training_job(**{**request, **changes})
    return client.describe_training_job(TrainingJobName=name)


def objects(server: SageMakerServer, prefix: str) -> dict[str, bytes]:
    """Return what lies under a prefix of the bucket."""
    client = server.client("s3")
    keys = keys_under(client, f"s3://{server.bucket}/{prefix}")
    return {key: client.get_object(Bucket=server.bucket, Key=key)["Body"].read() for key in keys}


def channel(server: SageMakerServer, name: str, prefix: str, **source: str) -> dict[str, Any]:
    address = f"s3://{server.bucket}/{prefix}"
    data = {"S3DataType": "S3Prefix", "S3Uri": address, **source}
    return {"ChannelName": name, "DataSource": {"S3DataSource": data}}


def files_in(archive: bytes) -> dict[str, bytes]:
    """Return the files in a `.tar.gz`."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as packed:
        members = [(one.name, packed.extractfile(one)) for one in packed if one.isfile()]
        return {name: file.read() for name, file in members if file is not None}

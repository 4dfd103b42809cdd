"""Tests of training jobs in the harness.

Most jobs are a few lines of shell: what the platform does around a command, in a second or two each.
"""

import json
import shutil
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from harness.client import SageMakerServer
from harness.fixtures import lead_to
from harness.s3 import parts_of
from harness.steps import IMAGE, channel, ended, files_in, job, log_of, objects, until

import mri_tumor
from mri_tumor import cloud
from mri_tumor.cloud.container.job import METRICS


def test_a_job_gets_its_channels_and_settings_and_leaves_model_output_and_log(aws: SageMakerServer) -> None:
    aws.client("s3").put_object(Bucket=aws.bucket, Key="plain/data/deep/a.txt", Body=b"content")
    script = (
        "cd /opt/ml && cat input/data/train/deep/a.txt > model/a && cp input/config/*.json model/ && "
        "echo $TRAINING_JOB_NAME-$AWS_REGION-$GIVEN > output/data/names && "
        "echo 'loss 0.5' && echo 'loss 0.25'"
    )
    metrics = [{"Name": "loss", "Regex": "loss ([0-9.]+)"}, {"Name": "absent", "Regex": "absent ([0-9.]+)"}]
    found = job(
        aws,
        "plain",
        script,
        AlgorithmSpecification={
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["/bin/bash"],
            "ContainerArguments": ["-c", script],
            "MetricDefinitions": metrics,
        },
        InputDataConfig=[channel(aws, "train", "plain/data")],
        HyperParameters={"epochs": "3", "flag": "True"},
        Environment={"GIVEN": "value"},
        Tags=[{"Key": "project", "Value": "thesis"}],
    )
    assert found["TrainingJobStatus"] == "InProgress"
    assert "ModelArtifacts" not in found
    found = ended(aws.client("sagemaker"), "plain")
    assert found["TrainingJobStatus"] == "Completed", found
    assert [(one["MetricName"], one["Value"]) for one in found["FinalMetricDataList"]] == [("loss", 0.25)]
    lying = objects(aws, "plain/jobs")
    assert sorted(lying) == ["plain/jobs/plain/output/model.tar.gz", "plain/jobs/plain/output/output.tar.gz"]
    files = files_in(lying["plain/jobs/plain/output/model.tar.gz"])
    assert files["a"] == b"content"
    assert json.loads(files["hyperparameters.json"]) == {"epochs": "3", "flag": "True"}
    assert json.loads(files["inputdataconfig.json"])["train"]["TrainingInputMode"] == "File"
    assert json.loads(files["resourceconfig.json"])["hosts"] == ["algo-1"]
    output = files_in(lying["plain/jobs/plain/output/output.tar.gz"])
    assert output == {"names": b"plain-eu-west-1-value\n"}
    assert log_of(aws, "/aws/sagemaker/TrainingJobs", "plain/algo-1-") == ["loss 0.5", "loss 0.25"]


def test_a_failing_job_says_why(aws: SageMakerServer) -> None:
    job(
        aws,
        "failing",
        "echo kept > /opt/ml/checkpoints/a; printf 'no shards' > /opt/ml/output/failure; exit 3",
    )
    found = ended(aws.client("sagemaker"), "failing")
    assert (found["TrainingJobStatus"], found["SecondaryStatus"]) == ("Failed", "Failed")
    assert found["FailureReason"] == "AlgorithmError: no shards, exit code: 3"
    assert objects(aws, "failing/") == {"failing/checkpoints/a": b"kept\n"}


@pytest.mark.parametrize("address", ["s3://no-such-bucket/a", "s3://mri-tumor-tests/nothing/here"])
def test_a_job_without_its_data_fails_as_sagemakers_do(aws: SageMakerServer, address: str) -> None:
    data = {
        "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": address}},
        "ChannelName": "train",
    }
    name = f"no-data-{len(address)}"
    job(aws, name, "true", InputDataConfig=[data])
    found = ended(aws.client("sagemaker"), name)
    assert found["FailureReason"].startswith("ClientError: Data download failed"), found


def test_a_stopped_job_keeps_its_checkpoints_and_gets_sigterm_first(aws: SageMakerServer) -> None:
    client = aws.client("sagemaker")
    script = "cd /opt/ml/checkpoints; echo one > a; trap 'echo asked >> a; exit 0' TERM; sleep 60 & wait"
    job(aws, "stopping", script)
    until(lambda: objects(aws, "stopping/checkpoints"), bool)
    client.stop_training_job(TrainingJobName="stopping")
    assert client.describe_training_job(TrainingJobName="stopping")["TrainingJobStatus"] in (
        "Stopping",
        "Stopped",
    )
    found = ended(client, "stopping")
    assert (found["TrainingJobStatus"], found["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert objects(aws, "stopping/") == {"stopping/checkpoints/a": b"one\nasked\n"}
    with pytest.raises(ClientError, match="ValidationException"):
        client.stop_training_job(TrainingJobName="stopping")


def test_a_job_that_runs_too_long_is_stopped(aws: SageMakerServer) -> None:
    job(aws, "long", "echo a > /opt/ml/model/a; sleep 60", StoppingCondition={"MaxRuntimeInSeconds": 1})
    found = ended(aws.client("sagemaker"), "long")
    assert (found["TrainingJobStatus"], found["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    assert found["ModelArtifacts"]["S3ModelArtifacts"].endswith("/model.tar.gz")


SPOT: dict[str, Any] = {
    "EnableManagedSpotTraining": True,
    "StoppingCondition": {"MaxRuntimeInSeconds": 60, "MaxWaitTimeInSeconds": 90},
}


@pytest.mark.parametrize("order", ["by name", "after a checkpoint"])
def test_an_interrupted_spot_job_goes_on_from_its_checkpoints(aws: SageMakerServer, order: str) -> None:
    name = f"spot-{order.replace(' ', '-')}"
    script = "cd /opt/ml/checkpoints; if [ -f a ]; then cp a ../model/; else echo first > a; sleep 60; fi"
    if order == "after a checkpoint":
        aws.interrupt_spot_jobs()
    job(aws, name, script, **SPOT)
    if order == "by name":
        until(lambda: objects(aws, f"{name}/checkpoints"), bool)
        aws.interrupt(name)
    found = ended(aws.client("sagemaker"), name)
    states = [step["Status"] for step in found["SecondaryStatusTransitions"]]
    once = ["Downloading", "Training"]
    assert states == ["Starting", *once, "Interrupted", "Restarting", *once, "Uploading", "Completed"]
    assert found["BillableTimeInSeconds"] <= found["TrainingTimeInSeconds"]


def test_two_hosts_share_the_keys_of_a_channel(aws: SageMakerServer) -> None:
    for number in range(4):
        aws.client("s3").put_object(Bucket=aws.bucket, Key=f"hosts/data/{number}", Body=b"")
    script = (
        "cd /opt/ml; resources=input/config/resourceconfig.json; "
        'mine=$(grep -o \'"current_host": "[0-9.]*\' $resources | cut -c18-); '
        "ls input/data/train > model/$mine; ls input/data/all | wc -l >> model/$mine"
    )
    resources = {"InstanceType": "ml.m5.xlarge", "InstanceCount": 2, "VolumeSizeInGB": 10}
    inputs = [
        channel(aws, "train", "hosts/data/", S3DataDistributionType="ShardedByS3Key"),
        channel(aws, "all", "hosts/data/", S3DataDistributionType="FullyReplicated"),
    ]
    job(aws, "hosts", script, ResourceConfig=resources, InputDataConfig=inputs)
    found = ended(aws.client("sagemaker"), "hosts")
    assert found["TrainingJobStatus"] == "Completed", found
    model = files_in(objects(aws, "hosts/jobs")["hosts/jobs/hosts/output/model.tar.gz"])
    files = {name: content.split() for name, content in model.items()}
    assert files == {"127.0.0.1": [b"0", b"2", b"4"], "127.0.0.2": [b"1", b"3", b"4"]}


def test_an_isolated_job_has_no_way_to_aws(aws: SageMakerServer) -> None:
    job(aws, "isolated", "env | grep ^AWS_ | sort", EnableNetworkIsolation=True)
    assert ended(aws.client("sagemaker"), "isolated")["EnableNetworkIsolation"] is True
    lines = log_of(aws, "/aws/sagemaker/TrainingJobs", "isolated/")
    assert lines == ["AWS_DEFAULT_REGION=eu-west-1", "AWS_REGION=eu-west-1"]


def test_a_name_is_used_once_and_what_is_missing_is_said(aws: SageMakerServer) -> None:
    client = aws.client("sagemaker")
    job(aws, "once", "true")
    with pytest.raises(client.exceptions.ResourceInUse):
        job(aws, "once", "true")
    with pytest.raises(ClientError, match="Requested resource not found"):
        client.describe_training_job(TrainingJobName="never")
    with pytest.raises(ClientError, match="Could not assume role"):
        job(aws, "roleless", "true", RoleArn="arn:aws:iam::123456789012:role/nobody")
    with pytest.raises(ClientError, match="regular expression pattern"):
        job(aws, "under_score", "true")
    with pytest.raises(ClientError, match="MaxWaitTimeInSeconds"):
        job(aws, "spot-unlimited", "true", EnableManagedSpotTraining=True)
    listed = client.list_training_jobs(NameContains="once", SortOrder="Ascending", SortBy="CreationTime")
    assert [one["TrainingJobName"] for one in listed["TrainingJobSummaries"]] == ["once"]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder that holds the library, as a job brings it along."""
    folder = tmp_path_factory.mktemp("source")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(Path(mri_tumor.__file__).parent, folder / "mri_tumor", ignore=ignored)
    return folder


@pytest.fixture(scope="module")
def environment(sagemaker_server: SageMakerServer) -> Iterator[SageMakerServer]:
    """Return the server, with the environment of `aws` for as long as this module runs."""
    with pytest.MonkeyPatch.context() as patch:
        lead_to(sagemaker_server, patch)
        yield sagemaker_server


@pytest.fixture(scope="module")
def channels(sagemaker_server: SageMakerServer, shards: dict[str, Path]) -> dict[str, str]:
    """Return the addresses of the shards in S3."""
    client = sagemaker_server.client("s3")
    for name, folder in shards.items():
        for path in folder.rglob("*"):
            if path.is_file():
                key = f"shards/{name}/{path.relative_to(folder).as_posix()}"
                client.upload_file(str(path), sagemaker_server.bucket, key)
    return {name: f"s3://{sagemaker_server.bucket}/shards/{name}" for name in shards}


def trainer_of(
    server: SageMakerServer, source: Path, name: str, *, spot: bool = False, **settings: Any
) -> Any:
    """Return the SDK's trainer of a job."""
    import boto3

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the SDK's own, about its own modules
        from sagemaker.core.helper.session_helper import Session
        from sagemaker.core.shapes import MetricDefinition
        from sagemaker.core.training import configs
        from sagemaker.train import ModelTrainer

    place = f"s3://{server.bucket}/{name}"
    return ModelTrainer(
        training_image="763104351884.dkr.ecr.eu-west-1.amazonaws.com/tensorflow-training:2.21-cpu",
        source_code=configs.SourceCode(
            source_dir=str(source),
            entry_script="mri_tumor/cloud/container/train.py",
            ignore_patterns=[],  # with any the SDK leaves a folder behind, and Python warns of it
        ),
        compute=configs.Compute(
            instance_type="ml.m5.xlarge",
            instance_count=1,
            enable_managed_spot_training=spot,
        ),
        stopping_condition=configs.StoppingCondition(
            max_runtime_in_seconds=300,
            max_wait_time_in_seconds=400 if spot else None,
        ),
        output_data_config=configs.OutputDataConfig(s3_output_path=f"{place}/jobs"),
        checkpoint_config=configs.CheckpointConfig(s3_uri=f"{place}/checkpoints"),
        hyperparameters={"model": "small_cnn", "width": 2, "batch_size": 8, "rotation": 10} | settings,
        environment={"TF_ENABLE_ONEDNN_OPTS": "1"},
        base_job_name=name,
        role=server.role,
        sagemaker_session=Session(boto3.Session()),
    ).with_metric_definitions(
        [MetricDefinition(name=metric, regex=regex) for metric, regex in METRICS.items()]
    )


def inputs_of(channels: dict[str, str]) -> list[Any]:
    from sagemaker.core.training.configs import InputData

    return [InputData(channel_name=name, data_source=address) for name, address in channels.items()]


def train(server: SageMakerServer, source: Path, channels: dict[str, str], name: str, **settings: Any) -> str:
    """Start a job with the SDK's trainer and return its name."""
    trainer = trainer_of(server, source, name, **settings)
    trainer.train(input_data_config=inputs_of(channels), wait=False)
    return str(trainer._latest_training_job.training_job_name)


@pytest.fixture(scope="module")
def trained(environment: SageMakerServer, source: Path, channels: dict[str, str]) -> dict[str, Any]:
    """Return the description of a finished job."""
    name = train(environment, source, channels, "shared", epochs=2)
    return ended(environment.client("sagemaker"), name)


@pytest.mark.slow
def test_a_training_job_runs_the_librarys_entry_through_the_sdks_own_driver(
    aws: SageMakerServer, trained: dict[str, Any], tmp_path: Path
) -> None:
    assert trained["TrainingJobStatus"] == "Completed", trained.get("FailureReason")
    states = [step["Status"] for step in trained["SecondaryStatusTransitions"]]
    assert states == ["Starting", "Downloading", "Training", "Uploading", "Completed"]
    assert {one["MetricName"] for one in trained["FinalMetricDataList"]} == set(METRICS)
    assert 0 < trained["BillableTimeInSeconds"] <= trained["TrainingTimeInSeconds"]
    bucket, key = parts_of(trained["ModelArtifacts"]["S3ModelArtifacts"])
    aws.client("s3").download_file(bucket, key, str(tmp_path / "model.tar.gz"))
    cloud.validate_package(tmp_path / "model.tar.gz")
    lines = log_of(aws, "/aws/sagemaker/TrainingJobs", f"{trained['TrainingJobName']}/algo-1-")
    assert any("epoch 2/2" in line for line in lines)
    assert any("Running Basic Script driver" in line for line in lines)


@pytest.mark.slow
def test_an_interrupted_spot_job_of_the_librarys_goes_on_where_it_was(
    aws: SageMakerServer, source: Path, channels: dict[str, str]
) -> None:
    aws.interrupt_spot_jobs()
    name = train(aws, source, channels, "spot-real", spot=True, epochs=3)
    found = ended(aws.client("sagemaker"), name)
    assert found["TrainingJobStatus"] == "Completed", found.get("FailureReason")
    assert "Interrupted" in [step["Status"] for step in found["SecondaryStatusTransitions"]]
    lines = log_of(aws, "/aws/sagemaker/TrainingJobs", f"{name}/algo-1-")
    assert sum("epoch 3/3" in line for line in lines) == 1
    assert sum("epoch 1/3" in line for line in lines) == 1


@pytest.mark.slow
def test_the_sdks_tuner_runs_the_librarys_entry(
    aws: SageMakerServer, source: Path, channels: dict[str, str]
) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sagemaker.core.parameter import CategoricalParameter, ContinuousParameter
        from sagemaker.train.tuner import HyperparameterTuner

    tuner = HyperparameterTuner(
        model_trainer=trainer_of(aws, source, "tuner-real", epochs=1),
        objective_metric_name="val_accuracy",
        hyperparameter_ranges={
            "learning_rate": ContinuousParameter(1e-4, 1e-2, scaling_type="Logarithmic"),
            "model": CategoricalParameter(["small_cnn"]),
        },
        metric_definitions=[{"Name": metric, "Regex": regex} for metric, regex in METRICS.items()],
        max_jobs=1,
        max_parallel_jobs=1,
    )
    tuner.tune(inputs=inputs_of(channels), job_name="tuner-real", wait=False)
    tuner.model_trainer._tuner_temp_dir.cleanup()  # which the SDK leaves to Python, and Python warns of it
    client = aws.client("sagemaker")
    found = until(
        lambda: client.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName="tuner-real"),
        lambda found: found["HyperParameterTuningJobStatus"] != "InProgress",
        150,
    )
    assert found["HyperParameterTuningJobStatus"] == "Completed", found
    best = found["BestTrainingJob"]
    assert 0 <= best["FinalHyperParameterTuningJobObjectiveMetric"]["Value"] <= 1
    assert best["TunedHyperParameters"]["model"] == '"small_cnn"'


def test_what_the_platform_does_is_recorded_apart_and_outputs_are_encrypted(aws: SageMakerServer) -> None:
    key = aws.client("kms").create_key()["KeyMetadata"]["Arn"]
    aws.client("s3").put_object(Bucket=aws.bucket, Key="secret/data/a", Body=b"")
    mark = aws.mark()
    job(
        aws,
        "secret",
        "echo a > /opt/ml/model/a; echo line",
        InputDataConfig=[channel(aws, "train", "secret/data")],
        OutputDataConfig={"S3OutputPath": f"s3://{aws.bucket}/secret/jobs", "KmsKeyId": key},
    )
    found = ended(aws.client("sagemaker"), "secret")
    wanted = {("s3", "ListObjectsV2"), ("s3", "GetObject"), ("s3", "PutObject"), ("logs", "PutLogEvents")}
    assert wanted <= set(aws.calls(mark, principal="platform"))
    assert {service for service, _ in aws.calls(mark)} == {"sagemaker"}
    bucket, name = parts_of(found["ModelArtifacts"]["S3ModelArtifacts"])
    head = aws.client("s3").head_object(Bucket=bucket, Key=name)
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", key)


def test_a_job_without_a_limit_gets_the_platforms(aws: SageMakerServer) -> None:
    client = aws.client("sagemaker")
    client.create_training_job(
        TrainingJobName="unlimited",
        AlgorithmSpecification={
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["/bin/true"],
        },
        RoleArn=aws.role,
        OutputDataConfig={"S3OutputPath": f"s3://{aws.bucket}/unlimited"},
        ResourceConfig={"InstanceType": "ml.m5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 10},
    )
    found = ended(client, "unlimited")
    assert found["TrainingJobStatus"] == "Completed", found
    assert found["StoppingCondition"] == {"MaxRuntimeInSeconds": 86400}
    # It left no model, and no artifacts are named.
    assert "ModelArtifacts" not in found

"""Training jobs on SageMaker, as a server on this machine stands for it: they really train."""

import logging
import signal
import tarfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.client import SageMakerServer

from mri_tumor import cloud, dataset
from mri_tumor.cloud.aws.endpoints import hosting
from mri_tumor.cloud.aws.jobs import following, training, tuner
from mri_tumor.cloud.aws.jobs.source import TRAIN, pack_source
from mri_tumor.errors import ArgumentError, CloudError, TrainingError

SETTINGS = {"model": "small_cnn", "width": 2, "epochs": 2, "batch_size": 8, "rotation": 10, "seed": 3}


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (hosting, training, tuner):
        monkeypatch.setattr(module, "_PAUSE", 0.3)


@pytest.fixture
def place(aws: SageMakerServer) -> dict[str, str]:
    return {"role": aws.role, "output": f"s3://{aws.bucket}/jobs-of-tests"}


def estimator_of(place: dict[str, str], **options: object) -> cloud.Estimator:
    settings = {**SETTINGS, **options.pop("hyperparameters", {})}  # type: ignore[dict-item]
    return cloud.Estimator("ml.m5.large", hyperparameters=settings, **place, **options)  # type: ignore[arg-type]


def keys(aws: SageMakerServer, prefix: str) -> list[str]:
    pages = aws.client("s3").get_paginator("list_objects_v2").paginate(Bucket=aws.bucket, Prefix=prefix)
    return [one["Key"] for page in pages for one in page.get("Contents", [])]


class Saver(logging.Handler):
    """Keeps the library's log lines."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@pytest.fixture
def lines() -> Iterator[list[str]]:
    saver, logger = Saver(), logging.getLogger("mri_tumor")
    level = logger.level
    logger.addHandler(saver)
    logger.setLevel(logging.INFO)
    yield saver.lines
    logger.removeHandler(saver)
    logger.setLevel(level)


@pytest.mark.slow
def test_the_story_on_sagemaker(
    shards: dict[str, Path],
    estimator: cloud.Estimator,
    catalog: dataset.Catalog,
    place: dict[str, str],
    aws: SageMakerServer,
    lines: list[str],
) -> None:
    there = estimator_of(place, job_name="story", tags={"project": "thesis"}).fit(shards)
    assert there.status == "Completed"
    assert there.training_job_name.startswith("mri-tumor-story-2")
    # The same entry with the same seed gives what it gives here.
    here = estimator.classifier()
    assert [row["loss"] for row in there.history] == pytest.approx([row["loss"] for row in estimator.history])
    for one, other in zip(there.classifier().predict(catalog), here.predict(catalog), strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-4)
    assert there.metrics["val_loss"] == pytest.approx(there.history[-1]["val_loss"], rel=1e-3)
    assert any(line.startswith("epoch 2/2") for line in lines)
    assert any("Training" in line and there.training_job_name in line for line in lines)

    again = cloud.Estimator.attach(there.training_job_name)
    assert again.model_data == there.model_data
    assert again.hyperparameters == there.hyperparameters
    assert (again.job_name, again.output) == ("mri-tumor-story", str(there.output))
    with again.deploy(instance_type="ml.m5.large") as endpoint:
        assert endpoint.predict(catalog)[0].top == here.predict(catalog)[0].top
    with again.deploy(instance_type="local") as endpoint:
        assert endpoint.predict(catalog)[0].top == here.predict(catalog)[0].top
    with pytest.raises(ArgumentError, match="instance_type is None"):
        again.deploy()

    card = aws.client("sagemaker").describe_training_job(TrainingJobName=there.training_job_name)
    assert card["AlgorithmSpecification"]["TrainingImage"].endswith("tensorflow-training:2.21-cpu-py312")
    tags = aws.client("sagemaker").list_tags(ResourceArn=card["TrainingJobArn"])["Tags"]
    assert {tag["Key"]: tag["Value"] for tag in tags}["project"] == "thesis"

    # The same data and the same library are not sent again; the series goes on from its checkpoints.
    before, lines[:] = keys(aws, "jobs-of-tests/"), []
    there.fit(shards)
    new = set(keys(aws, "jobs-of-tests/")) - set(before)
    assert all(f"/{there.training_job_name}/" in key for key in new)
    assert not any("/data/" in key and "output" not in key for key in new)
    assert not any(line.startswith("epoch 1/2") for line in lines)


@pytest.mark.slow
def test_a_failing_job_says_why(shards: dict[str, Path], place: dict[str, str]) -> None:
    failing = estimator_of(place, hyperparameters={"width": "many"})
    with pytest.raises(TrainingError, match="width is 'many'") as caught:
        failing.fit(shards)
    assert failing.training_job_name in str(caught.value)
    assert "Traceback" not in str(caught.value)
    assert failing.status == "Failed"
    with pytest.raises(TrainingError, match="is Failed"):
        _ = failing.model_data


@pytest.mark.slow
def test_a_spot_job_that_is_interrupted_goes_on(
    shards: dict[str, Path], place: dict[str, str], aws: SageMakerServer
) -> None:
    aws.interrupt_spot_jobs()
    settings = {"epochs": 12, "patience": None}
    spot = estimator_of(place, spot=True, max_run=1200, hyperparameters=settings).fit(shards)
    assert [row["epoch"] for row in spot.history] == list(range(12))
    card = aws.client("sagemaker").describe_training_job(TrainingJobName=spot.training_job_name)
    assert card["StoppingCondition"] == {"MaxRuntimeInSeconds": 1200, "MaxWaitTimeInSeconds": 2400}
    states = [state["Status"] for state in card["SecondaryStatusTransitions"]]
    assert "Interrupted" in states


@pytest.mark.slow
def test_ctrl_c_stops_the_job_and_keeps_its_checkpoints(
    shards: dict[str, Path], place: dict[str, str], aws: SageMakerServer
) -> None:
    settings = {"epochs": 400, "patience": None}
    long = estimator_of(place, job_name="long", hyperparameters=settings)
    long.fit(shards, wait=False)
    assert long.status in ("InProgress", "Starting")
    wait_for_checkpoint(aws, "long")
    timer = threading.Timer(1, lambda: signal.raise_signal(signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        long.wait()
    with pytest.raises(TrainingError, match="was stopped"):
        long.wait()
    assert long.status == "Stopped"
    assert any("/checkpoints/run/" in key for key in keys(aws, "jobs-of-tests/jobs/mri-tumor-long/"))
    long.stop()  # one that has ended stays as it is


def wait_for_checkpoint(aws: SageMakerServer, name: str) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if any("history.csv" in key for key in keys(aws, f"jobs-of-tests/jobs/mri-tumor-{name}/checkpoints")):
            return
        time.sleep(0.5)
    raise AssertionError("no checkpoint came")


@pytest.mark.slow
def test_two_instances_train_one_model(shards: dict[str, Path], place: dict[str, str]) -> None:
    settings = {"dropout": 0.0}  # workers drop places of their own
    alone = estimator_of(place, hyperparameters=settings).fit(shards)
    two = estimator_of(place, instance_count=2, hyperparameters=settings).fit(shards)
    losses = [[row["loss"] for row in one.history] for one in (alone, two)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    assert two.classifier().labels == alone.classifier().labels


@pytest.mark.slow
def test_the_best_job_of_a_tuning_comes_back(shards: dict[str, Path], place: dict[str, str]) -> None:
    ranges = {"learning_rate": (1e-4, 1e-2, "log"), "batch_size": (4, 8), "width": [2, 4]}
    base = estimator_of(place, hyperparameters={"epochs": 1})
    best = base.tune(shards, ranges, objective="val_loss", max_jobs=2, max_parallel_jobs=1)
    assert len(best.trials) == 2
    assert best.metrics["val_loss"] == min(trial.value for trial in best.trials)
    for trial in best.trials:
        assert trial.hyperparameters.keys() == ranges.keys()
    assert len(best.classifier().labels) == 4


@pytest.mark.slow
def test_ctrl_c_stops_a_tuning(
    shards: dict[str, Path],
    place: dict[str, str],
    aws: SageMakerServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sleep = time.sleep

    def interrupt(_: float) -> None:
        monkeypatch.setattr(following.time, "sleep", sleep)
        raise KeyboardInterrupt

    monkeypatch.setattr(following.time, "sleep", interrupt)
    base = estimator_of(place, hyperparameters={"epochs": 400, "patience": None})
    with pytest.raises(KeyboardInterrupt):
        base.tune(shards, {"batch_size": (4, 8)}, objective="val_loss", max_jobs=2, max_parallel_jobs=1)
    client = aws.client("sagemaker")
    tunings = client.list_hyper_parameter_tuning_jobs()["HyperParameterTuningJobSummaries"]
    assert {one["HyperParameterTuningJobStatus"] for one in tunings} <= set(following.ENDED)
    jobs = client.list_training_jobs(StatusEquals="InProgress")["TrainingJobSummaries"]
    assert jobs == []


def test_what_is_sent_is_what_was_asked_for(
    shards: dict[str, Path], place: dict[str, str], aws: SageMakerServer
) -> None:
    """The job itself is stopped at once: what AWS was asked for is all that counts here."""
    options = {
        "instance_count": 2,
        "volume_size": 50,
        "input_mode": "FastFile",
        "max_run": 600,
        "environment": {"A": "b"},
        "subnets": ["subnet-1"],
        "security_group_ids": ["sg-1"],
        "kms_key": "alias/study",
        "network_isolation": True,
    }
    kms = aws.client("kms")
    kms.create_alias(AliasName="alias/study", TargetKeyId=kms.create_key()["KeyMetadata"]["KeyId"])
    job = estimator_of(place, **options).fit(shards, wait=False)
    card = aws.client("sagemaker").describe_training_job(TrainingJobName=job.training_job_name)
    job.stop()
    assert card["ResourceConfig"] == {
        "InstanceType": "ml.m5.large",
        "InstanceCount": 2,
        "VolumeSizeInGB": 50,
        "VolumeKmsKeyId": "alias/study",
    }
    assert card["OutputDataConfig"]["KmsKeyId"] == "alias/study"
    assert card["VpcConfig"] == {"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]}
    assert card["EnableNetworkIsolation"] is True
    assert card["EnableInterContainerTrafficEncryption"] is True
    assert card["StoppingCondition"]["MaxRuntimeInSeconds"] == 600
    assert card["Environment"]["A"] == "b"
    modes = {one["ChannelName"]: one.get("InputMode") for one in card["InputDataConfig"]}
    assert modes["train"] == modes["validation"] == "FastFile"
    assert card["CheckpointConfig"]["S3Uri"].startswith(f"{place['output']}/jobs/mri-tumor-")
    again = cloud.Estimator.attach(job.training_job_name)
    assert again.machines == job.machines.__class__(**{**vars(job.machines), "image": again.machines.image})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"output": "jobs"}, "s3://bucket/prefix"),
        ({"role": "execution"}, "arn:aws:iam"),
        ({"hyperparameters": {"weights": "imagenet"}, "network_isolation": True}, "weights as a channel"),
        ({"subnets": "subnet-1"}, "subnets is 'subnet-1'"),
        ({"job_name": "a" * 60}, "at most 38"),
        ({"hyperparameters": {"epochs": "many"}}, "epochs is 'many'"),
        ({"hyperparameters": {"preset": "fast"}, "instance_count": 2}, "solves its head at once"),
        ({"kms_key": ""}, "kms_key is ''"),
    ],
)
def test_arguments_are_checked_before_anything_is_sent(
    shards: dict[str, Path], place: dict[str, str], aws: SageMakerServer, changes: dict, reason: str
) -> None:
    mark = aws.mark()
    given = {**place, "hyperparameters": SETTINGS, **changes}
    with pytest.raises(ArgumentError, match=reason):
        cloud.Estimator("ml.m5.large", **given).fit(shards, wait=False)
    assert not aws.calls(mark)


def test_what_aws_refuses_is_said(
    shards: dict[str, Path], place: dict[str, str], aws: SageMakerServer
) -> None:
    aws.fail("CreateTrainingJob", "denied", count=9)
    with pytest.raises(CloudError, match=r"AccessDenied.*policy"):
        estimator_of(place).fit(shards)
    aws.clear()
    missing = {**place, "output": "s3://there-is-no-such-bucket/x"}
    with pytest.raises(CloudError, match=r"NoSuchBucket|404|Not Found") as caught:
        estimator_of(missing).fit(shards)
    assert caught.value.code in ("NoSuchBucket", "NoSuchKey")
    with pytest.raises(CloudError, match="resource not found") as caught:
        cloud.Estimator.attach("mri-tumor-nothing")
    assert caught.value.code == "ResourceNotFound"


def test_nothing_is_reported_to_anybody(
    shards: dict[str, Path], place: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The SDK reports each call to AWS unless it is told not to; here its settings say nothing of that."""
    from sagemaker.core.telemetry import telemetry_logging

    (tmp_path / "empty.yaml").write_text("SchemaVersion: '1.0'\n", encoding="utf-8")
    for kind in ("ADMIN", "USER"):
        monkeypatch.setenv(f"SAGEMAKER_{kind}_CONFIG_OVERRIDE", str(tmp_path / "empty.yaml"))
    reports: list[str] = []
    monkeypatch.setattr(
        telemetry_logging, "_send_telemetry_request", lambda *report: reports.append(str(report))
    )
    estimator_of(place).fit(shards, wait=False).stop()
    assert reports == []


def test_the_source_holds_the_library_and_is_the_same_each_time(tmp_path: Path) -> None:
    first, second = pack_source(tmp_path / "a.tar.gz"), pack_source(tmp_path / "b.tar.gz")
    assert first.read_bytes() == second.read_bytes()
    with tarfile.open(first) as tar:
        names = tar.getnames()
    assert TRAIN in names
    assert not [name for name in names if "__pycache__" in name or "/cli/" in name]

"""Tests of batch transform, processing and tuning jobs in the harness."""

import io
import json
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from harness.client import SageMakerServer
from harness.steps import IMAGE, create_model, log_of, objects, until

from .conftest import encoded


@pytest.fixture(scope="module")
def model(sagemaker_server: SageMakerServer, archive: Path) -> str:
    create_model(sagemaker_server, archive, "model-of-jobs")
    return "model-of-jobs"


def put(server: SageMakerServer, key: str, body: bytes) -> None:
    server.client("s3").put_object(Bucket=server.bucket, Key=key, Body=body)


def transform(server: SageMakerServer, name: str, model: str, prefix: str, **changes: Any) -> None:
    source = {"S3DataType": "S3Prefix", "S3Uri": f"s3://{server.bucket}/{prefix}"}
    request: dict[str, Any] = {
        "TransformJobName": name,
        "ModelName": model,
        "BatchStrategy": "SingleRecord",
        "TransformInput": {"DataSource": {"S3DataSource": source}, "ContentType": "image/jpeg"},
        "TransformOutput": {"S3OutputPath": f"s3://{server.bucket}/{name}/out", "Accept": "application/json"},
        "TransformResources": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1},
    }
    server.client("sagemaker").create_transform_job(**{**request, **changes})


def transformed(server: SageMakerServer, name: str) -> dict[str, Any]:
    client = server.client("sagemaker")
    return until(
        lambda: client.describe_transform_job(TransformJobName=name),
        lambda found: found["TransformJobStatus"] not in ("InProgress", "Stopping"),
    )


def test_a_transform_job_answers_each_object_with_the_packages_handler(
    aws: SageMakerServer, model: str, classifier: Any
) -> None:
    for number in range(3):
        put(aws, f"batch/in/deep/{number}.jpg", encoded(number))
    transform(aws, "batch", model, "batch/in/", MaxConcurrentTransforms=2)
    assert aws.client("sagemaker").describe_transform_job(TransformJobName="batch")["ModelName"] == model
    assert transformed(aws, "batch")["TransformJobStatus"] == "Completed"
    answers = objects(aws, "batch/out")
    assert sorted(answers) == [f"batch/out/deep/{number}.jpg.out" for number in range(3)]
    expected = classifier.predict([encoded(number) for number in range(3)])
    for (_, body), one in zip(sorted(answers.items()), expected, strict=True):
        assert json.loads(body)["predictions"][0]["top"] == one.top


def test_one_bad_object_fails_a_transform_job_and_leaves_no_results(aws: SageMakerServer, model: str) -> None:
    put(aws, "bad-batch/in/a.jpg", encoded(1))
    put(aws, "bad-batch/in/b.jpg", b"no picture")
    transform(aws, "bad-batch", model, "bad-batch/in/")
    found = transformed(aws, "bad-batch")
    assert found["TransformJobStatus"] == "Failed"
    assert found["FailureReason"] == "AlgorithmError: See job logs for more information"
    lines = log_of(aws, "/aws/sagemaker/TransformJobs", "bad-batch/")
    assert any("bad-batch/in/b.jpg: Bad HTTP status received from algorithm: 500" in line for line in lines)
    assert objects(aws, "bad-batch/out") == {}


def test_transform_jobs_have_limits_environments_and_ends(aws: SageMakerServer, model: str) -> None:
    put(aws, "limits/in/a.jpg", encoded(1))
    put(aws, "limits/large/a.jpg", bytes(2**20 + 1))
    transform(aws, "limited", model, "limits/in/", Environment={"MRI_TUMOR_MAX_BODY": "1"})
    transform(aws, "too-large", model, "limits/large/", MaxPayloadInMB=1)
    transform(aws, "nothing-there", model, "limits/nothing/")
    client = aws.client("sagemaker")
    client.stop_transform_job(TransformJobName="limited")
    assert transformed(aws, "limited")["TransformJobStatus"] in ("Stopped", "Failed")
    assert transformed(aws, "too-large")["FailureReason"].startswith("ClientError")
    assert "No S3 objects" in transformed(aws, "nothing-there")["FailureReason"]
    with pytest.raises(client.exceptions.ResourceInUse):
        transform(aws, "too-large", model, "limits/large/")
    with pytest.raises(ClientError, match="Could not find model"):
        transform(aws, "modelless", "never", "limits/in/")
    with pytest.raises(ClientError, match="cannot be stopped"):
        client.stop_transform_job(TransformJobName="too-large")
    listed = client.list_transform_jobs(NameContains="too-large", StatusEquals="Failed")
    assert [one["TransformJobName"] for one in listed["TransformJobSummaries"]] == ["too-large"]


def process(server: SageMakerServer, name: str, script: str, **changes: Any) -> None:
    place = f"s3://{server.bucket}/{name}"
    paths = {"in": "/opt/ml/processing/in", "out": "/opt/ml/processing/out"}
    source = {
        "S3Uri": f"{place}/in/",
        "LocalPath": paths["in"],
        "S3DataType": "S3Prefix",
        "S3InputMode": "File",
    }
    source["S3DataDistributionType"] = "ShardedByS3Key"
    output = {"S3Uri": f"{place}/out", "LocalPath": paths["out"], "S3UploadMode": "EndOfJob"}
    request: dict[str, Any] = {
        "ProcessingJobName": name,
        "ProcessingInputs": [{"InputName": "data", "S3Input": source}],
        "ProcessingOutputConfig": {"Outputs": [{"OutputName": "out", "S3Output": output}]},
        "ProcessingResources": {
            "ClusterConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 10}
        },
        "AppSpecification": {"ImageUri": IMAGE, "ContainerEntrypoint": ["/bin/bash", "-c", script]},
        "RoleArn": server.role,
    }
    put(server, f"{name}/in/a", b"a")
    put(server, f"{name}/in/b", b"b")
    server.client("sagemaker").create_processing_job(**{**request, **changes})


def processed(server: SageMakerServer, name: str) -> dict[str, Any]:
    client = server.client("sagemaker")
    return until(
        lambda: client.describe_processing_job(ProcessingJobName=name),
        lambda found: found["ProcessingJobStatus"] not in ("InProgress", "Stopping"),
    )


def test_a_processing_job_shares_its_inputs_among_hosts_and_keeps_its_outputs(aws: SageMakerServer) -> None:
    script = (
        "cd /opt/ml; for path in processing/in/*; do "
        'cp $path "$OUT/$(basename $path)-$(ls processing/in)"; done; '
        "grep -o 127.0.0.. config/resourceconfig.json | head -1"
    )
    resources = {"InstanceType": "ml.m5.xlarge", "InstanceCount": 2, "VolumeSizeInGB": 10}
    process(
        aws,
        "shared-work",
        script,
        ProcessingResources={"ClusterConfig": resources},
        Environment={"OUT": "/opt/ml/processing/out"},
    )
    found = processed(aws, "shared-work")
    assert found["ProcessingJobStatus"] == "Completed", found
    # Each host saw one file only.
    assert objects(aws, "shared-work/out") == {"shared-work/out/a-a": b"a", "shared-work/out/b-b": b"b"}
    lines = log_of(aws, "/aws/sagemaker/ProcessingJobs", "shared-work/")
    assert sorted(lines) == ["127.0.0.1", "127.0.0.2"]


def test_a_failing_processing_job_leaves_its_message(aws: SageMakerServer) -> None:
    process(aws, "bad-work", "echo x > /opt/ml/processing/out/x; printf why > /opt/ml/output/message; exit 4")
    found = processed(aws, "bad-work")
    assert found["ProcessingJobStatus"] == "Failed"
    assert found["ExitMessage"] == "why"
    assert found["FailureReason"] == "AlgorithmError: , exit code: 4"
    assert objects(aws, "bad-work/out") == {}


def test_processing_jobs_are_stopped_and_limited(aws: SageMakerServer) -> None:
    client = aws.client("sagemaker")
    process(aws, "stopped-work", "sleep 60")
    client.stop_processing_job(ProcessingJobName="stopped-work")
    process(aws, "long-work", "sleep 60", StoppingCondition={"MaxRuntimeInSeconds": 1})
    assert processed(aws, "stopped-work")["ProcessingJobStatus"] == "Stopped"
    assert "MaxRuntimeInSeconds" in processed(aws, "long-work")["FailureReason"]
    with pytest.raises(client.exceptions.ResourceInUse):
        process(aws, "long-work", "true")
    listed = client.list_processing_jobs(NameContains="long-work")["ProcessingJobSummaries"]
    assert [one["ProcessingJobStatus"] for one in listed] == ["Failed"]


PROGRAM = """
import sys, os, json, time
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
files = sorted(os.listdir(os.environ["SM_CHANNEL_TRAIN"]))
print("given", json.dumps(given), os.environ["SM_HP_EPOCHS"], files)
open(os.environ["SM_MODEL_DIR"] + "/a", "w").write("model")
time.sleep(0.3)
if given["--kind"] == "bad":
    sys.exit(1)
print("score", float(given["--rate"]))
"""


def tune(server: SageMakerServer, name: str, kinds: list[str], **limits: int) -> None:
    """Start a tuning job as version 3 of the SDK does: the source in an archive, no command of its own."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:gz") as packed:
        entry = tarfile.TarInfo("program.py")
        entry.size = len(PROGRAM)
        packed.addfile(entry, io.BytesIO(PROGRAM.encode()))
    put(server, f"{name}/source.tar.gz", data.getvalue())
    put(server, f"{name}/train/a", b"")
    place = f"s3://{server.bucket}/{name}"
    rate = {"Name": "rate", "MinValue": "0.001", "MaxValue": "0.1", "ScalingType": "Logarithmic"}
    source = {"S3DataType": "S3Prefix", "S3Uri": f"{place}/train"}
    server.client("sagemaker").create_hyper_parameter_tuning_job(
        HyperParameterTuningJobName=name,
        HyperParameterTuningJobConfig={
            "Strategy": "Bayesian",
            "HyperParameterTuningJobObjective": {"Type": "Maximize", "MetricName": "score"},
            "ResourceLimits": {"MaxNumberOfTrainingJobs": 4, "MaxParallelTrainingJobs": 2, **limits},
            "ParameterRanges": {
                "IntegerParameterRanges": [{"Name": "epochs", "MinValue": "2", "MaxValue": "5"}],
                "ContinuousParameterRanges": [rate],
                "CategoricalParameterRanges": [{"Name": "kind", "Values": kinds}],
            },
        },
        TrainingJobDefinition={
            "StaticHyperParameters": {
                "flag": "True",
                "sagemaker_program": "program.py",
                "sagemaker_submit_directory": f"{place}/source.tar.gz",
            },
            "AlgorithmSpecification": {
                "TrainingImage": IMAGE,
                "TrainingInputMode": "File",
                "MetricDefinitions": [{"Name": "score", "Regex": "score ([0-9.e-]+)"}],
            },
            "RoleArn": server.role,
            "InputDataConfig": [{"ChannelName": "train", "DataSource": {"S3DataSource": source}}],
            "OutputDataConfig": {"S3OutputPath": f"{place}/jobs"},
            "ResourceConfig": {"InstanceType": "ml.m5.xlarge", "InstanceCount": 1, "VolumeSizeInGB": 10},
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        },
        Tags=[{"Key": "project", "Value": "thesis"}],
    )


def tuned(server: SageMakerServer, name: str) -> dict[str, Any]:
    client = server.client("sagemaker")
    return until(
        lambda: client.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName=name),
        lambda found: found["HyperParameterTuningJobStatus"] not in ("InProgress", "Stopping"),
    )


def test_a_tuning_job_trains_points_of_its_ranges_and_finds_the_best(aws: SageMakerServer) -> None:
    client = aws.client("sagemaker")
    tune(aws, "tuned", ["good", "bad"])
    found = tuned(aws, "tuned")
    assert found["HyperParameterTuningJobStatus"] == "Completed"
    rows = client.list_training_jobs_for_hyper_parameter_tuning_job(HyperParameterTuningJobName="tuned")
    jobs = rows["TrainingJobSummaries"]
    assert len(jobs) == 4
    counts = Counter(job["TrainingJobStatus"] for job in jobs)
    assert set(counts) == {"Completed", "Failed"}
    counters = found["TrainingJobStatusCounters"]
    assert (counters["Completed"], counters["NonRetryableError"]) == (counts["Completed"], counts["Failed"])
    values = {
        job["TrainingJobName"]: job["FinalHyperParameterTuningJobObjectiveMetric"]["Value"]
        for job in jobs
        if job["ObjectiveStatus"] == "Succeeded"
    }
    assert found["BestTrainingJob"]["TrainingJobName"] == max(values, key=values.__getitem__)
    for job in jobs:
        assert job["TunedHyperParameters"]["kind"] in ('"good"', '"bad"')
        assert 0.001 <= float(job["TunedHyperParameters"]["rate"]) <= 0.1
        assert 2 <= int(job["TunedHyperParameters"]["epochs"]) <= 5
    first = client.describe_training_job(TrainingJobName=jobs[0]["TrainingJobName"])
    assert first["TuningJobArn"] == found["HyperParameterTuningJobArn"]
    assert first["HyperParameters"]["_tuning_objective_metric"] == "score"
    assert first["HyperParameters"].items() >= jobs[0]["TunedHyperParameters"].items()


def test_a_tuned_job_gets_its_settings_as_the_images_own_start_gives_them(aws: SageMakerServer) -> None:
    tune(aws, "start", ["good"], MaxNumberOfTrainingJobs=1, MaxParallelTrainingJobs=1)
    best = tuned(aws, "start")["BestTrainingJob"]
    (line,) = (one for one in log_of(aws, "/aws/sagemaker/TrainingJobs", "start-") if one.startswith("given"))
    given, _, channel = line.removeprefix("given ").partition("} ")
    arguments = json.loads(given + "}")
    assert arguments["--flag"] == "True"
    assert arguments["--kind"] == "good"
    assert arguments["--epochs"] == best["TunedHyperParameters"]["epochs"]
    assert arguments["--_tuning_objective_metric"] == "score"
    assert arguments["--model_dir"].endswith("/model")
    assert channel == f"{arguments['--epochs']} ['a']"


def test_a_tuning_job_whose_jobs_all_fail_fails(aws: SageMakerServer) -> None:
    tune(aws, "all-bad", ["bad"], MaxNumberOfTrainingJobs=2)
    found = tuned(aws, "all-bad")
    assert found["HyperParameterTuningJobStatus"] == "Failed"
    assert found["FailureReason"].startswith("All training jobs failed")
    client = aws.client("sagemaker")
    jobs = client.list_training_jobs_for_hyper_parameter_tuning_job(
        HyperParameterTuningJobName="all-bad", StatusEquals="Failed"
    )["TrainingJobSummaries"]
    assert "ExecuteUserScriptError" in jobs[0]["FailureReason"]
    with pytest.raises(client.exceptions.ResourceInUse):
        tune(aws, "all-bad", ["bad"])
    with pytest.raises(client.exceptions.ResourceNotFound):
        client.describe_hyper_parameter_tuning_job(HyperParameterTuningJobName="never")


def test_a_stopped_tuning_job_stops_its_jobs(aws: SageMakerServer) -> None:
    client = aws.client("sagemaker")
    tune(aws, "stopped", ["good"], MaxNumberOfTrainingJobs=50)

    def jobs() -> list[dict[str, Any]]:
        rows = client.list_training_jobs_for_hyper_parameter_tuning_job(
            HyperParameterTuningJobName="stopped", SortBy="CreationTime", SortOrder="Descending"
        )
        found: list[dict[str, Any]] = rows["TrainingJobSummaries"]
        return found

    until(jobs, bool)
    client.stop_hyper_parameter_tuning_job(HyperParameterTuningJobName="stopped")
    assert tuned(aws, "stopped")["HyperParameterTuningJobStatus"] == "Stopped"
    assert all(job["TrainingJobStatus"] in ("Stopped", "Completed") for job in jobs())
    assert len(jobs()) < 50
    listed = client.list_hyper_parameter_tuning_jobs(NameContains="stopped")
    assert [one["Strategy"] for one in listed["HyperParameterTuningJobSummaries"]] == ["Bayesian"]

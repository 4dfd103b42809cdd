"""Many pictures in one job: a batch transform on SageMaker, an endpoint here."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from harness.client import SageMakerServer

from mri_tumor import cloud, dataset, models
from mri_tumor.cloud import batch
from mri_tumor.cloud.answers import pictures_a_body
from mri_tumor.cloud.aws.jobs import following, transform
from mri_tumor.cloud.aws.objects import remove_folder
from mri_tumor.cloud.container.bodies import MAX_BODY
from mri_tumor.errors import ArgumentError, CloudError, EndpointError, ManifestMismatch, PackageError

from .conftest import SIZE


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transform, "_PAUSE", 0.2)


@pytest.fixture
def place(aws: SageMakerServer) -> dict[str, str]:
    return {"instance_type": "ml.m5.large", "role": aws.role, "output": f"s3://{aws.bucket}/batches-of-tests"}


def left(aws: SageMakerServer) -> tuple[list[str], list[str]]:
    """Return the names of models, and the keys of requests and answers."""
    models_left = [one["ModelName"] for one in aws.client("sagemaker").list_models()["Models"]]
    listed = aws.client("s3").list_objects_v2(Bucket=aws.bucket, Prefix="batches-of-tests/batches/")
    return models_left, [one["Key"] for one in listed.get("Contents", [])]


def test_a_batch_says_what_the_classifier_says_and_leaves_nothing(
    archive: Path,
    catalog: dataset.Catalog,
    classifier: models.Classifier,
    place: dict[str, str],
    aws: SageMakerServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before = left(aws)
    monkeypatch.setattr(batch, "MAX_BODY", 7 * SIZE**2)  # six pictures a request: seven requests
    found = cloud.batch_predict(archive, catalog, **place)
    expected = classifier.predict(catalog)
    assert [one.id for one in found] == [one.id for one in expected]
    for one, other in zip(found, expected, strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-5)
    assert left(aws) == before


def test_here_an_endpoint_answers(
    archive: Path, catalog: dataset.Catalog, classifier: models.Classifier
) -> None:
    found = cloud.batch_predict(archive, catalog[:3])
    assert [one.top for one in found] == [one.top for one in classifier.predict(catalog[:3])]


def test_no_pictures_are_no_job(archive: Path, place: dict[str, str], aws: SageMakerServer) -> None:
    mark = aws.mark()
    assert cloud.batch_predict(archive, [], **place) == []
    assert ("sagemaker", "CreateTransformJob") not in aws.calls(mark)


@pytest.mark.parametrize("operation", ["CreateModel", "CreateTransformJob", "DescribeTransformJob"])
def test_a_refusal_leaves_nothing(
    archive: Path, catalog: dataset.Catalog, place: dict[str, str], aws: SageMakerServer, operation: str
) -> None:
    before = left(aws)
    aws.fail(operation, "denied")
    with pytest.raises(CloudError, match="AccessDenied"):
        cloud.batch_predict(archive, catalog[:2], **place)
    assert left(aws) == before


@pytest.mark.parametrize("kind", ["reset", "lost"])
def test_an_answer_that_is_lost_for_good_leaves_no_job(
    archive: Path, catalog: dataset.Catalog, place: dict[str, str], aws: SageMakerServer, kind: str
) -> None:
    before = left(aws)
    aws.fail("CreateTransformJob", kind, count=20)
    with pytest.raises(CloudError):
        cloud.batch_predict(archive, catalog[:2], **place)
    aws.clear()
    assert left(aws) == before
    assert running(aws) == []


def test_ctrl_c_stops_the_job_before_its_requests_go(
    archive: Path,
    catalog: dataset.Catalog,
    place: dict[str, str],
    aws: SageMakerServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    before, removed, sleep = left(aws), [], time.sleep

    def interrupt(_: float) -> None:
        monkeypatch.setattr(following.time, "sleep", sleep)
        raise KeyboardInterrupt

    def remove(*given: object) -> None:
        removed.append(running(aws))
        remove_folder(*given)

    monkeypatch.setattr(following.time, "sleep", interrupt)
    monkeypatch.setattr(transform, "remove_folder", remove)
    with pytest.raises(KeyboardInterrupt):
        cloud.batch_predict(archive, catalog, **place)
    assert removed == [[]]
    assert left(aws) == before


def test_a_second_job_of_a_name_leaves_the_first_alone(
    archive: Path, catalog: dataset.Catalog, place: dict[str, str], aws: SageMakerServer
) -> None:
    cloud.batch_predict(archive, catalog[:2], name="same", **place)
    key = "batches-of-tests/batches/mri-tumor-same/requests/000000.npy"
    aws.client("s3").put_object(Bucket=aws.bucket, Key=key, Body=b"of the first")
    before = left(aws)
    with pytest.raises(CloudError, match="name that is free"):
        cloud.batch_predict(archive, catalog[:2], name="same", **place)
    assert left(aws) == before
    aws.client("s3").delete_object(Bucket=aws.bucket, Key=key)


def running(aws: SageMakerServer) -> list[str]:
    """Return the names of the batch transform jobs that go on."""
    jobs = aws.client("sagemaker").list_transform_jobs()["TransformJobSummaries"]
    return [one["TransformJobName"] for one in jobs if one["TransformJobStatus"] not in following.ENDED]


def test_pictures_too_large_for_a_request_are_refused_as_everywhere() -> None:
    assert pictures_a_body(2508, MAX_BODY) == 1
    with pytest.raises(EndpointError, match="at most 6291456 bytes") as caught:
        pictures_a_body(2600, MAX_BODY)
    assert caught.value.code == 413


def test_a_failing_job_says_why(
    archive: Path, altered: Callable, catalog: dataset.Catalog, place: dict[str, str], aws: SageMakerServer
) -> None:
    before = left(aws)

    def break_handler(folder: Path) -> None:
        text = (folder / "code" / "inference.py").read_text()
        broken = text.replace(
            "def handler(", "def handler(data, context):\n    raise OSError('broken')\n\n\ndef other(", 1
        )
        (folder / "code" / "inference.py").write_text(broken)

    with pytest.raises(EndpointError, match="is Failed: "):
        cloud.batch_predict(altered(break_handler), catalog[:2], **place)
    assert left(aws) == before


def test_what_is_wrong_is_said_before_anything_is_created(
    archive: Path, catalog: dataset.Catalog, place: dict[str, str], aws: SageMakerServer, tmp_path: Path
) -> None:
    mark = aws.mark()
    cases: list[tuple] = [
        (ArgumentError, "output is None", archive, {"output": None}),
        (ArgumentError, "arn:aws:iam", archive, {"role": "r"}),
        (ArgumentError, "instance_type is 'serverless'", archive, {"instance_type": "serverless"}),
        (ArgumentError, "output, role cannot be honoured", archive, {"instance_type": "local"}),
        (ArgumentError, "instance_count is 0", archive, {"instance_count": 0}),
        (PackageError, "there is no file", tmp_path / "missing", {}),
    ]
    for kind, reason, package, changes in cases:
        with pytest.raises(kind, match=reason):
            cloud.batch_predict(package, catalog, **{**place, **changes})
    assert not aws.calls(mark)
    with pytest.raises(ArgumentError, match="shape"):
        cloud.batch_predict(archive, np.zeros((2, SIZE, SIZE), np.uint8), **place)
    other = dataset.Preprocess(size=SIZE, crop=False)
    dataset.write_tfrecords(catalog[:2], tmp_path / "other", preprocess=other)
    with pytest.raises(ManifestMismatch):
        cloud.batch_predict(archive, tmp_path / "other", **place)
    assert ("sagemaker", "CreateModel") not in aws.calls(mark)

"""Many pictures in one job: a batch transform on SageMaker, an endpoint here."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from harness.client import SageMakerServer

from mri_tumor import cloud, dataset, models
from mri_tumor.cloud import batch
from mri_tumor.cloud.aws.jobs import transform
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

"""The whole story on SageMaker, as a server on this machine stands for it: jobs and endpoints really run."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from harness.client import SageMakerServer

from mri_tumor import cloud, dataset, models
from mri_tumor.cloud import endpoint as endpoint_module
from mri_tumor.cloud.aws.endpoints import hosting, runtime
from mri_tumor.errors import ArgumentError, CloudError, EndpointError, PackageError

from .conftest import encoded, picture


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosting, "_PAUSE", 0.2)


@pytest.fixture
def place(aws: SageMakerServer) -> dict[str, str]:
    """Return what everything on SageMaker needs."""
    return {"role": aws.role, "output": f"s3://{aws.bucket}/study"}


def names(aws: SageMakerServer) -> dict[str, list[str]]:
    """Return the names of all that costs money, or lies about."""
    client = aws.client("sagemaker")
    return {
        "endpoints": [one["EndpointName"] for one in client.list_endpoints()["Endpoints"]],
        "configs": [one["EndpointConfigName"] for one in client.list_endpoint_configs()["EndpointConfigs"]],
        "models": [one["ModelName"] for one in client.list_models()["Models"]],
    }


@pytest.fixture
def nothing_left(aws: SageMakerServer) -> Iterator[None]:
    before = names(aws)
    yield
    assert names(aws) == before


@pytest.fixture(scope="module")
def shared(sagemaker_server: SageMakerServer, archive: Path) -> Iterator[cloud.Predictor]:
    """Return an endpoint for tests that only ask it."""
    place = {"role": sagemaker_server.role, "output": f"s3://{sagemaker_server.bucket}/shared"}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in sagemaker_server.environment.items():
            patch.setenv(name, value)
        predictor = cloud.deploy(archive, instance_type="ml.m5.large", **place)
    yield predictor
    predictor.delete()


@pytest.mark.usefixtures("nothing_left")
def test_an_endpoint_says_what_the_classifier_says(
    archive: Path, catalog: dataset.Catalog, classifier: models.Classifier, place: dict[str, str]
) -> None:
    expected = classifier.predict(catalog)
    with cloud.deploy(archive, instance_type="ml.m5.large", name="study-3", **place) as endpoint:
        assert endpoint.name == "mri-tumor-study-3"
        found = endpoint.predict(catalog)
        assert [one.id for one in found] == [one.id for one in expected]
        for one, other in zip(found, expected, strict=True):
            assert one.probabilities == pytest.approx(other.probabilities, abs=1e-5)
        raw = endpoint.predict_raw(catalog[:3])
        assert [one.id for one in raw] == list(catalog.ids[:3])
        with cloud.Predictor(endpoint.name) as other:
            assert other.predict(picture(1)) == endpoint.predict(picture(1))
        assert endpoint.predict(picture(1))  # letting it go did not delete it
        cloud.Predictor(endpoint.name).delete()  # asked for by its name, it goes
    with pytest.raises(EndpointError, match="was deleted"):
        endpoint.predict(picture(1))


@pytest.mark.usefixtures("nothing_left")
def test_after_an_exception_nothing_is_left(archive: Path, place: dict[str, str]) -> None:
    endpoint = cloud.deploy(archive, instance_type="ml.m5.large", **place)
    with pytest.raises(ZeroDivisionError), endpoint:
        1 / 0  # noqa: B018
    endpoint.delete()  # the second call does nothing
    with pytest.raises(CloudError, match="Could not find endpoint") as caught:
        cloud.Predictor(endpoint.name)
    assert caught.value.code == "ResourceNotFound"


@pytest.mark.usefixtures("nothing_left")
def test_an_endpoint_that_was_changed_meanwhile_goes_too(
    archive: Path, place: dict[str, str], aws: SageMakerServer
) -> None:
    client = aws.client("sagemaker")
    with cloud.deploy(archive, instance_type="ml.m5.large", **place) as endpoint:
        now = client.describe_endpoint(EndpointName=endpoint.name)["EndpointConfigName"]
        variants = client.describe_endpoint_config(EndpointConfigName=now)["ProductionVariants"]
        client.create_endpoint_config(EndpointConfigName="another", ProductionVariants=variants)
        client.update_endpoint(EndpointName=endpoint.name, EndpointConfigName="another")


@pytest.mark.usefixtures("nothing_left")
def test_a_serverless_endpoint_takes_smaller_requests(
    archive: Path, place: dict[str, str], aws: SageMakerServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert hosting.SERVERLESS_BODY == 4_000_000
    monkeypatch.setattr(hosting, "SERVERLESS_BODY", 200_000)  # thousands of pictures take a minute
    with cloud.deploy(archive, instance_type="serverless", memory_mb=2048, max_concurrency=3, **place) as one:
        client = aws.client("sagemaker")
        (variant,) = client.describe_endpoint(EndpointName=one.name)["ProductionVariants"]
        assert variant["CurrentServerlessConfig"] == {"MemorySizeInMB": 2048, "MaxConcurrency": 3}
        count = hosting.SERVERLESS_BODY // 32**2 + 10  # more than one request holds
        pictures = np.zeros((count, 32, 32, 1), np.uint8)
        assert [one.id for one in one.predict(pictures)] == [str(number) for number in range(count)]
        with pytest.raises(EndpointError, match="at most 200000 bytes") as caught:
            one.predict_raw(encoded(1) + bytes(200_000))
        assert caught.value.code == 413


@pytest.mark.usefixtures("nothing_left")
def test_an_asynchronous_endpoint_leaves_no_picture_in_s3(
    archive: Path,
    place: dict[str, str],
    aws: SageMakerServer,
    catalog: dataset.Catalog,
    classifier: models.Classifier,
) -> None:
    expected = classifier.predict(catalog)
    with cloud.deploy(archive, instance_type="ml.m5.large", asynchronous=True, **place) as endpoint:
        found = endpoint.predict(catalog)
        assert [one.top for one in found] == [one.top for one in expected]
        with pytest.raises(EndpointError, match=r"refused the request \(400\)"):
            endpoint.predict_raw(encoded(1)[:700])
    keys = [one["Key"] for one in aws.client("s3").list_objects_v2(Bucket=aws.bucket)["Contents"]]
    assert not [key for key in keys if "/endpoints/" in key]


@pytest.mark.usefixtures("nothing_left")
def test_every_resource_bears_prefix_and_tags_and_keeps_the_terms(
    archive: Path, place: dict[str, str], aws: SageMakerServer
) -> None:
    kms = aws.client("kms")
    kms.create_alias(AliasName="alias/hosting", TargetKeyId=kms.create_key()["KeyMetadata"]["KeyId"])
    terms = {
        "subnets": ["subnet-1", "subnet-2"],
        "security_group_ids": ["sg-1"],
        "kms_key": "alias/hosting",
        "network_isolation": True,
        "tags": {"project": "thesis"},
    }
    before = names(aws)
    with cloud.deploy(archive, instance_type="ml.m5.large", name="tagged", **place, **terms):
        client = aws.client("sagemaker")
        (endpoint,), (config,), (model,) = (set(now) - set(before[kind]) for kind, now in names(aws).items())
        cards = [
            (client.describe_endpoint(EndpointName=endpoint), "EndpointArn"),
            (client.describe_endpoint_config(EndpointConfigName=config), "EndpointConfigArn"),
            (client.describe_model(ModelName=model), "ModelArn"),
        ]
        for card, arn in cards:
            assert "/mri-tumor-tagged" in card[arn]
            tags = {tag["Key"]: tag["Value"] for tag in client.list_tags(ResourceArn=card[arn])["Tags"]}
            assert tags["created-by"] == "mri-tumor"
            assert tags["project"] == "thesis"
        network = {"Subnets": ["subnet-1", "subnet-2"], "SecurityGroupIds": ["sg-1"]}
        assert cards[2][0]["VpcConfig"] == network
        assert cards[2][0]["EnableNetworkIsolation"] is True
        assert cards[1][0]["KmsKeyId"] == "alias/hosting"
        listed = {(one.kind, one.name) for one in cloud.resources()}
        assert {("endpoint", endpoint), ("endpoint configuration", config), ("model", model)} <= listed


@pytest.mark.usefixtures("nothing_left")
def test_an_endpoint_that_fails_to_start_is_removed_and_says_why(
    archive: Path, place: dict[str, str], aws: SageMakerServer
) -> None:
    aws.fail_endpoints()
    with pytest.raises(EndpointError, match=r"is Failed after .* s: ") as caught:
        cloud.deploy(archive, instance_type="ml.m5.large", **place)
    assert caught.value.code == 503


@pytest.mark.parametrize("operation", ["CreateEndpointConfig", "CreateEndpoint"])
@pytest.mark.usefixtures("nothing_left")
def test_a_refusal_half_way_leaves_nothing(
    archive: Path, place: dict[str, str], aws: SageMakerServer, operation: str
) -> None:
    aws.fail(operation, "denied")
    with pytest.raises(CloudError, match="AccessDenied") as caught:
        cloud.deploy(archive, instance_type="ml.m5.large", **place)
    assert "cloud_policy" in caught.value.fix


@pytest.mark.parametrize("operation", ["CreateModel", "CreateEndpoint"])
@pytest.mark.usefixtures("nothing_left")
def test_an_answer_that_was_lost_leaves_nothing(
    archive: Path, place: dict[str, str], aws: SageMakerServer, operation: str
) -> None:
    aws.fail(operation, "lost")
    with pytest.raises(CloudError, match="already exist"):
        cloud.deploy(archive, instance_type="ml.m5.large", **place)


@pytest.mark.usefixtures("nothing_left")
def test_a_name_that_is_taken_leaves_its_owner_alone(archive: Path, place: dict[str, str]) -> None:
    with cloud.deploy(archive, instance_type="ml.m5.large", name="taken", **place) as first:
        with pytest.raises(CloudError, match="already exist"):
            cloud.deploy(archive, instance_type="ml.m5.large", name="taken", **place)
        assert first.predict(picture(1))


@pytest.mark.usefixtures("nothing_left")
def test_what_cannot_be_deleted_is_named(archive: Path, place: dict[str, str], aws: SageMakerServer) -> None:
    endpoint = cloud.deploy(archive, instance_type="ml.m5.large", **place)
    aws.fail("DeleteEndpoint", "denied", count=20)
    with pytest.raises(EndpointError, match=f"the endpoint {endpoint.name} .*AccessDenied"):
        endpoint.delete()
    # An error inside the context is not hidden by what is left.
    with pytest.raises(ZeroDivisionError) as caught, endpoint:
        1 / 0  # noqa: B018
    assert "could not be deleted" in caught.value.__notes__[0]
    # It still runs, and has all that it needs for that.
    assert cloud.Predictor(endpoint.name).predict(picture(1))
    card = aws.client("sagemaker").describe_endpoint(EndpointName=endpoint.name)
    assert card["EndpointConfigName"] in names(aws)["configs"]
    aws.clear()
    endpoint.delete()


@pytest.mark.usefixtures("nothing_left")
def test_what_a_deletion_left_is_deleted_by_the_next(
    archive: Path, place: dict[str, str], aws: SageMakerServer
) -> None:
    before = names(aws)["configs"]
    endpoint = cloud.deploy(archive, instance_type="ml.m5.large", **place)
    aws.fail("DeleteEndpointConfig", "denied")
    with pytest.raises(EndpointError, match=r"the endpoint configuration .*AccessDenied") as caught:
        endpoint.delete()
    assert "money" not in str(caught.value)  # what costs some is gone
    (config,) = set(names(aws)["configs"]) - set(before)
    assert f"--delete {config}" in caught.value.fix
    endpoint.delete()
    assert names(aws)["configs"] == before


@pytest.mark.usefixtures("nothing_left")
def test_ctrl_c_while_it_starts_leaves_nothing(
    archive: Path, place: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sleep = time.sleep

    def interrupt(_: float) -> None:
        monkeypatch.setattr(hosting.time, "sleep", sleep)
        raise KeyboardInterrupt

    monkeypatch.setattr(hosting.time, "sleep", interrupt)
    with pytest.raises(KeyboardInterrupt):
        cloud.deploy(archive, instance_type="ml.m5.large", **place)


@pytest.mark.usefixtures("nothing_left")
def test_an_endpoint_without_a_predictor_goes_again(
    archive: Path, place: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise CloudError("no client", "a client", "call it again")

    monkeypatch.setattr(endpoint_module, "Predictor", broken)
    with pytest.raises(CloudError, match="no client"):
        cloud.deploy(archive, instance_type="ml.m5.large", **place)


@pytest.mark.usefixtures("aws")
def test_an_answer_that_takes_longer_than_timeout_is_an_error(
    shared: cloud.Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "_ATTEMPTS", 1)
    hurried = cloud.Predictor(shared.name, timeout=0.001)
    with pytest.raises(EndpointError, match=r"(?i)timed out|timeout"):
        hurried.predict(picture(1))


@pytest.mark.parametrize("kind", ["throttle", "error", "reset"])
def test_faults_that_pass_are_not_seen(shared: cloud.Predictor, aws: SageMakerServer, kind: str) -> None:
    expected = shared.predict(picture(1))
    aws.fail("InvokeEndpoint", kind, count=2, service="sagemaker-runtime")
    assert shared.predict(picture(1)) == expected


@pytest.mark.parametrize(
    ("kind", "code", "fix"), [("throttle", 429, "quota"), ("expired", 403, "log in again")]
)
def test_faults_that_stay_say_what_to_do(
    shared: cloud.Predictor,
    aws: SageMakerServer,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    code: int,
    fix: str,
) -> None:
    monkeypatch.setattr(runtime, "_ATTEMPTS", 3)  # five take long
    predictor = cloud.Predictor(shared.name)
    aws.fail("InvokeEndpoint", kind, count=30, service="sagemaker-runtime")
    with pytest.raises(EndpointError, match=fix) as caught:
        predictor.predict(picture(1))
    assert caught.value.code == code


def test_the_handlers_refusals_keep_their_number(shared: cloud.Predictor) -> None:
    with pytest.raises(EndpointError, match=r"refused the request \(400\).*Expected"):
        shared.predict_raw(encoded(1)[:700])


def test_what_is_wrong_is_said_before_anything_is_created(
    archive: Path, altered: Callable, place: dict[str, str], aws: SageMakerServer
) -> None:
    before = len(aws.calls())
    bad = altered(lambda folder: (folder / "code" / "inference.py").unlink())
    cases = [
        (PackageError, "inference.py is missing", bad, {}),
        (PackageError, "there is no file", "missing.tar.gz", {}),
        (ArgumentError, "arn:aws:iam", archive, {"role": "execution"}),
        (ArgumentError, "output is None", archive, {"output": None}),
        (ArgumentError, "no address in S3", archive, {"output": "bucket/x"}),
        (ArgumentError, "security groups", archive, {"subnets": ["s"]}),
        (ArgumentError, "the tag", archive, {"tags": {"created-by": "me"}}),
        (ArgumentError, "image of TensorFlow", archive, {"instance_type": "ml.c7g.large"}),
        (ArgumentError, "memory_mb is 2048", archive, {"memory_mb": 2048}),
        (ArgumentError, "max_concurrency is 9", archive, {"max_concurrency": 9}),
        (ArgumentError, "threads is 100", archive, {"threads": 100}),
        (ArgumentError, "memory_mb is 1000", archive, {"instance_type": "serverless", "memory_mb": 1000}),
        (
            ArgumentError,
            "asynchronous is True",
            archive,
            {"instance_type": "serverless", "asynchronous": True},
        ),
        (ArgumentError, "has neither", archive, {"instance_type": "serverless", "network_isolation": True}),
        (ArgumentError, "there is no argument 'rolle'", archive, {"rolle": "x"}),
        (ArgumentError, "letters, digits", archive, {"name": "a_b"}),
        (ArgumentError, "at most 53", archive, {"name": "a" * 60}),
    ]
    for kind, reason, package, changes in cases:
        with pytest.raises(kind, match=reason):
            cloud.deploy(package, **{"instance_type": "ml.m5.large", **place, **changes})
    assert len(aws.calls()) == before

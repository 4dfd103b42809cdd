"""What AWS answers, as errors of ours."""

import boto3
import pytest
from botocore import exceptions
from botocore.exceptions import ClientError

from mri_tumor.cloud.aws.account import Account
from mri_tumor.cloud.aws.refusals import asking, code_of, refusal
from mri_tumor.errors import ArgumentError, CloudError


def answer(code: str, message: str = "it says so") -> ClientError:
    return ClientError({"Error": {"Code": code, "Message": message}}, "Operation")


@pytest.mark.parametrize(
    ("code", "known", "fix"),
    [
        ("ExpiredTokenException", "ExpiredToken", "log in again"),
        ("AccessDeniedException", "AccessDenied", "policy"),
        ("403", "AccessDenied", "policy"),
        ("SlowDown", "Throttling", "wait"),
        ("InternalError", "ServiceUnavailable", "wait"),
        ("ResourceLimitExceeded", "ResourceLimitExceeded", "Service Quotas"),
        ("SignatureDoesNotMatch", "SignatureDoesNotMatch", "AWS_SECRET_ACCESS_KEY"),
        ("SomethingNew", "SomethingNew", "see what it says"),
    ],
)
def test_an_answer_says_what_to_do(code: str, known: str, fix: str) -> None:
    with (
        pytest.raises(CloudError, match="reading s3://b/k: AWS answered " + code) as caught,
        asking("reading s3://b/k"),
    ):
        raise answer(code)
    assert caught.value.code == known == code_of(answer(code))
    assert fix in caught.value.fix


def test_sagemaker_says_that_something_is_missing_in_its_own_way() -> None:
    error = refusal("x", answer("ValidationException", "Could not find endpoint 'a'."))
    assert error.code == "ResourceNotFound"
    assert refusal("x", answer("ValidationException", "1 is too many")).code == "ValidationException"


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (exceptions.NoCredentialsError(), "AWS credentials"),
        (exceptions.ProfileNotFound(profile="p"), "AWS credentials"),
        (exceptions.NoRegionError(), "a region"),
        (exceptions.EndpointConnectionError(endpoint_url="http://x"), "a connection"),
        (exceptions.ReadTimeoutError(endpoint_url="http://x"), "a connection"),
        (exceptions.ParamValidationError(report="r"), "arguments"),
        (exceptions.UnknownServiceError(service_name="s", known_service_names="t"), "an answer"),
    ],
)
def test_what_never_reached_aws(error: Exception, expected: str) -> None:
    with pytest.raises(CloudError) as caught, asking("calling"):
        raise error
    assert expected in caught.value.expected
    assert caught.value.code == type(error).__name__


def test_other_errors_pass() -> None:
    with pytest.raises(ZeroDivisionError), asking("dividing"):
        1 / 0  # noqa: B018


def test_an_account_needs_a_region(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", f"{tmp_path}/none")
    with pytest.raises(CloudError, match="no AWS region"):
        Account()
    assert Account(boto3.Session(region_name="eu-west-1")).region == "eu-west-1"
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-2")
    assert Account().region == "eu-west-2"
    monkeypatch.setenv("AWS_REGION", "eu-west-3")
    assert Account().region == "eu-west-3"
    with pytest.raises(ArgumentError, match="session is a str"):
        Account("eu-west-1")


def test_an_account_makes_one_client_a_service() -> None:
    account = Account(boto3.Session("a", "b", region_name="eu-west-1"))
    assert account.client("s3") is account.client("s3")
    assert account.client("s3").meta.config.retries["mode"] == "standard"

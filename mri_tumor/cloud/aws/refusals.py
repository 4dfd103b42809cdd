"""What AWS answers when it does not do what it was asked, as errors of this library."""

import contextlib
import re
from collections.abc import Iterator
from typing import Any

from mri_tumor.errors import CloudError

_LOGIN = "log in again (aws sso login, aws configure), or set AWS_PROFILE"
_KEYS = "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or the profile"
_LATER = "wait a while and call it again; ask for a higher quota if it goes on"

# AWS's name of the error -> what was expected, and what to do.
_KNOWN = {
    "AccessDenied": (
        "permission for this call",
        "add it to the policy: docs/how_to/cloud_policy lists what each step needs",
    ),
    "AuthFailure": ("valid credentials", _KEYS),
    "BadRequest": ("a request that AWS accepts", f"if the login may have expired, {_LOGIN}"),
    "BadDigest": (
        "bytes that arrive as they were sent",
        "call it again; see to the network if it goes on",
    ),
    "ExpiredToken": ("credentials that are still valid", _LOGIN),
    "InvalidAccessKeyId": ("an access key that exists", _KEYS),
    "InvalidObjectState": (
        "an object that can be read at once",
        "restore it from its archive first (aws s3api restore-object)",
    ),
    "InvalidToken": ("a valid session token", _LOGIN),
    "KMSNotFound": (
        "a KMS key that exists in the bucket's region",
        "create it, or pass another one as kms_key",
    ),
    "KMSInvalidStateException": (
        "a KMS key that is enabled",
        "enable the key, or pass another one as kms_key",
    ),
    "NoSuchBucket": ("a bucket that exists", "create it, or correct its name"),
    "NoSuchKey": ("an object that exists", "check the address"),
    "NoSuchUpload": ("an upload that is in progress", "call it again: it goes on with what is missing"),
    "PermanentRedirect": ("a bucket of this region", "set AWS_REGION to the bucket's region"),
    "PreconditionFailed": (
        "an object that nobody writes to",
        "call it again once it is written",
    ),
    "RequestTimeTooSkewed": ("a clock within 15 minutes of AWS's", "set this machine's clock"),
    "ResourceInUse": ("a name that is free", "choose another name, or delete what has it"),
    "ResourceLimitExceeded": (
        "a quota that allows it",
        "ask for it in the Service Quotas console, or choose another instance type",
    ),
    "ResourceNotFound": ("something that exists", "check name and region"),
    "ServiceUnavailable": ("an answer", _LATER),
    "SignatureDoesNotMatch": ("a secret key that belongs to the access key", _KEYS),
    "Throttling": ("fewer calls a second", _LATER),
    "ValidationException": ("a request that AWS accepts", "correct what it names"),
}
_ALIASES = {
    "400": "BadRequest",
    "403": "AccessDenied",
    "404": "NoSuchKey",
    "301": "PermanentRedirect",
    "503": "ServiceUnavailable",
    "AccessDeniedException": "AccessDenied",
    "ExpiredTokenException": "ExpiredToken",
    "Forbidden": "AccessDenied",
    "IllegalLocationConstraintException": "PermanentRedirect",
    "InternalFailure": "ServiceUnavailable",
    "InternalError": "ServiceUnavailable",
    "InternalServerError": "ServiceUnavailable",
    "InvalidClientTokenId": "InvalidAccessKeyId",
    "InvalidSignatureException": "SignatureDoesNotMatch",
    "KMS.DisabledException": "KMSInvalidStateException",
    "KMS.KMSInvalidStateException": "KMSInvalidStateException",
    "KMS.NotFoundException": "KMSNotFound",
    "Not Found": "NoSuchKey",
    "NotFoundException": "KMSNotFound",
    "ResourceNotFoundException": "ResourceNotFound",
    "RequestExpired": "ExpiredToken",
    "RequestLimitExceeded": "Throttling",
    "RequestTimeout": "ServiceUnavailable",
    "ServiceUnavailableException": "ServiceUnavailable",
    "SlowDown": "Throttling",
    "ThrottlingException": "Throttling",
    "TooManyRequestsException": "Throttling",
    "UnrecognizedClientException": "InvalidAccessKeyId",
}


@contextlib.contextmanager
def asking(what: str) -> Iterator[None]:
    """Turn what boto3 raises inside the block into a `CloudError`.

    Args:
        what: what is asked for, as in `"reading s3://bucket/key"`.

    Raises:
        CloudError: AWS refused, cannot be reached, or there are no credentials or no region.
    """
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (ClientError, BotoCoreError, Boto3Error) as error:
        raise refusal(what, error) from error


def refusal(what: str, error: Exception) -> CloudError:
    """Return the error that says what AWS, or the way to it, made of a call.

    Args:
        what: what was asked for.
        error: what boto3 or botocore raised.
    """
    from botocore.exceptions import ClientError

    # boto3's transfers hide the answer behind an error of their own.
    inner = error if isinstance(error, ClientError) else error.__context__
    if isinstance(inner, ClientError):
        return _refused(what, inner.response)
    return _not_asked(what, error)


def code_of(error: Exception) -> str:
    """Return the name under which we know an error of AWS: its own if we know none, empty if it has none.

    Args:
        error: what boto3 raised.
    """
    response = getattr(error, "response", None) or {}
    code = str(response.get("Error", {}).get("Code", ""))
    return _ALIASES.get(code, code)


def _refused(what: str, response: Any) -> CloudError:
    detail = response.get("Error", {})
    own = str(detail.get("Code", ""))
    message = " ".join(str(detail.get("Message", "")).split())[:500]
    code = _ALIASES.get(own, own)
    # SageMaker says only "ValidationException" when a thing is not there.
    if code == "ValidationException" and re.search(r"[Cc]ould not find|does not exist|[Nn]ot found", message):
        code = "ResourceNotFound"
    expected, fix = _KNOWN.get(code, ("a call that AWS accepts", "see what it says"))
    return CloudError(f"{what}: AWS answered {own}: {message}", expected, fix, code)


def _not_asked(what: str, error: Exception) -> CloudError:
    """Return the error for a call that got no answer."""
    from botocore import exceptions

    text = " ".join(str(error).split())[:500]
    reasons: list[tuple[Any, str, str]] = [
        (
            exceptions.NoRegionError,
            "a region",
            "set AWS_REGION, or pass session=boto3.Session(region_name=...)",
        ),
        (
            (exceptions.NoCredentialsError, exceptions.PartialCredentialsError, exceptions.ProfileNotFound),
            "AWS credentials",
            "run aws configure or aws sso login, or set AWS_PROFILE",
        ),
        (
            (exceptions.TokenRetrievalError, exceptions.UnauthorizedSSOTokenError),
            "a login that is still valid",
            _LOGIN,
        ),
        (
            exceptions.ParamValidationError,
            "arguments of the form that AWS takes",
            "correct what the message names",
        ),
        (
            exceptions.FlexibleChecksumError,
            "bytes that arrive as they were sent",
            "call it again; see to the network if it goes on",
        ),
        (
            (
                exceptions.HTTPClientError,
                exceptions.ConnectionError,
                exceptions.IncompleteReadError,
                ConnectionError,
                TimeoutError,
            ),
            "a connection to AWS",
            "check network, proxy and region, and call it again",
        ),
    ]
    for kinds, expected, fix in reasons:
        if isinstance(error, kinds):
            return CloudError(f"{what}: {text}", expected, fix, type(error).__name__)
    return CloudError(f"{what}: {text}", "an answer of AWS", "see what it says", type(error).__name__)

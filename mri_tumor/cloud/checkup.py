"""What is missing before anything is created on SageMaker."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mri_tumor.errors import MriTumorError


@dataclass(frozen=True)
class Finding:
    """What one look came to.

    Args:
        what: what was looked at.
        good: whether it is as it should be.
        text: what was found; if it is not good, with what was expected and what to do.

    >>> Finding("region", True, "eu-west-1").good
    True
    """

    what: str
    good: bool
    text: str


def doctor(role: str | None = None, output: str | None = None, session: Any = None) -> list[Finding]:
    """Look at all that training and serving on SageMaker needs; nothing is created or changed.

    Looked at are the packages of the extra `cloud`, the region, the credentials, the role's form, SageMaker's
    answer, and whether the bucket is there and in this region. A look that needs an earlier one to be good is
    left out after it was not.

    Args:
        role: the ARN of the execution role.
        output: the `s3://` folder that jobs and endpoints are to use.
        session: a `boto3.Session`.

    >>> [finding.good for finding in doctor(session="none of boto3's")]
    [True, False]
    """
    found: list[Finding] = []
    for what, look, needed in _looks(role, output, session):
        if needed and not all(finding.good for finding in found if finding.what in needed):
            continue
        try:
            found.append(Finding(what, True, look()))
        except MriTumorError as error:
            found.append(Finding(what, False, str(error)))
    return found


_OLD_NAMES = {"EU": "eu-west-1"}  # what S3 still answers for buckets of its first years
_Look = tuple[str, Callable[[], str], tuple[str, ...]]
_FIRST = ("packages", "region")


def _looks(role: str | None, output: str | None, session: Any) -> list[_Look]:
    looks: list[_Look] = [
        ("packages", _packages, ()),
        ("region", lambda: _account(session).region, ("packages",)),
        ("credentials", lambda: f"account {_account(session).number}", _FIRST),
        ("role", lambda: _role(role, session), _FIRST),
        ("SageMaker", lambda: _sagemaker(session), (*_FIRST, "credentials")),
    ]
    if output is not None:
        looks.append(("bucket", lambda: _bucket(output, session), (*_FIRST, "credentials")))
    return looks


def _account(session: Any) -> Any:
    from mri_tumor.cloud.aws.account import Account

    return Account(session)


def _packages() -> str:
    from importlib.metadata import version

    from mri_tumor._lazy import load_extra

    for module in ("boto3", "sagemaker.core"):
        load_extra(module, "cloud", "SageMaker")
    return f"boto3 {version('boto3')}, sagemaker {version('sagemaker')}"


def _role(role: str | None, session: Any) -> str:
    from mri_tumor.cloud.aws.terms import Terms

    return Terms.of({"role": role, "session": session}).role


def _sagemaker(session: Any) -> str:
    from mri_tumor.cloud.aws.refusals import asking

    with asking("asking SageMaker for its endpoints"):
        _account(session).client("sagemaker").list_endpoints(MaxResults=1)
    return "answers"


def _bucket(output: str, session: Any) -> str:
    from mri_tumor.cloud.aws.addresses import S3Address
    from mri_tumor.cloud.aws.refusals import asking
    from mri_tumor.errors import CloudError

    account, place = _account(session), S3Address.parse(output)
    with asking(f"looking at the bucket {place.bucket}"):
        client = account.client("s3")
        there = client.get_bucket_location(Bucket=place.bucket)["LocationConstraint"] or "us-east-1"
        there = _OLD_NAMES.get(there, there)
    if there != account.region:
        raise CloudError(
            f"the bucket {place.bucket} is in {there}, and the region is {account.region}",
            "both the same: jobs read only from buckets of their region",
            f"set AWS_REGION={there}, or choose another bucket",
        )
    return f"{place.bucket} in {there}"

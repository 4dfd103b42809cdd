"""Single objects in S3."""

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from mri_tumor.cloud.aws.account import Account
from mri_tumor.cloud.aws.addresses import S3Address
from mri_tumor.cloud.aws.refusals import asking
from mri_tumor.cloud.aws.s3.local_files import at_hand
from mri_tumor.errors import CloudError

_MOST = 1000  # keys in one call


@contextlib.contextmanager
def fetched(address: str, *, session: Any = None) -> Iterator[Path]:
    """Yield the path of an object's copy on this machine, which goes with the block.

    Args:
        address: `s3://bucket/key`.
        session: a `boto3.Session`.

    Raises:
        CloudError: it is not there, or may not be read.
        DownloadError: there is no room for it.
    """
    place = S3Address.parse(address)
    client = Account(session).client("s3")
    with tempfile.TemporaryDirectory(prefix="mri_tumor-s3-") as temporary:
        path = Path(temporary) / place.key.rpartition("/")[2]
        with at_hand(path), asking(f"fetching {place}"):
            client.download_file(place.bucket, place.key, str(path))
        yield path


def remove_folder(account: Account, folder: S3Address) -> None:
    """Delete all objects of a folder.

    Raises:
        CloudError: AWS refused; what is left stays.
    """
    client = account.client("s3")
    with asking(f"removing {folder}"):
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=folder.bucket, Prefix=folder.inside)
        for page in pages:
            _remove(client, folder, [one["Key"] for one in page.get("Contents", [])])


def remove_objects(account: Account, folder: S3Address, names: Sequence[str]) -> None:
    """Delete some objects of a folder; that one is not there is no error.

    Raises:
        CloudError: AWS refused; what is left stays.
    """
    client = account.client("s3")
    with asking(f"removing objects of {folder}"):
        for start in range(0, len(names), _MOST):
            _remove(client, folder, [f"{folder.inside}{name}" for name in names[start : start + _MOST]])


def _remove(client: Any, folder: S3Address, keys: Sequence[str]) -> None:
    if keys:
        wanted = {"Objects": [{"Key": key} for key in keys], "Quiet": True}
        answer = client.delete_objects(Bucket=folder.bucket, Delete=wanted)
        _check_removed(folder, answer.get("Errors", []))


def _check_removed(folder: S3Address, errors: Any) -> None:
    if errors:
        first = errors[0]
        raise CloudError(
            f"{len(errors)} objects in {folder} cannot be removed, the first {first.get('Key')!r}:"
            f" {first.get('Code')}",
            "the permission s3:DeleteObject",
            "add it to the policy, and remove the folder by hand",
            str(first.get("Code", "")),
        )

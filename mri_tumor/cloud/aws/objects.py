"""Single objects in S3."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mri_tumor.cloud.aws.account import Account
from mri_tumor.cloud.aws.addresses import S3Address
from mri_tumor.cloud.aws.refusals import asking


@contextlib.contextmanager
def fetched(address: str, *, session: Any = None) -> Iterator[Path]:
    """Yield the path of an object's copy on this machine, which goes with the block.

    Args:
        address: `s3://bucket/key`.
        session: a `boto3.Session`.

    Raises:
        CloudError: it is not there, or may not be read.
    """
    place = S3Address.parse(address)
    client = Account(session).client("s3")
    with tempfile.TemporaryDirectory(prefix="mri_tumor-s3-") as temporary:
        path = Path(temporary) / place.key.rpartition("/")[2]
        with asking(f"fetching {place}"):
            client.download_file(place.bucket, place.key, str(path))
        yield path

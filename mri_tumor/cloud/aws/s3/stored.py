"""What lies in S3, and whether it is what lies here."""

import base64
import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from mri_tumor.cloud.aws.addresses import S3Address
from mri_tumor.cloud.aws.refusals import asking, code_of
from mri_tumor.cloud.aws.s3.parallel import side_by_side
from mri_tumor.files import sha256_of

METADATA = "sha256"
"""The name under which we keep a file's SHA-256 in its object's metadata."""


class Digest(NamedTuple):
    """What is known of an object's content: `"sha256"` or `"md5"`, and hexadecimal digits."""

    kind: str
    value: str

    def is_of(self, path: Path) -> bool:
        """Say whether a file has it."""
        return (sha256_of(path) if self.kind == "sha256" else _md5_of(path)) == self.value


@dataclass(frozen=True)
class Stored:
    """One object.

    Args:
        key: its key.
        size: its length in bytes.
        digest: of its content; None if S3 knows none of all of it.
        kms_key: the ARN of the key that it is encrypted with, empty if S3 uses a key of its own.
    """

    key: str
    size: int
    digest: Digest | None
    kms_key: str = ""

    def agrees(self, path: Path, sha256: str | None = None) -> bool | None:
        """Say whether a file holds the same; None if that cannot be told.

        Args:
            path: the file.
            sha256: its SHA-256, if that is known already.
        """
        if path.stat().st_size != self.size:
            return False
        if self.digest is None:
            return None
        known = sha256 is not None and self.digest.kind == "sha256"
        return self.digest.value == sha256 if known else self.digest.is_of(path)


def listed(client: Any, bucket: str, prefix: str) -> dict[str, int]:
    """Return the objects whose keys begin with `prefix`: key -> bytes.

    The empty objects that stand for folders in AWS's console are none.

    Raises:
        CloudError: AWS refused, or there is no such bucket.
    """
    found: dict[str, int] = {}
    with asking(f"listing s3://{bucket}/{prefix}"):
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            found |= {item["Key"]: item["Size"] for item in page.get("Contents", ())}
    return {key: size for key, size in found.items() if size or not key.endswith("/")}


def looked_at(client: Any, bucket: str, keys: Iterable[str], threads: int) -> dict[str, Stored]:
    """Ask S3 about several objects at a time; what is not there is not in the answer.

    Raises:
        CloudError: AWS refused.
    """
    ask = partial(_looked_at, client, bucket)
    answers = side_by_side(ask, keys, threads, f"looking at s3://{bucket}")
    return {item.key: item for item in answers if item is not None}


def _looked_at(client: Any, bucket: str, key: str) -> Stored | None:
    from botocore.exceptions import ClientError

    with asking(f"looking at {S3Address(bucket, key)}"):
        try:
            answer = client.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED")
        except ClientError as error:
            if code_of(error) == "NoSuchKey":
                return None
            raise
    kms_key = answer.get("SSEKMSKeyId", "") if _is_kms(answer) else ""
    return Stored(key, answer["ContentLength"], _digest(answer), kms_key)


def _digest(answer: Mapping[str, Any]) -> Digest | None:
    """Return the best that S3 knows: what it computed itself, what we wrote down, or the MD5 of one part."""
    whole = answer.get("ChecksumSHA256", "")
    if whole and "-" not in whole and answer.get("ChecksumType") != "COMPOSITE":
        return Digest("sha256", base64.b64decode(whole).hex())
    # Some servers write the names of metadata in their own way.
    own = {name.lower(): value for name, value in answer.get("Metadata", {}).items()}.get(METADATA, "")
    if re.fullmatch(r"[0-9a-f]{64}", own):
        return Digest("sha256", own)
    tag = answer.get("ETag", "").strip('"')
    # The tag of several parts, or of what a key of somebody's own encrypts, is no MD5 of the content.
    if re.fullmatch(r"[0-9a-f]{32}", tag) and not _is_kms(answer) and "SSECustomerAlgorithm" not in answer:
        return Digest("md5", tag)
    return None


def _is_kms(answer: Mapping[str, Any]) -> bool:
    return str(answer.get("ServerSideEncryption", "")).startswith("aws:kms")


def _md5_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()

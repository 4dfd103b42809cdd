"""Addresses in S3."""

import re
from dataclasses import dataclass
from typing import Any, Self

from mri_tumor.errors import ArgumentError

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_LONGEST = 1024  # bytes, S3's limit
_FORM = (
    "s3://bucket/prefix; the bucket's name of 3 to 63 small letters, digits, dots and hyphens, "
    "the prefix without empty parts, '.' and '..'"
)


@dataclass(frozen=True)
class S3Address:
    """The address of an object, or of what lies under a prefix.

    Args:
        bucket: its name.
        key: the object's key, or the prefix, without a slash at its ends; empty for the whole bucket.

    >>> address = S3Address.parse("s3://my-bucket/shards/train/")
    >>> address.bucket, address.key, str(address)
    ('my-bucket', 'shards/train', 's3://my-bucket/shards/train')
    """

    bucket: str
    key: str = ""

    @classmethod
    def parse(cls, text: Any) -> Self:
        """Read an address; a slash at its end does not count.

        Raises:
            ArgumentError: it is none.
        """
        bucket, _, key = str(text).removeprefix("s3://").partition("/")
        address = cls(bucket, key.removesuffix("/"))
        if not str(text).startswith("s3://") or not address._is_good():
            raise ArgumentError(
                f"{text!r} is no address in S3", _FORM, "pass one such as 's3://my-bucket/shards/train'"
            )
        return address

    @property
    def name(self) -> str:
        """The last part of the key."""
        return self.key.rpartition("/")[2]

    @property
    def inside(self) -> str:
        """How the keys of all that lies in this folder begin."""
        return f"{self.key}/" if self.key else ""

    def __truediv__(self, name: str) -> Self:
        return type(self)(self.bucket, f"{self.inside}{name}")

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}" if self.key else f"s3://{self.bucket}"

    def _is_good(self) -> bool:
        parts = self.key.split("/") if self.key else []
        return (
            _BUCKET.fullmatch(self.bucket) is not None
            and not {"", ".", ".."} & set(parts)
            and self.key.isprintable()
            and len(self.key.encode()) <= _LONGEST
        )

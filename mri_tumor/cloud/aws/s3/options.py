"""How objects are kept: encryption and tags, checked before anything is sent."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from mri_tumor.cloud.aws.account import Account
from mri_tumor.cloud.aws.refusals import asking
from mri_tumor.cloud.aws.s3.stored import METADATA, Stored
from mri_tumor.errors import ArgumentError

_TAGS = 10
_TEXT = re.compile(r"[\w +\-=.:/@]*")
_WANTED = "at most 10, names of 1 to 128 and values of up to 256 letters, digits, spaces and + - = . _ : / @"


@dataclass(frozen=True)
class Options:
    """How the objects of an upload are kept.

    Args:
        kms_key: the id, ARN or alias of the key that encrypts them; None: as the bucket says.
        tags: name -> value.

    Raises:
        ArgumentError: S3 would not take them.
    """

    kms_key: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (self.kms_key is None or (isinstance(self.kms_key, str) and self.kms_key)):
            found = f"kms_key is {self.kms_key!r}"
            raise ArgumentError(found, "a key's id, ARN or alias, or None", "pass 'alias/my-key'")
        if not isinstance(self.tags, Mapping) or len(self.tags) > _TAGS:
            raise ArgumentError(f"tags is {self.tags!r:.80}", _WANTED, "pass fewer, as a mapping of texts")
        for name, value in self.tags.items():
            if not (_is_text(name, 1, 128) and _is_text(value, 0, 256)) or name.lower().startswith("aws:"):
                raise ArgumentError(f"the tag {name!r:.80} is {value!r:.80}", _WANTED, "change it")

    def arguments(self, sha256: str) -> dict[str, Any]:
        """Return what boto3 takes along with a file."""
        key = {} if self.kms_key is None else {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": self.kms_key}
        tags = {"Tagging": urlencode(self.tags)} if self.tags else {}
        return {"Metadata": {METADATA: sha256}, **key, **tags}

    def encrypts(self, stored: Stored) -> bool:
        """Say whether an object is encrypted as it should be; `kms_key` must be no alias."""
        return self.kms_key is None or stored.kms_key.rpartition("/")[2] == self.kms_key.rpartition("/")[2]


def resolved(options: Options, account: Account) -> Options:
    """Return the same options with the key that an alias stands for, so that objects can be compared with it.

    Raises:
        CloudError: there is no such key, or AWS refused.
    """
    if options.kms_key is None or not re.match(r"(arn:.*:)?alias/", options.kms_key):
        return options
    with asking(f"looking up the key {options.kms_key}"):
        answer = account.client("kms").describe_key(KeyId=options.kms_key)
    return Options(answer["KeyMetadata"]["Arn"], options.tags)


def _is_text(value: Any, least: int, most: int) -> bool:
    return isinstance(value, str) and least <= len(value) <= most and _TEXT.fullmatch(value) is not None

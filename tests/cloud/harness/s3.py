"""Files between S3 and the folders of jobs, moved by the platform."""

import contextlib
import time
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError


def parts_of(address: str) -> tuple[str, str]:
    """Return bucket and key of `s3://bucket/key`.

    >>> parts_of("s3://bucket/a/b")
    ('bucket', 'a/b')
    """
    bucket, _, key = address.removeprefix("s3://").partition("/")
    return bucket, key


def keys_under(client: Any, address: str) -> list[str]:
    """Return the keys that begin with an address's, in order; folders' own entries are left out."""
    bucket, prefix = parts_of(address)
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [one["Key"] for page in pages for one in page.get("Contents", []) if not one["Key"].endswith("/")]


def place_of(key: str, prefix: str) -> str:
    """Return the path of an object below the folder that its prefix is copied to.

    >>> place_of("data/train/a", "data/train"), place_of("data/train/a", "data/train/")
    ('a', 'a')
    >>> place_of("data/model.tar.gz", "data/model.tar.gz")
    'model.tar.gz'
    """
    if key == prefix:
        return key.rpartition("/")[2]
    base = prefix if prefix.endswith("/") or key.startswith(prefix + "/") else prefix.rpartition("/")[0]
    return key[len(base) :].lstrip("/")


def fetch(client: Any, address: str, folder: Path, *, host: int = 0, hosts: int = 1) -> int:
    """Copy what lies under an address into a folder; with several hosts, this host's share of it.

    Returns:
        How many objects lie there, for all hosts.
    """
    bucket, prefix = parts_of(address)
    keys = keys_under(client, address)
    for key in keys[host::hosts]:
        place = folder / place_of(key, prefix)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(client.get_object(Bucket=bucket, Key=key)["Body"].read())
    return len(keys)


def exists(client: Any, address: str) -> bool:
    """Return whether an object is there."""
    bucket, key = parts_of(address)
    with contextlib.suppress(ClientError):
        client.head_object(Bucket=bucket, Key=key)
        return True
    return False


def send(client: Any, body: bytes, address: str, *, kms_key: str | None = None, kind: str = "") -> None:
    """Write an object.

    Args:
        client: for S3.
        body: its content.
        address: where it goes.
        kms_key: the key that it is encrypted with, or None.
        kind: its content type.
    """
    bucket, key = parts_of(address)
    encrypted = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": kms_key} if kms_key else {}
    typed = {"ContentType": kind} if kind else {}
    client.put_object(Bucket=bucket, Key=key, Body=body, **encrypted, **typed)


class Mirror:
    """A folder that is kept in S3: what changed since the last time is sent.

    Args:
        client: for S3.
        folder: the folder.
        address: where it goes.
        sent_before: whether what it holds now came from there.
        kms_key: the key that it is encrypted with, or None.
    """

    def __init__(
        self,
        client: Any,
        folder: Path,
        address: str,
        *,
        sent_before: bool = False,
        kms_key: str | None = None,
    ) -> None:
        self._kms_key = kms_key
        self.client, self.folder, self.address = client, folder, address.rstrip("/")
        self.count = 0
        self._last = time.monotonic()
        self._sent = {path: _mark(path) for path in self._files()} if sent_before else {}

    def send(self, *, every: float = 0.0) -> None:
        """Send the files that are new or changed, unless that was done less than `every` seconds ago."""
        if time.monotonic() - self._last < every:
            return
        for path in self._files():
            # A job writes while we read: what vanishes or changes is sent the next time.
            with contextlib.suppress(FileNotFoundError):
                mark = _mark(path)
                if self._sent.get(path) != mark:
                    place = f"{self.address}/{path.relative_to(self.folder).as_posix()}"
                    send(self.client, path.read_bytes(), place, kms_key=self._kms_key)
                    self._sent[path] = mark
                    self.count += 1
        self._last = time.monotonic()

    def _files(self) -> list[Path]:
        return [path for path in sorted(self.folder.rglob("*")) if path.is_file()]


def _mark(path: Path) -> tuple[int, int]:
    state = path.stat()
    return state.st_mtime_ns, state.st_size

"""From this machine to S3."""

import logging
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mri_tumor.cloud.aws.account import Account
from mri_tumor.cloud.aws.addresses import S3Address
from mri_tumor.cloud.aws.refusals import asking, code_of
from mri_tumor.cloud.aws.s3.local_files import LocalFile, at_hand, files_of, listing
from mri_tumor.cloud.aws.s3.options import Options, resolved
from mri_tumor.cloud.aws.s3.report import Transfer
from mri_tumor.cloud.aws.s3.shards import ShardSet, check_shards, is_manifest, shard_set
from mri_tumor.cloud.aws.s3.stored import Stored, listed, looked_at
from mri_tumor.cloud.aws.s3.transfer import PART, Item, move
from mri_tumor.errors import CloudError
from mri_tumor.files import sha256_of
from mri_tumor.progress import bytes_moved, track

logger = logging.getLogger(__name__)

_ELSEWHERE = "choose another address, or remove what is there first (aws s3 rm --recursive)"


@dataclass(frozen=True)
class Upload:
    """One upload.

    Args:
        source: a folder, or one file.
        address: the folder in S3; or the object's own address, if it ends with the name of the one file.
        options: how objects are kept.
        threads: how many requests run at a time.
    """

    source: Path
    address: S3Address
    options: Options
    threads: int

    def run(self, account: Account, *, dry_run: bool) -> Transfer:
        """Send what is not there yet; errors as in `mri_tumor.cloud.upload`."""
        start = time.monotonic()
        files = files_of(self.source)
        sets = _shard_sets(files)
        sha256 = self._hashed(files)
        sizes = {file.name: file.size for file in files}
        for shards in sets:
            check_shards(shards, sizes, sha256, str(self.source), "write the shards again")
        client, options = account.client("s3"), resolved(self.options, account)
        there = self._there(client, files, sets, sha256, options)
        missing = [file for file in files if file.name not in there]
        if missing and not dry_run:
            self._send(client, missing, sets, sha256, options)
        return Transfer(
            "up",
            str(self._result()),
            self.source,
            tuple(file.name for file in missing),
            tuple(file.name for file in files if file.name in there),
            sum(file.size for file in missing),
            time.monotonic() - start,
            dry_run,
        )

    def _result(self) -> S3Address:
        return self._object(self.source.name) if self.source.is_file() else self.address

    def _object(self, name: str) -> S3Address:
        if self.source.is_file() and self.address.name == name:
            return self.address
        return self.address / name

    def _prefix(self) -> str:
        """Return how the keys of all objects of this upload begin."""
        return self._result().key if self.source.is_file() else self.address.inside

    def _hashed(self, files: Sequence[LocalFile]) -> dict[str, str]:
        with ThreadPoolExecutor(self.threads) as pool:
            digests = pool.map(sha256_of, [file.path for file in files])
            shown = track(digests, f"computing checksums of {self.source}", len(files))
            with at_hand(self.source):
                return {file.name: digest for file, digest in zip(files, shown, strict=True)}

    def _there(
        self,
        client: Any,
        files: Sequence[LocalFile],
        sets: Sequence[ShardSet],
        sha256: Mapping[str, str],
        options: Options,
    ) -> set[str]:
        """Return the names of files that S3 has already.

        Raises:
            CloudError: S3 has something else in a place where a file goes, or anything else in a folder of
                shards.
        """
        keys = {self._object(file.name).key: file for file in files}
        found = listed(client, self.address.bucket, self._prefix())
        problems = [f"{key} has no file" for key in self._strange(found.keys() - keys, sets)]
        stored = looked_at(client, self.address.bucket, sorted(found.keys() & keys), self.threads)
        agree = {key: item.agrees(keys[key].path, sha256[keys[key].name]) for key, item in stored.items()}
        problems += [f"{key} is not as {keys[key].path}" for key, same in agree.items() if same is False]
        if problems:
            raise CloudError(
                f"{self.address} holds other things than {self.source}:{listing(problems)}",
                "an address where nothing else lies; nothing is overwritten or deleted",
                _ELSEWHERE,
            )
        # What cannot be compared is sent again, and so is what another key encrypts.
        return {keys[key].name for key, same in agree.items() if same and options.encrypts(stored[key])}

    def _strange(self, others: Iterable[str], sets: Sequence[ShardSet]) -> list[str]:
        """Return the keys of objects that a job would read as if they belonged to a folder of shards."""
        folders = tuple(f"{self.address.inside}{shards.folder}" for shards in sets)
        return sorted(key for key in others if key.startswith(folders))

    def _send(
        self,
        client: Any,
        files: Sequence[LocalFile],
        sets: Sequence[ShardSet],
        sha256: Mapping[str, str],
        options: Options,
    ) -> None:
        in_parts = {self._object(file.name).key for file in files if file.size >= PART}
        if in_parts:
            _give_up_unfinished(client, self.address.bucket, self._prefix(), in_parts)
        by_name = {file.name: file for file in files}

        def start(manager: Any, item: Item, listeners: list[Any]) -> None:
            place, given = item.address, options.arguments(sha256[item.name])
            manager.upload(str(item.path), place.bucket, place.key, extra_args=given, subscribers=listeners)

        def finished(item: Item) -> None:
            if not by_name[item.name].is_unchanged():
                found = f"{item.path} was changed while it was sent to {item.address}"
                raise CloudError(found, "files that nobody writes to", f"wait for it, then {_ELSEWHERE}")

        # A folder whose manifest is there is whole for everybody who reads it.
        first, last = ([file for file in files if is_manifest(file.name) is late] for late in (False, True))
        with bytes_moved(f"sending to {self.address}", sum(file.size for file in files)) as moved:
            move(client, self._items(first), start, self.threads, moved, finished)
            self._verify(client, sets)
            move(client, self._items(last), start, self.threads, moved, finished)

    def _items(self, files: Sequence[LocalFile]) -> list[Item]:
        return [Item(file.name, file.path, self._object(file.name), file.size) for file in files]

    def _verify(self, client: Any, sets: Sequence[ShardSet]) -> None:
        """Ask S3 for every shard that the manifests name."""
        for shards in sets:
            keys = {self._object(name).key: name for name in shards.cards}
            stored = looked_at(client, self.address.bucket, keys, self.threads)
            sizes = {keys[key]: item.size for key, item in stored.items()}
            check_shards(shards, sizes, _known(stored, keys), str(self.address), "call it again")


def _known(stored: Mapping[str, Stored], keys: Mapping[str, str]) -> dict[str, str]:
    return {
        keys[key]: item.digest.value
        for key, item in stored.items()
        if item.digest and item.digest.kind == "sha256"
    }


def _shard_sets(files: Sequence[LocalFile]) -> list[ShardSet]:
    names = [file.name for file in files]
    manifests = [file for file in files if len(files) > 1 and is_manifest(file.name)]
    found = [shard_set(file.name, file.path.read_bytes(), names, str(file.path)) for file in manifests]
    return [shards for shards in found if shards is not None]


def _give_up_unfinished(client: Any, bucket: str, prefix: str, keys: Collection[str]) -> None:
    """Remove the parts that a killed upload of the same objects left, which nobody sees and AWS bills.

    They are not gone on with: S3 does not say which file they are of.
    """
    from botocore.exceptions import ClientError

    with asking(f"looking for unfinished uploads to s3://{bucket}/{prefix}"):
        try:
            pages = client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=prefix)
            for upload in [one for page in pages for one in page.get("Uploads", ()) if one["Key"] in keys]:
                client.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])
                logger.info("gave up an unfinished upload of %s", S3Address(bucket, upload["Key"]))
        except ClientError as error:
            # What some servers say when there is none, and all when it has just ended.
            if code_of(error) != "NoSuchUpload":
                raise

"""From this machine to S3."""

import logging
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mri_tumor.cloud.aws.account import Account
from mri_tumor.cloud.aws.addresses import S3Address
from mri_tumor.cloud.aws.refusals import asking, code_of
from mri_tumor.cloud.aws.s3.local_files import LocalFile, at_hand, files_of, listing
from mri_tumor.cloud.aws.s3.options import Options, resolved
from mri_tumor.cloud.aws.s3.parallel import side_by_side
from mri_tumor.cloud.aws.s3.report import Transfer
from mri_tumor.cloud.aws.s3.shards import ShardSet, check_shards, is_manifest, shard_set
from mri_tumor.cloud.aws.s3.stored import Stored, listed, looked_at
from mri_tumor.cloud.aws.s3.transfer import PART, Item, move
from mri_tumor.errors import CloudError, ShardError
from mri_tumor.files import sha256_of
from mri_tumor.progress import bytes_moved

logger = logging.getLogger(__name__)

_ELSEWHERE = "choose another address, or remove what is there first (aws s3 rm --recursive)"


@dataclass(frozen=True)
class _Outgoing:
    """A file, its SHA-256, and where it goes."""

    file: LocalFile
    sha256: str
    address: S3Address

    @property
    def item(self) -> Item:
        return Item(self.file.name, self.file.path, self.address, self.file.size)

    def is_stored_as(self, stored: Stored | None) -> bool | None:
        return False if stored is None else stored.agrees(self.file.path, self.sha256)


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
        alone = self.source.is_file()
        files = self._outgoing(alone)
        sets = [] if alone else self._shard_sets(files)
        client, options = account.client("s3"), resolved(self.options, account)
        prefix = files[0].address.key if alone else self.address.inside
        there = self._there(client, files, sets, prefix, options)
        missing = [file for file in files if file.file.name not in there]
        if missing and not dry_run:
            in_parts = {file.address.key for file in missing if file.file.size >= PART}
            if in_parts:
                _give_up_unfinished(client, self.address.bucket, prefix, in_parts)
            self._send(client, files, missing, sets, options)
        return Transfer(
            "up",
            str(files[0].address if alone else self.address),
            self.source,
            tuple(file.file.name for file in missing),
            tuple(file.file.name for file in files if file.file.name in there),
            sum(file.file.size for file in missing),
            time.monotonic() - start,
            dry_run,
        )

    def _outgoing(self, alone: bool) -> list[_Outgoing]:
        doing = f"computing checksums of {self.source}"
        with at_hand(self.source):
            files = files_of(self.source)
            digests = side_by_side(sha256_of, [file.path for file in files], self.threads, doing)
        own = alone and self.address.name == files[0].name
        return [
            _Outgoing(file, digest, self.address if own else self.address / file.name)
            for file, digest in zip(files, digests, strict=True)
        ]

    def _shard_sets(self, files: Sequence[_Outgoing]) -> list[ShardSet]:
        """Return what the manifests among the files name, after comparing it with the files.

        Raises:
            ShardError: they differ.
            ManifestMismatch: a manifest cannot be read.
        """
        sizes = {file.file.name: file.file.size for file in files}
        digests = {file.file.name: file.sha256 for file in files}
        found = []
        for name in filter(is_manifest, sizes):
            path = self.source / name
            with at_hand(path):
                shards = shard_set(name, path.read_bytes(), sizes, str(path))
            if shards is not None:
                check_shards(shards, sizes, digests, str(self.source), "write the shards again")
                found.append(shards)
        return found

    def _there(
        self,
        client: Any,
        files: Sequence[_Outgoing],
        sets: Sequence[ShardSet],
        prefix: str,
        options: Options,
    ) -> set[str]:
        """Return the names of files that S3 has already.

        Raises:
            CloudError: S3 has something else in a place where a file goes, or anything else in a folder of
                shards.
        """
        keys = {file.address.key: file for file in files}
        found = listed(client, self.address.bucket, prefix)
        stored = looked_at(client, self.address.bucket, sorted(found.keys() & keys), self.threads)
        same = {key: keys[key].is_stored_as(item) for key, item in stored.items()}
        problems = [
            f"{key} differs from {keys[key].file.path}" for key, is_same in same.items() if is_same is False
        ]
        problems += [f"{key} is in S3 only" for key in self._strange(found.keys() - keys, sets)]
        if problems:
            raise CloudError(
                f"{self.address} holds other things than {self.source}:{listing(problems)}",
                "an address where nothing else lies; nothing is overwritten or deleted",
                _ELSEWHERE,
            )
        # What cannot be compared is sent again, and so is what another key encrypts.
        return {keys[key].file.name for key, item in stored.items() if same[key] and options.encrypts(item)}

    def _strange(self, others: Iterable[str], sets: Sequence[ShardSet]) -> list[str]:
        """Return the keys of objects that a job would read as if they belonged to a folder of shards."""
        folders = tuple(f"{self.address.inside}{shards.folder}" for shards in sets)
        return sorted(key for key in others if key.startswith(folders))

    def _send(
        self,
        client: Any,
        files: Sequence[_Outgoing],
        missing: Sequence[_Outgoing],
        sets: Sequence[ShardSet],
        options: Options,
    ) -> None:
        by_name = {file.file.name: file for file in files}

        def start(manager: Any, item: Item, listeners: list[Any]) -> None:
            place, given = item.address, options.arguments(by_name[item.name].sha256)
            manager.upload(str(item.path), place.bucket, place.key, extra_args=given, subscribers=listeners)

        def finished(item: Item) -> None:
            if not by_name[item.name].file.is_unchanged():
                found = f"{item.path} was changed while it was sent to {item.address}"
                raise CloudError(found, "files that nobody writes to", f"wait for it, then {_ELSEWHERE}")

        with bytes_moved(f"sending to {self.address}", sum(file.file.size for file in missing)) as moved:
            # A folder whose manifest is there is whole for everybody who reads it.
            for late in (False, True):
                items = [file.item for file in missing if is_manifest(file.file.name) is late]
                move(client, items, start, self.threads, moved, finished)
                if not late:
                    self._verify(client, [by_name[name] for shards in sets for name in shards.cards])

    def _verify(self, client: Any, shards: Sequence[_Outgoing]) -> None:
        """Ask S3 for every shard that the manifests name.

        Raises:
            ShardError: one is not there, or another one.
        """
        keys = [file.address.key for file in shards]
        stored = looked_at(client, self.address.bucket, keys, self.threads)
        for file in shards:
            if not file.is_stored_as(stored.get(file.address.key)):
                found = f"{file.address} is not there, or not as {file.file.path}, after it was sent"
                raise ShardError(
                    found, "the shards that the manifest names", f"call it again, or {_ELSEWHERE}"
                )


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

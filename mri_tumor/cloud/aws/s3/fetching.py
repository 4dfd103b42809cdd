"""From S3 to this machine."""

import hashlib
import logging
import os
import shutil
import time
from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mri_tumor.cloud.aws.account import Account
from mri_tumor.cloud.aws.addresses import S3Address
from mri_tumor.cloud.aws.refusals import asking
from mri_tumor.cloud.aws.s3.local_files import at_hand, listing
from mri_tumor.cloud.aws.s3.report import Transfer
from mri_tumor.cloud.aws.s3.shards import check_shards, is_manifest, shard_set
from mri_tumor.cloud.aws.s3.stored import Digest, Stored, listed, looked_at
from mri_tumor.cloud.aws.s3.transfer import Item, move
from mri_tumor.cloud.file_names import problems_of
from mri_tumor.errors import ArgumentError, CloudError, DownloadError, ManifestMismatch
from mri_tumor.files import locked
from mri_tumor.progress import bytes_moved, size_text, track

logger = logging.getLogger(__name__)

_LARGEST_MANIFEST = 64 * 10**6  # bytes; it is read into memory
_AGAIN = "call it again: it goes on where it stopped"


@dataclass(frozen=True)
class Download:
    """One download.

    Args:
        address: of a folder in S3, or of one object.
        directory: where to.
        threads: how many requests run at a time.
    """

    address: S3Address
    directory: Path
    threads: int

    def run(self, account: Account, *, dry_run: bool) -> Transfer:
        """Fetch what is not there yet; errors as in `mri_tumor.cloud.download`."""
        start = time.monotonic()
        client = account.client("s3")
        found, alone = self._found(client)
        target = self.directory / next(iter(found)) if alone else self.directory
        with at_hand(target):
            missing = self._missing(client, found, target, alone=alone, dry_run=dry_run)
        return Transfer(
            "down",
            str(self.address),
            target,
            tuple(name for name in found if name in missing),
            tuple(name for name in found if name not in missing),
            sum(found[name].size for name in missing),
            time.monotonic() - start,
            dry_run,
        )

    def _missing(
        self, client: Any, found: Mapping[str, Stored], target: Path, *, alone: bool, dry_run: bool
    ) -> set[str]:
        """Return the names of what is not there yet; unless it is a dry run, it is there afterwards."""
        if self._is_there(target, found, alone):
            return set()
        partial = target.parent / f".download-{target.name}"
        missing = {name for name in found if not _holds(found[name], partial / name)}
        if not dry_run:
            partial.mkdir(parents=True, exist_ok=True)
            with locked(partial, target):
                self._fetch(client, found, missing, partial)
                _put(partial / target.name if alone else partial, target)
                if alone:
                    partial.rmdir()
        return missing

    def _found(self, client: Any) -> tuple[dict[str, Stored], bool]:
        """Return what is to be fetched by its name, and whether the address is that of one object.

        Raises:
            CloudError: there is nothing, or something that cannot be written below one folder.
            ShardError: a shard that a manifest names is not there.
            ManifestMismatch: a manifest beside shards cannot be read, or is far too large for one.
        """
        inside = self.address.inside
        keys = list(listed(client, self.address.bucket, inside))
        alone = not keys
        if alone:
            inside, keys = inside.removesuffix(self.address.name + "/"), [self.address.key]
        stored = looked_at(client, self.address.bucket, filter(None, keys), self.threads)
        if not stored:
            found = f"there is nothing at {self.address}"
            raise CloudError(found, "an object, or a prefix of some", "check the address", "NoSuchKey")
        found_by_name = {key.removeprefix(inside): item for key, item in stored.items()}
        problems = problems_of(found_by_name)
        if problems:
            found = f"{self.address} cannot be fetched:{listing(problems)}"
            raise CloudError(
                found, "names that stay inside one folder", "rename the objects, or fetch others"
            )
        return (found_by_name if alone else self._with_digests(client, found_by_name)), alone

    def _with_digests(self, client: Any, found: Mapping[str, Stored]) -> dict[str, Stored]:
        """Return the objects with what their manifests know of them, which counts more than what S3 does."""
        known = dict(found)
        for name in filter(is_manifest, found):
            text = self._text(client, name, found[name].size)
            shards = shard_set(name, text, found, str(self.address / name))
            if shards is not None:
                sizes = {name: item.size for name, item in found.items()}
                check_shards(shards, sizes, {}, str(self.address), "send the folder again with cloud.upload")
                for shard, (_, sha256) in shards.cards.items():
                    known[shard] = replace(known[shard], digest=Digest("sha256", sha256))
                # Another manifest may take its place meanwhile, but not unnoticed.
                known[name] = replace(known[name], digest=Digest("sha256", hashlib.sha256(text).hexdigest()))
        return known

    def _text(self, client: Any, name: str, size: int) -> bytes:
        place = self.address / name
        if size > _LARGEST_MANIFEST:
            found, expected = f"{place} has {size_text(size)}", f"at most {size_text(_LARGEST_MANIFEST)}"
            raise ManifestMismatch(found, expected, "look at what it is, and fetch the other objects alone")
        with asking(f"reading {place}"):
            return bytes(client.get_object(Bucket=place.bucket, Key=place.key)["Body"].read())

    def _is_there(self, target: Path, found: Mapping[str, Stored], alone: bool) -> bool:
        """Say whether all of it is there already.

        Raises:
            ArgumentError: something else is.
        """
        if not target.exists() or (target.is_dir() and not alone and not any(target.iterdir())):
            return False
        doing = f"computing checksums of {target}"
        paths = [(item, target if alone else target / name) for name, item in found.items()]
        if all(_holds(item, path) for item, path in track(paths, doing)):
            return True
        raise ArgumentError(
            f"{target} is there and is not {self.address}",
            "a new or empty folder, or a whole copy; nothing is overwritten",
            "choose another directory, or remove what is there",
        )

    def _fetch(self, client: Any, found: Mapping[str, Stored], missing: Set[str], partial: Path) -> None:
        """Fetch into a folder that then holds what was found, and nothing else."""
        _remove_others(partial, {partial / name for name in found.keys() - missing})
        items = [
            Item(name, partial / name, S3Address(self.address.bucket, found[name].key), found[name].size)
            for name in sorted(missing)
        ]
        size = sum(item.size for item in items)
        _check_room(partial, size)

        def finished(item: Item) -> None:
            _check(item, found[item.name])

        with bytes_moved(f"fetching {self.address}", size) as moved:
            for late in (False, True):
                group = [item for item in items if is_manifest(item.name) is late]
                move(client, group, _begin, self.threads, moved, finished)
        unknown = sum(item.digest is None for item in found.values())
        if unknown:
            only = "S3 knows no checksum of %d of %d files: only their lengths were compared"
            logger.warning(only, unknown, len(found))


def _begin(manager: Any, item: Item, listeners: list[Any]) -> None:
    item.path.parent.mkdir(parents=True, exist_ok=True)
    manager.download(item.address.bucket, item.address.key, str(item.path), subscribers=listeners)


def _check(item: Item, stored: Stored) -> None:
    """Remove a file that is not what its object should be, and write the others to the disk.

    Raises:
        DownloadError: it is not.
    """
    if stored.agrees(item.path) is False:
        size = item.path.stat().st_size
        item.path.unlink()
        digest = f" with {stored.digest.kind} {stored.digest.value:.12}" if stored.digest else ""
        raise DownloadError(
            f"{item.address} came with other content than it should have, in {size} bytes",
            f"{stored.size} bytes{digest}",
            f"{_AGAIN}; if it comes so again, send the file again with cloud.upload",
        )
    with item.path.open("rb") as file:
        os.fsync(file.fileno())


def _check_room(folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < size:
        found = f"{folder} has room for {size_text(free)}"
        raise DownloadError(found, f"room for {size_text(size)}", f"make room, and {_AGAIN}")


def _holds(item: Stored, path: Path) -> bool:
    """Say whether a file is certainly what an object is."""
    return path.is_file() and not path.is_symlink() and item.agrees(path) is True


def _remove_others(folder: Path, kept: set[Path]) -> None:
    """Remove what an interrupted call left half-written or an earlier one for other objects fetched."""
    for path in sorted(folder.rglob("*"), reverse=True):  # what is in a folder before the folder
        if path.is_dir() and not path.is_symlink():
            if not any(path.iterdir()):
                path.rmdir()
        elif path not in kept:
            path.unlink()


def _put(partial: Path, target: Path) -> None:
    if target.is_dir():
        target.rmdir()  # it is empty
    partial.replace(target)

"""Folders of shards on their way: what their manifests name must be there, and nothing else."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from mri_tumor.errors import ManifestMismatch, ShardError
from mri_tumor.manifest import FILE_NAME, Manifest


@dataclass(frozen=True)
class ShardSet:
    """The shards that one manifest names.

    Args:
        folder: where they lie, as their names begin: empty, or with a slash at its end.
        cards: name -> bytes and SHA-256.
    """

    folder: str
    cards: Mapping[str, tuple[int, str]]

    def holds(self, name: str) -> bool:
        """Say whether a file lies in this folder, or below it."""
        return name.startswith(self.folder)


def is_manifest(name: str) -> bool:
    """Say whether a file is the one that makes its folder an artefact; it is moved after all others.

    >>> is_manifest("train/manifest.json"), is_manifest("train/old-manifest.json")
    (True, False)
    """
    return name.rpartition("/")[2] == FILE_NAME


def shard_set(name: str, text: bytes, others: Iterable[str], source: str) -> ShardSet | None:
    """Read a manifest; None if it is not one of shards.

    Args:
        name: the manifest's, as in `"train/manifest.json"`.
        text: its content.
        others: the names of all files.
        source: what errors call it.

    Raises:
        ManifestMismatch: shards lie beside it, and it cannot be read.
    """
    folder = name.removesuffix(FILE_NAME)
    try:
        manifest = Manifest.from_json(text, source=source)
        return ShardSet(folder, dict(_cards(manifest, folder))) if manifest.kind == "shards" else None
    except ManifestMismatch:
        if any(is_shard(other) and other.startswith(folder) for other in others):
            raise
        return None  # a file of this name that is not ours
    except (KeyError, TypeError, ValueError) as error:
        raise ManifestMismatch(
            f"{source} lacks what shards need", "a list of shards", "write the shards again"
        ) from error


def is_shard(name: str) -> bool:
    """Say whether a file is one of shards by its name."""
    return name.endswith((".tfrecord", ".tfrecord.gz"))


def check_shards(
    shards: ShardSet, sizes: Mapping[str, int], digests: Mapping[str, str], where: str, fix: str
) -> None:
    """Compare what is there with what a manifest names.

    Args:
        shards: what must be there.
        sizes: name -> bytes of all files that are there.
        digests: name -> SHA-256, of those whose content is known.
        where: the folder, for the error.
        fix: what to do if it is not so.

    Raises:
        ShardError: a shard is missing, too many, or another one.
    """
    expected = f"the {len(shards.cards)} shards of its manifest"
    for name, (size, sha256) in shards.cards.items():
        if name not in sizes:
            raise ShardError(f"{where}: shard {name} is missing", expected, fix)
        if sizes[name] != size:
            raise ShardError(f"{where}: shard {name} has {sizes[name]} bytes", f"{size} bytes", fix)
        if name in digests and digests[name] != sha256:
            found = f"{where}: shard {name} has SHA-256 {digests[name]:.12}"
            raise ShardError(found, f"{sha256:.12}, as its manifest says", fix)
    for name in sizes:
        if is_shard(name) and shards.holds(name) and name not in shards.cards:
            raise ShardError(f"{where}: shard {name} is not in the manifest", expected, fix)


def _cards(manifest: Manifest, folder: str) -> Iterator[tuple[str, tuple[int, str]]]:
    cards: Any = manifest.sections["shards"]
    for card in cards:
        yield f"{folder}{card['name']}", (int(card["bytes"]), str(card["sha256"]))

"""What a transfer did."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mri_tumor.progress import size_text

_WORDS = {"up": ("send", "sent"), "down": ("fetch", "fetched")}


@dataclass(frozen=True)
class Transfer:
    """What a transfer between this machine and S3 did; of a dry run, what it would do.

    Args:
        direction: `"up"` to S3, or `"down"` from it.
        address: the folder in S3, or the object if one file was moved.
        path: the folder or file on this machine.
        files: names of the files that were moved, relative to the folder.
        there: names of those that were there already.
        bytes: how many were moved.
        seconds: how long it took, checksums included.
        dry_run: whether nothing was moved.

    >>> moved = Transfer("up", "s3://bucket/train", Path("train"), ("a", "b"), ("c",), 3_000_000, 1.5)
    >>> moved.summary()
    'sent 2 files (3.0 MB) to s3://bucket/train in 1.5 s, 2.0 MB/s; 1 was there already'
    """

    direction: Literal["up", "down"]
    address: str
    path: Path
    files: tuple[str, ...]
    there: tuple[str, ...]
    bytes: int
    seconds: float
    dry_run: bool = False

    def summary(self) -> str:
        """Return one line that says it."""
        verbs, to = _WORDS[self.direction], self.address if self.direction == "up" else self.path
        done = f"would {verbs[0]}" if self.dry_run else verbs[1]
        files = "1 file" if len(self.files) == 1 else f"{len(self.files)} files"
        text = f"{done} {files} ({size_text(self.bytes)}) to {to}"
        if not self.dry_run:
            text += f" in {self.seconds:.1f} s, {size_text(self.bytes / max(self.seconds, 1e-3))}/s"
        were = "was" if len(self.there) == 1 else "were"
        return f"{text}; {len(self.there)} {were} there already" if self.there else text

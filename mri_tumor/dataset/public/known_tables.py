"""The shipped tables of known pictures: hashes, groups and flags, never a picture."""

import csv
import gzip
import io
from dataclasses import dataclass
from functools import cache
from importlib import resources

SETS = ("sartaj", "figshare")
"""The public data sets whose pictures are known."""


@dataclass(frozen=True)
class KnownPicture:
    """One picture of a public data set.

    Args:
        source: the set, `"sartaj"` or `"figshare"`.
        id: its path inside the set.
        sha256: of the file's bytes.
        size: of the file, in bytes.
        pixels: `fingerprints.pixel_hash`.
        looks: `fingerprints.perceptual_hash`.
        group: what must stay on one side of a split, inside the set.
        cluster: near-duplicates of each other have the same one, inside the set; None where it is unknown.
        block: the run of figshare slices it comes from, None if it is not of figshare.
        flags: `"leaked"` (a test picture with a near-duplicate in training), `"identical"` (the same pixels
            there), `"conflict"` (stands under two labels), `"not_mr"`, `"source_label"` (labelled
            otherwise than in figshare, where it comes from).
    """

    source: str
    id: str
    sha256: str
    size: int
    pixels: str
    looks: str
    group: str
    cluster: str | None
    block: str | None
    flags: frozenset[str]

    @property
    def split(self) -> str | None:
        """The official split, `"Training"` or `"Testing"`; None where the set has none."""
        return self.id.split("/")[0] if self.source == "sartaj" else None


@cache
def known_pictures(source: str) -> tuple[KnownPicture, ...]:
    """Return the pictures of a set, sorted by id.

    >>> len(known_pictures("sartaj")), len(known_pictures("figshare"))
    (3264, 3064)
    """
    table = resources.files("mri_tumor.dataset.public").joinpath("known_pictures", f"{source}.csv.gz")
    text = gzip.decompress(table.read_bytes()).decode()
    return tuple(
        KnownPicture(
            source,
            row["id"],
            row["sha256"],
            int(row["size"]),
            row["pixels"],
            row["looks"],
            row["group"],
            row["cluster"] or None,
            row["figshare_block"] or None,
            frozenset(row["flags"].split()),
        )
        for row in csv.DictReader(io.StringIO(text))
    )

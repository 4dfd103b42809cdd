"""What a catalog's division into parts was: every part bears it, and every manifest made of one names it."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from mri_tumor.dataset.catalog import Catalog
from mri_tumor.files import digest_of


@dataclass(frozen=True)
class Division:
    """Which division a catalog is a part of, and how that was made where it is known.

    Args:
        digest: `division_digest` of its parts.
        by: `"group"` or `"image"`, as in `split`; None for parts that were chosen in another way.
        seed: as in `split`, or None.
        fractions: as in `split`, or None.
    """

    digest: str
    by: str | None = None
    seed: int | None = None
    fractions: tuple[float, ...] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the division as the JSON object that manifests hold."""
        return asdict(self) | {"fractions": None if self.fractions is None else list(self.fractions)}

    @classmethod
    def from_dict(cls, card: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote; further keys are left aside.

        Raises:
            KeyError, TypeError, ValueError: it is something else.
        """
        digest, by, seed, fractions = (card[name] for name in ("digest", "by", "seed", "fractions"))
        if not isinstance(digest, str) or not isinstance(by, str | None) or not isinstance(seed, int | None):
            raise TypeError("digest, by or seed is of another type")
        return cls(digest, by, seed, None if fractions is None else tuple(map(float, fractions)))


def division_digest(parts: Iterable[Catalog]) -> str:
    """Return the SHA-256 over what lies together: ids, labels, groups and files' SHA-256, part by part.

    Neither the order of pictures and parts nor the folders' places count.

    >>> from pathlib import Path
    >>> from mri_tumor.dataset.records import Record
    >>> one, two = (Catalog([Record(name, Path(name), "none")]) for name in ("a.png", "b.png"))
    >>> division_digest([one, two]) == division_digest([two, one])
    True
    """
    parts = list(parts)
    return digest_of(
        {"classes": list(parts[0].classes), "parts": sorted(digest_of(_rows(part)) for part in parts)}
    )


def divided(parts: Iterable[Catalog], division: Division) -> list[Catalog]:
    """Return the parts, each bearing the division."""
    return [Catalog(part, part.classes, division=division) for part in parts]


def _rows(part: Catalog) -> list[list[str | None]]:
    rows: list[list[str | None]] = [[one.id, one.label, one.group, one.digest] for one in part]
    return sorted(rows, key=lambda row: str(row[0]))

"""What an audit found: as data, as a mapping of groups, and as text, a table and a page."""

from collections import Counter
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from mri_tumor.dataset.auditing.file_checks import FileFinding
from mri_tumor.dataset.auditing.shortcuts import Sample, Shortcuts, probe
from mri_tumor.dataset.auditing.traits import Traits
from mri_tumor.dataset.copies.pairs import TEST, TRAIN, Copies, Leak, Pair, sets_of_copies
from mri_tumor.dataset.tables import few
from mri_tumor.errors import CatalogError


@dataclass(frozen=True)
class Audited:
    """One picture of an audit.

    Args:
        id: its name in its catalog.
        side: `"train"` or `"test"`.
        label: its class.
        group: what it belongs to, near-duplicates and the catalog's own group joined.
        path: its file.
        traits: what was measured of it; None if it cannot be read.
    """

    id: str
    side: str
    label: str
    group: str
    path: Path
    traits: Traits | None


@dataclass(frozen=True)
class AuditReport:
    """What `audit` found.

    Args:
        classes: the class names in order.
        pictures: every picture, the training pictures first.
        distinct: how many different pictures there are among those that can be read.
        pairs: files with the same picture: enough of them to tie all copies together, and so that a leaked
            picture, or one under two labels, is in one that shows it, if it is a copy of one of the 8 of its
            set that are nearest to it on the other side or under the other label.
        files: what is odd about single files, in the order of `pictures`.

    >>> import tempfile
    >>> from mri_tumor.dataset import make_phantoms
    >>> from mri_tumor.dataset.audit import audit
    >>> report = audit(make_phantoms(tempfile.mkdtemp(), per_class=5, size=64))
    >>> print(report.summary().splitlines()[0])
    20 pictures (16 training, 4 test), 18 distinct; 11 groups, the largest of 4
    >>> report.leaks[0].train, report.leaks[0].kind
    ('Training/no_tumor/p0000006-0.png', 'pixel-identical')
    """

    classes: tuple[str, ...]
    pictures: tuple[Audited, ...] = field(repr=False)
    distinct: int
    pairs: tuple[Pair, ...] = field(repr=False)
    files: tuple[FileFinding, ...] = field(repr=False)

    @cached_property
    def train_labels(self) -> dict[str, str]:
        """Id -> label of the training pictures."""
        return {picture.id: picture.label for picture in self._of(TRAIN)}

    @cached_property
    def test_labels(self) -> dict[str, str]:
        """Id -> label of the test pictures; empty without a test set."""
        return {picture.id: picture.label for picture in self._of(TEST)}

    @cached_property
    def train_groups(self) -> dict[str, str]:
        """Id -> group of the training pictures."""
        return {picture.id: picture.group for picture in self._of(TRAIN)}

    @cached_property
    def test_groups(self) -> dict[str, str]:
        """Id -> group of the test pictures."""
        return {picture.id: picture.group for picture in self._of(TEST)}

    @property
    def groups(self) -> dict[str, str]:
        """Id -> group for every picture: near-duplicates, joined with the groups that the catalogs held.

        Raises:
            CatalogError: an id names one picture in training and another in the test.
        """
        clashing = [
            name for name, group in self.test_groups.items() if self.train_groups.get(name, group) != group
        ]
        if clashing:
            raise CatalogError(
                f"{len(clashing)} ids name different pictures in training and in the test: {few(clashing)}",
                "ids that differ, as in a scan of the folder that holds Training/ and Testing/",
                "take .train_groups and .test_groups",
            )
        return {**self.train_groups, **self.test_groups}

    @cached_property
    def leaks(self) -> tuple[Leak, ...]:
        """The pairs across training and test, in test order; each leaked test picture is in at least one."""
        places = {name: place for place, name in enumerate(self.test_labels)}
        across = sorted((pair for pair in self.pairs if pair.leak), key=lambda pair: places[pair.second])
        return tuple(map(Leak.of, across))

    @cached_property
    def conflicts(self) -> tuple[Pair, ...]:
        """The pairs of the same picture under two labels; every picture concerned is in at least one."""
        return tuple(pair for pair in self.pairs if pair.conflict)

    @cached_property
    def copies(self) -> tuple[Copies, ...]:
        """The sets of files with the same picture, inside and across training and test, the largest first."""
        return sets_of_copies(self.pairs)

    @cached_property
    def unreadable(self) -> tuple[FileFinding, ...]:
        """The files that cannot be read, empty ones among them: they were not compared."""
        return tuple(finding for finding in self.files if finding.kind in ("unreadable", "empty"))

    @property
    def leaked_ids(self) -> tuple[str, ...]:
        """The test pictures that are also in training, identical or as near-duplicates, in test order."""
        return tuple(dict.fromkeys(leak.test for leak in self.leaks))

    @property
    def shared_groups(self) -> tuple[str, ...]:
        """The groups that have pictures in training and in the test."""
        return tuple(sorted(set(self.train_groups.values()) & set(self.test_groups.values())))

    @cached_property
    def mixed_groups(self) -> tuple[str, ...]:
        """The groups with pictures of two classes or more.

        `split` and `folds` keep them whole and count each for the class that most of its pictures have.
        """
        labels: dict[str, set[str]] = {}
        for picture in self.pictures:
            labels.setdefault(picture.group, set()).add(picture.label)
        return tuple(sorted(group for group, held in labels.items() if len(held) > 1))

    @property
    def balance(self) -> dict[str, dict[str, int]]:
        """Side -> class -> number of pictures; the test only if there is one."""
        counts = Counter((picture.side, picture.label) for picture in self.pictures)
        sides = (TRAIN, TEST) if self.test_labels else (TRAIN,)
        return {side: {label: counts[side, label] for label in self.classes} for side in sides}

    @cached_property
    def shortcuts(self) -> Shortcuts:
        """How well size, bytes, borders and brightness alone tell the classes; worked out when asked."""
        return probe(self._samples(TRAIN), self._samples(TEST))

    def summary(self, examples: int = 5) -> str:
        """Return what was found as text: counts, tables, and the first few of each finding.

        Args:
            examples: how many pairs and files to name; the rest is counted.

        Raises:
            ArgumentError: `examples` is below 0 or no whole number.
        """
        from mri_tumor.dataset.auditing.text import summary

        return summary(self, examples)

    def to_csv(self, path: str | Path) -> None:
        """Write the findings as a UTF-8 CSV table: one row a pair of pictures or a file.

        Columns: kind, first, second, first_side, second_side, first_label, second_label, leak, conflict
        (`yes` or empty), correlation, relation, same_file (`yes` or empty), found and fix (of files).
        """
        from mri_tumor.dataset.auditing.table import write_findings

        write_findings(path, self)

    def to_html(self, path: str | Path, *, pairs: int = 12) -> None:
        """Write the report as one page with nothing to load: tables, charts, and pairs side by side.

        The page holds pictures of the set. Do not pass it on if they must not be passed on.

        Args:
            path: where to write it.
            pairs: how many pairs of a kind to show, the most doubtful first; the rest is counted.

        Raises:
            ArgumentError: `pairs` is below 0.
        """
        from mri_tumor.dataset.auditing.page import write_page

        write_page(path, self, pairs)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            "pictures": {
                TRAIN: len(self.train_labels),
                TEST: len(self.test_labels),
                "distinct": self.distinct,
            },
            "balance": self.balance,
            "groups": {TRAIN: dict(self.train_groups), TEST: dict(self.test_groups)},
            "shared_groups": list(self.shared_groups),
            "mixed_groups": list(self.mixed_groups),
            "leaked_ids": list(self.leaked_ids),
            "leaks": [asdict(leak) for leak in self.leaks],
            "conflicts": [_json(pair) for pair in self.conflicts],
            "copies": [_json(copies) for copies in self.copies],
            "files": [asdict(finding) for finding in self.files],
            "shortcuts": {**asdict(self.shortcuts), "scores": [asdict(s) for s in self.shortcuts.scores]},
        }

    def _of(self, side: str) -> list[Audited]:
        return [picture for picture in self.pictures if picture.side == side]

    def _samples(self, side: str) -> list[Sample]:
        return [
            Sample(picture.label, picture.group, picture.traits)
            for picture in self._of(side)
            if picture.traits is not None
        ]


def _json(value: Pair | Copies) -> dict[str, Any]:
    return {key: list(item) if isinstance(item, tuple) else item for key, item in asdict(value).items()}

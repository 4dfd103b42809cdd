"""What an audit found, as data, as a mapping of groups and as text."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from mri_tumor.dataset.duplicates import PIXEL_IDENTICAL
from mri_tumor.dataset.tables import few, text_table
from mri_tumor.errors import CatalogError

TRAIN, TEST = "train", "test"


@dataclass(frozen=True)
class Leak:
    """A test picture that is also in training.

    Args:
        test: its id.
        train: the id of the training picture; the first of them where that has copies.
        kind: `"pixel-identical"` or `"near-duplicate"`.
        correlation: of the thumbnails, at most 1; 1 for identical pictures.
    """

    test: str
    train: str
    kind: str
    correlation: float


@dataclass(frozen=True)
class Conflict:
    """The same picture under two labels.

    Args:
        first: id of one picture.
        second: id of the other.
        labels: their labels in this order.
        sides: `"train"` or `"test"`, in this order.
        kind: `"pixel-identical"` or `"near-duplicate"`.
        correlation: of the thumbnails, at most 1; 1 for identical pictures.
    """

    first: str
    second: str
    labels: tuple[str, str]
    sides: tuple[str, str]
    kind: str
    correlation: float


@dataclass(frozen=True)
class Unreadable:
    """A picture that cannot be read, and why."""

    id: str
    side: str
    reason: str


@dataclass(frozen=True)
class AuditReport:
    """What `audit` found.

    Args:
        classes: the class names in order.
        train_labels: id -> label of the training pictures.
        test_labels: id -> label of the test pictures; empty without a test set.
        distinct: how many different pictures there are among those that can be read.
        train_groups: id -> group of the training pictures.
        test_groups: id -> group of the test pictures.
        leaks: pairs across training and test; one for each test picture and different training picture.
        conflicts: pairs of the same picture under two labels; every picture concerned is in at least one.
        unreadable: what was left out by `on_error="skip"`.
    """

    classes: tuple[str, ...]
    train_labels: Mapping[str, str]
    test_labels: Mapping[str, str]
    distinct: int
    train_groups: Mapping[str, str]
    test_groups: Mapping[str, str]
    leaks: tuple[Leak, ...]
    conflicts: tuple[Conflict, ...]
    unreadable: tuple[Unreadable, ...]

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

    @property
    def leaked_ids(self) -> tuple[str, ...]:
        """The test pictures that are also in training, identical or as near-duplicates, in test order."""
        return tuple(dict.fromkeys(leak.test for leak in self.leaks))

    @property
    def shared_groups(self) -> tuple[str, ...]:
        """The groups that have pictures in training and in the test."""
        return tuple(sorted(set(self.train_groups.values()) & set(self.test_groups.values())))

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON values."""
        return {
            "pictures": {
                TRAIN: len(self.train_labels),
                TEST: len(self.test_labels),
                "distinct": self.distinct,
            },
            "groups": {TRAIN: dict(self.train_groups), TEST: dict(self.test_groups)},
            "shared_groups": list(self.shared_groups),
            "leaked_ids": list(self.leaked_ids),
            "leaks": [asdict(leak) for leak in self.leaks],
            "conflicts": [
                {**asdict(conflict), "labels": list(conflict.labels), "sides": list(conflict.sides)}
                for conflict in self.conflicts
            ],
            "unreadable": [asdict(picture) for picture in self.unreadable],
        }

    def summary(self, examples: int = 5) -> str:
        """Return what was found as text: counts, leaks by class, and the first few of each finding.

        Args:
            examples: how many pairs and files to name; the rest is counted.
        """
        leaks = [f"{leak.test} = {leak.train}, {_how(leak)}" for leak in self.leaks]
        conflicts = [
            f"{pair.first} ({pair.labels[0]}) = {pair.second} ({pair.labels[1]}), {_how(pair)}"
            for pair in self.conflicts
        ]
        unreadable = [picture.reason for picture in self.unreadable]
        blocks = [
            self._counts(),
            self._leaks_by_class() if self.test_labels else "",
            _listing("Leaks, test = training", leaks, examples),
            _listing("One picture under two labels", conflicts, examples),
            _listing("Unreadable, left out", unreadable, examples),
        ]
        return "\n\n".join(block for block in blocks if block)

    def _counts(self) -> str:
        sizes = Counter([*self.train_groups.values(), *self.test_groups.values()])
        sides = (
            f" ({len(self.train_labels)} training, {len(self.test_labels)} test)" if self.test_labels else ""
        )
        return (
            f"{sizes.total()} pictures{sides}, {self.distinct} distinct; "
            f"{len(sizes)} groups, the largest of {max(sizes.values(), default=0)}"
        )

    def _leaks_by_class(self) -> str:
        identical = {leak.test for leak in self.leaks if leak.kind == PIXEL_IDENTICAL}
        near = set(self.leaked_ids) - identical
        columns = [self._by_class(names) for names in (self.test_labels, identical, near)]
        rows = [
            (label, *map(str, counts), str(counts[0] - counts[1] - counts[2]))
            for label, *counts in zip((*self.classes, "all"), *columns, strict=True)
        ]
        table = text_table([("class", "test", "identical", "near-duplicate", "clean"), *rows])
        return f"Test pictures that are also in training\n{table}\n{self._related()}"

    def _by_class(self, test_ids: Collection[str]) -> list[int]:
        counts = Counter(self.test_labels[name] for name in test_ids)
        return [*(counts[label] for label in self.classes), counts.total()]

    def _related(self) -> str:
        shared, leaked = set(self.shared_groups), set(self.leaked_ids)
        count = sum(group in shared and name not in leaked for name, group in self.test_groups.items())
        return f"(of the clean ones, {count} share a group with training)"


def _how(pair: Leak | Conflict) -> str:
    return pair.kind if pair.kind == PIXEL_IDENTICAL else f"{pair.kind} ({pair.correlation:.4f})"


def _listing(title: str, lines: Sequence[str], examples: int) -> str:
    if not lines:
        return ""
    shown = [f"  {line}" for line in lines[:examples]]
    rest = [f"  and {len(lines) - examples} more"] if len(lines) > examples else []
    return "\n".join([f"{title}: {len(lines)}", *shown, *rest])

"""An audit's report as plain text."""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from mri_tumor.dataset.auditing.file_checks import KINDS, FileFinding
from mri_tumor.dataset.copies.duplicates import PIXEL_IDENTICAL
from mri_tumor.dataset.copies.pairs import TEST, TRAIN, Copies, how
from mri_tumor.dataset.draws import check_whole
from mri_tumor.dataset.tables import text_table

if TYPE_CHECKING:
    from mri_tumor.dataset.auditing.report import AuditReport

SIDE_NAMES = {TRAIN: "training", TEST: "test"}
"""What tables call the two sides."""

_FILE_TITLES = {"unreadable": "Unreadable, left out", "empty": "Empty files, left out"}


def summary(report: "AuditReport", examples: int) -> str:
    """Return a report's findings as blocks of text.

    Raises:
        ArgumentError: `examples`, how many findings of a kind to name, is below 0 or no whole number.
    """
    check_whole("examples", examples, 0)
    by_kind = [
        _listing(title, [finding.reason for finding in found], examples)
        for title, found in files_by_kind(report)
    ]
    blocks = [
        _counts(report),
        _table("Pictures by class", balance_rows(report)) + f"\n({balance_note(report)})",
        _leaks(report) if report.test_labels else "",
        f"What tells the classes without a look at the brain\n{report.shortcuts.summary()}",
        _listing("Leaks, test = training", _leak_lines(report), examples),
        _listing("One picture under two labels", _conflict_lines(report), examples),
        _listing("Sets of copies", [_set_line(copies) for copies in report.copies], examples),
        *by_kind,
        group_rule(report),
    ]
    return "\n\n".join(block for block in blocks if block)


def balance_rows(report: "AuditReport") -> list[tuple[str, ...]]:
    """Return the number and share of pictures by class and side, a header first."""
    sides = report.balance
    names = [title for side in sides for title in (SIDE_NAMES[side], "share")]
    rows: list[tuple[str, ...]] = [("class", *names)]
    for label in report.classes:
        rows.append((label, *(cell for counts in sides.values() for cell in _share(counts[label], counts))))
    totals = [cell for counts in sides.values() for cell in (str(sum(counts.values())), "")]
    return [*rows, ("all", *totals)]


def balance_note(report: "AuditReport") -> str:
    """Return how much larger the largest class is than the smallest, for each side."""
    parts = []
    for side, counts in report.balance.items():
        smallest, largest = min(counts.values()), max(counts.values())
        if smallest:
            parts.append(f"{largest / smallest:.1f} in {SIDE_NAMES[side]}")
        else:
            missing = ", ".join(label for label, count in counts.items() if not count)
            parts.append(f"unbounded in {SIDE_NAMES[side]}, which lacks {missing}")
    return f"largest class to smallest: {'; '.join(parts)}"


def leak_rows(report: "AuditReport") -> list[tuple[str, ...]]:
    """Return test pictures by class: all, identical in training, near-duplicates, clean; a header first."""
    identical = {leak.test for leak in report.leaks if leak.kind == PIXEL_IDENTICAL}
    near = set(report.leaked_ids) - identical
    columns = [_by_class(report, names) for names in (report.test_labels, identical, near)]
    rows = [
        (label, *map(str, counts), str(counts[0] - counts[1] - counts[2]))
        for label, *counts in zip((*report.classes, "all"), *columns, strict=True)
    ]
    return [("class", "test", "identical", "near-duplicate", "clean"), *rows]


def related_note(report: "AuditReport") -> str:
    """Return how many clean test pictures belong to a group that training has too."""
    shared, leaked = set(report.shared_groups), set(report.leaked_ids)
    count = sum(group in shared and name not in leaked for name, group in report.test_groups.items())
    return f"of the clean ones, {count} share a group with training"


def group_rule(report: "AuditReport") -> str:
    """Return what happens to groups that hold two classes, or nothing if there are none."""
    count = len(report.mixed_groups)
    if not count:
        return ""
    hold, stay = ("holds", "it stays") if count == 1 else ("hold", "each stays")
    noun = "group" if count == 1 else "groups"
    return (
        f"{count} {noun} {hold} two classes or more: {stay} whole in a split and counts for the class that "
        "most of its pictures have"
    )


def files_by_kind(report: "AuditReport") -> list[tuple[str, list[FileFinding]]]:
    """Return the findings about single files under a title for each kind, the gravest first."""
    kinds = [(kind, [finding for finding in report.files if finding.kind == kind]) for kind in KINDS]
    return [(_FILE_TITLES.get(kind, kind.capitalize()), found) for kind, found in kinds if found]


def _counts(report: "AuditReport") -> str:
    train, test = len(report.train_labels), len(report.test_labels)
    sizes = Counter(picture.group for picture in report.pictures)
    sides = f" ({train} training, {test} test)" if test else ""
    return (
        f"{sizes.total()} pictures{sides}, {report.distinct} distinct; "
        f"{len(sizes)} groups, the largest of {max(sizes.values(), default=0)}"
    )


def _share(count: int, counts: dict[str, int]) -> tuple[str, str]:
    return str(count), f"{count / max(1, sum(counts.values())):.0%}"


def _by_class(report: "AuditReport", test_ids: Collection[str]) -> list[int]:
    counts = Counter(report.test_labels[name] for name in test_ids)
    return [*(counts[label] for label in report.classes), counts.total()]


def _leaks(report: "AuditReport") -> str:
    return f"{_table('Test pictures that are also in training', leak_rows(report))}\n({related_note(report)})"


def _leak_lines(report: "AuditReport") -> list[str]:
    return [f"{leak.test} = {leak.train}, {how(leak)}" for leak in report.leaks]


def _conflict_lines(report: "AuditReport") -> list[str]:
    return [
        f"{pair.first} ({pair.labels[0]}) = {pair.second} ({pair.labels[1]}), {how(pair)}"
        for pair in report.conflicts
    ]


def _set_line(copies: Copies) -> str:
    sides = Counter(copies.sides)
    where = ", ".join(f"{sides[side]} {SIDE_NAMES[side]}" for side in (TRAIN, TEST) if sides[side])
    others = f" and {len(copies.ids) - 2} more" if len(copies.ids) > 2 else ""
    return f"{copies.ids[0]}, {copies.ids[1]}{others} ({where}; {copies.kind})"


def _table(title: str, rows: Sequence[Sequence[str]]) -> str:
    return f"{title}\n{text_table(rows)}"


def _listing(title: str, lines: Sequence[str], examples: int) -> str:
    if not lines:
        return ""
    shown = [f"  {line}" for line in lines[:examples]]
    rest = [f"  and {len(lines) - examples} more"] if len(lines) > examples else []
    return "\n".join([f"{title}: {len(lines)}", *shown, *rest])

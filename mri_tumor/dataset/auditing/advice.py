"""What to do about an audit's findings, in a few sentences."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mri_tumor.dataset.auditing.report import AuditReport


def advice(report: "AuditReport") -> list[str]:
    """Return one sentence or two for each thing that calls for something to be done."""
    steps = [*_about_leaks(report), *_about_labels(report), *_about_the_set(report)]
    return steps or ["Nothing was found that calls for something to be done."]


def _about_leaks(report: "AuditReport") -> Iterator[str]:
    leaked, tested = len(report.leaked_ids), len(report.test_labels)
    if leaked:
        yield (
            f"{leaked} of {tested} test pictures are also in training: a score on all of them is not true. "
            "Pass leaked=report to models.evaluate, which scores leaked and clean pictures apart."
        )
    copies = len(report.copies)
    if copies:
        yield (
            f"{copies} pictures are there more than once: take catalog.with_groups(report) before you split, "
            "so that copies stay on one side."
        )


def _about_labels(report: "AuditReport") -> Iterator[str]:
    if report.conflicts:
        yield (
            f"{len(report.conflicts)} pairs are one picture under two labels: one of the two is wrong. Look "
            "at them below, then correct the label or leave both out."
        )


def _about_the_set(report: "AuditReport") -> Iterator[str]:
    if report.unreadable:
        count = len(report.unreadable)
        yield f"{count} files cannot be read and were not compared: mend or remove them."
    strong = [score.traits for score in report.shortcuts.scores if score.strength == "strong"]
    if strong:
        yield (
            f"The classes can be told without a look at the brain, by {', '.join(strong)}. Bring all "
            "pictures to one size and format, crop to the head, and test on pictures from elsewhere."
        )
    rare = _rare(report.balance["train"])
    if rare:
        yield (
            f"{', '.join(rare)}: less than a third of the largest class's training pictures. Read scores by "
            "class, not accuracy alone."
        )


def _rare(counts: dict[str, int]) -> list[str]:
    return [label for label, count in counts.items() if 3 * count < max(counts.values())]

"""The charts of an audit's page: class balance, leaks by class, shortcuts."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.axes import Axes
from matplotlib.container import BarContainer
from matplotlib.figure import Figure

from mri_tumor.dataset.auditing.shortcuts import Shortcuts
from mri_tumor.dataset.auditing.text import SIDE_NAMES, leak_rows
from mri_tumor.labels import display_name
from mri_tumor.plots import ACCENT, INK, SECOND

if TYPE_CHECKING:
    from mri_tumor.dataset.auditing.report import AuditReport

PALE = "#b9cdd4"
"""What is as it should be, beside what is not."""

_ROW = 0.42  # inches a bar


def balance_chart(report: "AuditReport") -> Figure:
    """Draw the number of pictures of each class, training and test beside each other."""
    sides = report.balance
    figure, axes = _across(len(report.classes) * len(sides), [display_name(name) for name in report.classes])
    height = 0.8 / len(sides)
    for number, (side, colour) in enumerate(zip(sides, (ACCENT, SECOND), strict=False)):
        counts = [sides[side][label] for label in report.classes]
        places = np.arange(len(counts)) + (number - (len(sides) - 1) / 2) * height
        bars = axes.barh(places, counts, height * 0.92, color=colour, label=SIDE_NAMES[side])
        axes.bar_label(bars, padding=3, fontsize=9, color=INK)
    axes.set_xlabel("pictures")
    axes.margins(x=0.12)
    _legend(axes, len(sides))
    return figure


def leaks_chart(report: "AuditReport") -> Figure:
    """Draw the test pictures of each class: identical in training, near-duplicates, and clean ones."""
    header, *rows = leak_rows(report)
    figure, axes = _across(len(report.classes), [display_name(name) for name in report.classes])
    left = np.zeros(len(report.classes))
    parts = list(zip(header[2:], (SECOND, "#e3a693", PALE), strict=True))
    for column, (title, colour) in enumerate(parts, start=2):
        counts = [int(row[column]) for row in rows[:-1]]
        bars = axes.barh(range(len(counts)), counts, 0.7, left=left, color=colour, label=title)
        _label_inside(axes, bars, counts, max(int(row[1]) for row in rows[:-1]))
        left += counts
    axes.set_xlabel("test pictures")
    _legend(axes, len(parts))
    return figure


def shortcuts_chart(shortcuts: Shortcuts) -> Figure:
    """Draw what each kind of traits tells, with its interval, against chance."""
    scores = shortcuts.scores
    figure, axes = _across(len(scores), [score.traits for score in scores])
    values = np.array([score.balanced_accuracy for score in scores])
    ends = np.array([[score.low, score.high] for score in scores]).T
    colours = [SECOND if score.strength == "strong" else ACCENT for score in scores]
    reach = np.abs(ends - values)
    axes.barh(range(len(scores)), values, 0.62, color=colours, xerr=reach, ecolor=INK, capsize=3)
    axes.axvline(shortcuts.chance, color=INK, linewidth=1, linestyle="--")
    above = axes.get_xaxis_transform()
    axes.text(shortcuts.chance, 1.02, "chance", transform=above, ha="center", fontsize=9, color=INK)
    axes.set_xlim(0, 1)
    axes.set_xlabel("balanced accuracy on held-out groups, with its 95 % interval")
    return figure


def _across(bars: int, names: Sequence[str]) -> tuple[Figure, Axes]:
    """Return axes for horizontal bars, the first name on top."""
    figure = Figure(figsize=(7.6, 1.0 + _ROW * max(2, bars)), layout="constrained")
    axes = figure.subplots()
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(left=False)
    axes.grid(axis="x", alpha=0.25)
    axes.set_axisbelow(True)
    return figure, axes


def _label_inside(axes: Axes, bars: BarContainer, counts: Sequence[int], most: int) -> None:
    # A number in a sliver would run over its neighbours.
    labels = [str(count) if count >= 0.04 * most else "" for count in counts]
    axes.bar_label(bars, labels, label_type="center", fontsize=9, color=INK)


def _legend(axes: Axes, columns: int) -> None:
    if columns > 1:
        axes.legend(frameon=False, ncols=columns, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0)

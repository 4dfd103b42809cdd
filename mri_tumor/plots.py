"""Arrays to pictures: the plots that any room may draw.

Every function returns a `matplotlib.figure.Figure` and touches no global state; `save` writes it, `png` gives
its bytes for a page.
"""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from mri_tumor.files import whole_file
from mri_tumor.labels import display_name

INK, ACCENT, SECOND = "#222222", "#1f6f8b", "#c8553d"

CLASSES = ("#c8553d", "#1f6f8b", "#6a994e", "#8e6bbf", "#d9a441", "#555555")
"""A colour a class, in the order of the labels."""

Line: TypeAlias = tuple[NDArray[np.float64], NDArray[np.float64]]
Mark: TypeAlias = tuple[float, float | None, float | None]


def grid(
    images: Sequence[NDArray[np.uint8]],
    titles: Sequence[str] | None = None,
    *,
    columns: int = 5,
    caption: str = "",
) -> Figure:
    """Draw pictures in rows, a short title above each.

    Args:
        images: uint8 pictures, `(H, W)` or `(H, W, 1)`, 0-255; 0 is black and 255 white in each.
        titles: one a picture.
        columns: pictures in a row.
        caption: a line above all.
    """
    rows = -(-len(images) // columns)
    figure = Figure(figsize=(1.9 * columns, 2.1 * rows + (0.4 if caption else 0)), layout="constrained")
    for place, axes in enumerate(np.atleast_1d(figure.subplots(rows, columns)).ravel()):
        axes.set_axis_off()
        if place < len(images):
            picture = np.asarray(images[place])
            axes.imshow(picture.reshape(picture.shape[:2]), cmap="gray", vmin=0, vmax=255)
            axes.set_title(_shown(titles[place]) if titles else "", fontsize=9, color=INK)
    if caption:
        figure.suptitle(_shown(caption), fontsize=11, color=INK)
    return figure


def curves(
    history: Mapping[str, Sequence[float]], *, best_epoch: int | None = None, strengths: Sequence[str] = ()
) -> Figure:
    """Draw loss and accuracy by epoch, training and validation together.

    Args:
        history: column -> one value an epoch; `loss`, `val_loss`, `accuracy` and `val_accuracy` are drawn if
            they are there.
        best_epoch: the epoch that was kept, counted from 0; marked by a line.
        strengths: names of the values, where they are no epochs but strengths of a penalty.
    """
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    for axes, name in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for column, label, colour in ((name, "training", ACCENT), (f"val_{name}", "validation", SECOND)):
            if history.get(column):
                axes.plot(history[column], label=label, color=colour, marker="o", markersize=3)
        if best_epoch is not None:
            axes.axvline(best_epoch, color=INK, linewidth=0.8, linestyle=":", label="kept")
        if name == "accuracy":
            axes.set_ylim(0, 1.02)
        axes.set_title(name)
        if strengths:
            axes.set_xlabel("strength (inverse penalty)")
            axes.set_xticks(range(len(strengths)), strengths)
        else:
            axes.set_xlabel("epoch")
            axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.25)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False)
    return figure


def ranked(
    roc: Mapping[str, Line],
    precision_recall: Mapping[str, Line],
    labels: Sequence[str],
    *,
    title: str = "",
) -> Figure:
    """Draw ROC and precision-recall curves beside each other, a line a class.

    Args:
        roc: label -> (false positive rates, true positive rates), both 0-1 and rising.
        precision_recall: label -> (recalls, precisions), both 0-1, recalls rising; drawn in steps, whose area
            is the average precision.
        labels: all class names in order, so that a class has one colour in every figure.
        title: a line above.
    """
    figure = Figure(figsize=(9, 4.7), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":")
    for axes, lines, style in ((left, roc, "default"), (right, precision_recall, "steps-pre")):
        for label, (across, up) in lines.items():
            colour = CLASSES[labels.index(label) % len(CLASSES)]
            axes.plot(across, up, color=colour, label=_shown(display_name(label)), drawstyle=style)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        axes.grid(alpha=0.25)
    left.set(xlabel="false positive rate", ylabel="true positive rate", title="ROC")
    right.set(xlabel="recall", ylabel="precision", title="precision-recall")
    figure.suptitle(_shown(title), fontsize=11)
    handles, names = left.get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=max(1, len(names)), frameon=False)
    return figure


def dots(rows: Sequence[str], marks: Mapping[str, Sequence[Mark | None]], *, xlabel: str) -> Figure:
    """Draw shares with their intervals, a row each, several kinds beside each other in a row.

    Args:
        rows: what stands before each row, the first on top.
        marks: kind -> for each row (value, low, high), 0-1; low and high are None without an interval.
        xlabel: what is drawn.
    """
    figure = Figure(figsize=(7.6, 1.2 + 0.5 * max(2, len(rows))), layout="constrained")
    axes = figure.subplots()
    for number, ((kind, own), colour) in enumerate(zip(marks.items(), (INK, SECOND, ACCENT), strict=False)):
        there = [(place, mark) for place, mark in enumerate(own) if mark is not None]
        places = [place + 0.22 * (number - (len(marks) - 1) / 2) for place, _ in there]
        axes.scatter([mark[0] for _, mark in there], places, color=colour, s=30, label=kind, zorder=3)
        for at, (_, (_, low, high)) in zip(places, there, strict=True):
            if low is not None and high is not None:
                axes.plot([low, high], [at, at], color=colour, linewidth=1.6, alpha=0.7)
    axes.set_yticks(range(len(rows)), [_shown(row) for row in rows])
    axes.set(ylim=(len(rows) - 0.5, -0.5), xlim=(-0.02, 1.02), xlabel=xlabel)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(left=False)
    axes.grid(axis="x", alpha=0.25)
    if len(marks) > 1:
        axes.legend(frameon=False, ncols=len(marks), loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0)
    return figure


def confusion(matrix: NDArray[np.integer], labels: Sequence[str], *, title: str = "") -> Figure:
    """Draw a confusion matrix: counts in the cells, shaded by the share of the true class.

    Args:
        matrix: `(K, K)` counts, rows are the true class, columns the predicted one.
        labels: the K class names in order.
        title: a line above.
    """
    counts = np.asarray(matrix)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure = Figure(figsize=(4.6, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    names = [_shown(display_name(label)) for label in labels]
    axes.set_xticks(range(len(names)), names, rotation=30, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    axes.set_title(_shown(title), fontsize=11)
    for row, column in np.ndindex(*counts.shape):
        colour = "white" if share[row, column] > 0.55 else INK
        axes.text(column, row, f"{counts[row, column]}", ha="center", va="center", color=colour)
    return figure


def reliability(
    curves: Mapping[str, tuple[Sequence[float], Sequence[float], Sequence[int]]], *, title: str = ""
) -> Figure:
    """Draw how often classifiers are right against how sure they are; on the dotted line they are the same.

    Args:
        curves: name -> confidence, accuracy (0-1) and counts, one of each a bin, as
            `models.reliability_curve` gives them; two at most, such as before and after calibration. Bars are
            one standard error of a bin's accuracy.
        title: a line above.
    """
    figure = Figure(figsize=(4.6, 4.4), layout="constrained")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=":", label="as sure as right")
    for (name, curve), colour in zip(curves.items(), (SECOND, ACCENT), strict=False):
        confidence, accuracy, counts = map(np.asarray, curve)
        bars = np.sqrt(accuracy * (1 - accuracy) / counts)
        label = f"{_shown(name)} ({counts.sum()} pictures)"
        axes.errorbar(confidence, accuracy, bars, label=label, color=colour, marker="o", ms=4, elinewidth=0.7)
    lowest = min((min(column) for curve in curves.values() for column in curve[:2] if len(column)), default=0)
    axes.set_xlim(max(0.0, lowest - 0.05), 1.02)
    axes.set_ylim(max(0.0, lowest - 0.05), 1.02)
    axes.set_xlabel("probability of the most likely class")
    axes.set_ylabel("share right")
    axes.set_title(_shown(title), fontsize=11)
    axes.legend(frameon=False, loc="upper left")
    axes.grid(alpha=0.25)
    return figure


def heat_maps(
    pictures: Sequence[NDArray[np.uint8]],
    overlays: Sequence[NDArray[np.uint8]],
    titles: Sequence[str] | None = None,
    *,
    columns: int = 3,
    caption: str = "",
    note: str = "",
    colours: str = "inferno",
) -> Figure:
    """Draw pictures beside the same pictures under their heat, pair by pair, with a scale.

    Args:
        pictures: uint8 `(H, W)`, 0-255.
        overlays: uint8 `(H, W, 3)`, as `Explanation.overlay` gives them, one a picture.
        titles: one a pair, such as the class and its probability.
        columns: pairs in a row, at most.
        caption: a line above all.
        note: a line below all, such as `Explanation.notice`.
        colours: the colour map that the overlays are drawn with.
    """
    columns = max(1, min(columns, len(pictures)))
    rows = max(1, -(-len(pictures) // columns))
    below = 0.15 + 0.15 * len(note.splitlines()) if note else 0
    size = (4.6 * columns + 0.9, 2.62 * rows + 0.4 + 0.35 * bool(caption) + below)
    figure = Figure(figsize=size, layout="constrained")
    axes = np.atleast_2d(figure.subplots(rows, 2 * columns, squeeze=False))
    for one in axes.ravel():
        one.set_axis_off()
    for place, (picture, overlay) in enumerate(zip(pictures, overlays, strict=True)):
        left, right = axes[place // columns, 2 * (place % columns) :][:2]
        left.imshow(picture, cmap="gray", vmin=0, vmax=255)
        right.imshow(overlay)
        left.set_title(_shown(titles[place]) if titles else "", fontsize=10, color=INK, loc="left")
    bar = figure.colorbar(
        ScalarMappable(Normalize(0, 1), colours),
        ax=axes,
        fraction=0.03,
        aspect=25 * rows**0.5,
        pad=0.015,
        shrink=0.85,
    )
    bar.set_ticks([0, 1], labels=["nothing", "most"])
    bar.set_label("speaks for the class", fontsize=9, color=INK, labelpad=-22)
    bar.ax.tick_params(labelsize=9, length=0)
    bar.outline.set_visible(False)
    if caption:
        figure.suptitle(_shown(caption), fontsize=11, color=INK)
    if note:
        figure.supxlabel(_shown(note), fontsize=8.5, color=INK)
    return figure


def _shown(text: str) -> str:
    """Return a text as matplotlib draws it as it stands: `$` begins no formula, and all of it is Unicode."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("$", r"\$")


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure as PNG; the file is whole or not there."""
    with whole_file(path) as partial:
        partial.write_bytes(png(figure))


def png(figure: Figure) -> bytes:
    """Return a figure as the bytes of a PNG."""
    buffer = io.BytesIO()
    # Without a software tag the same figure gives the same bytes under any matplotlib.
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()

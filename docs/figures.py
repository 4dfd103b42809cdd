"""The figures of the concept pages, drawn from rows that lie in the project, or measured on the spot.

Each function draws one; nothing is copied by hand. `SOURCES` names the files that a figure is drawn from.
"""

import contextlib
import csv
import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from mri_tumor import LABELS
from mri_tumor.labels import display_name

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "benchmarks" / "results"
KNOWN = ROOT / "mri_tumor" / "dataset" / "public" / "known_pictures" / "sartaj.csv.gz"


@dataclass(frozen=True)
class Style:
    """Colours that can be read on a page: paper, ink, faint lines, and three that differ in lightness too."""

    paper: str
    ink: str
    faint: str
    leaked: str
    clean: str
    neutral: str


STYLES = {
    "light": Style("#ffffff", "#22262b", "#c9ced6", "#c8553d", "#1f6f8b", "#7a828e"),
    "dark": Style("#131416", "#d6d9de", "#4a515b", "#e5836d", "#6cb8d4", "#9aa3af"),
}
SOURCES: dict[str, tuple[Path, ...]] = {}
_DRAWN: dict[str, Callable[[Style], Figure]] = {}


def figure(*sources: Path) -> Callable[[Callable[[Style], Figure]], Callable[[Style], Figure]]:
    """Enter a function into the table of figures, with what it reads."""

    def entered(function: Callable[[Style], Figure]) -> Callable[[Style], Figure]:
        name = function.__name__
        SOURCES[name], _DRAWN[name] = sources, function
        return function

    return entered


def svg(name: str, style: str) -> bytes:
    """Return a figure as the bytes of an SVG without a background; the same figure gives the same bytes."""
    with drawing(STYLES[style]):
        buffer = io.BytesIO()
        _DRAWN[name](STYLES[style]).savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return buffer.getvalue()


@contextlib.contextmanager
def drawing(style: Style) -> Iterator[None]:
    """Draw in these colours."""
    inked = ("text.color", "axes.edgecolor", "axes.labelcolor", "xtick.color", "ytick.color")
    settings: dict[str, Any] = dict.fromkeys(inked, style.ink)
    settings |= {"svg.hashsalt": "mri_tumor", "grid.color": style.faint, "font.size": 10.5}
    settings |= {"axes.spines.top": False, "axes.spines.right": False, "legend.frameon": False}
    with matplotlib.rc_context(settings):
        yield


def rows(name: str) -> list[dict[str, str]]:
    """Return the rows of a table of results."""
    with (RESULTS / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


Mark = tuple[float, float, float]


def metric(table: str, protocol: str, part: str, name: str) -> Mark | None:
    """Return a metric of the five numbers with its interval, in per cent; None where there is none."""
    for row in rows(table):
        if (row["protocol"], row["part"], row["metric"]) == (protocol, part, name) and row["value"]:
            value, low, high = (100 * float(row[key] or row["value"]) for key in ("value", "low", "high"))
            return value, low, high
    return None


@figure(KNOWN)
def leaks(style: Style) -> Figure:
    """Draw how many of the official test pictures are in training too, class by class."""
    from mri_tumor.dataset.public.known_tables import known_pictures

    tested = [one for one in known_pictures("sartaj") if one.split == "Testing"]
    drawn = Figure(figsize=(7.4, 2.9), layout="constrained")
    axes = drawn.subplots()
    kinds = {
        "pixel-identical in training": (style.leaked, {"identical"}, set()),
        "near-duplicate in training": (_lighter(style.leaked), {"leaked"}, {"identical"}),
        "clean": (style.clean, set(), {"leaked"}),
    }
    for place, label in enumerate(LABELS):
        mine = [
            one.flags
            for one in tested
            if one.id.split("/")[1].removesuffix("_tumor") in (label, _folder(label))
        ]
        left = 0
        for name, (colour, having, lacking) in kinds.items():
            count = sum(having <= flags and not lacking & flags for flags in mine)
            axes.barh(place, count, left=left, color=colour, height=0.66, label=name if not place else None)
            if count > 4:
                axes.text(left + count / 2, place, str(count), ha="center", va="center", color=style.paper)
            left += count
    axes.set_yticks(range(len(LABELS)), [display_name(label) for label in LABELS])
    axes.set(xlabel="official test pictures", ylim=(len(LABELS) - 0.5, -0.5))
    axes.spines["left"].set_visible(False)
    axes.tick_params(left=False)
    drawn.legend(loc="outside upper center", ncols=3, handlelength=1)
    return drawn


@figure(RESULTS / "five_fast_mobilenet_v2.csv", RESULTS / "five_scratch_small_cnn.csv")
def parts(style: Style) -> Figure:
    """Draw accuracy on all, leaked and clean test pictures, of two classifiers and of what learns nothing."""
    fast, scratch = "five_fast_mobilenet_v2.csv", "five_scratch_small_cnn.csv"
    judged = {
        "MobileNetV2, fast": (fast, "accuracy"),
        "small CNN from scratch": (scratch, "accuracy"),
        "nearest thumbnail": (fast, "floor thumbnail accuracy"),
        "width and height only": (fast, "floor size accuracy"),
        "always one class": (fast, "floor majority accuracy"),
    }
    kinds = {
        "all 394": ("all", style.neutral),
        "leaked 260": ("leaked", style.leaked),
        "clean 134": ("clean", style.clean),
    }
    marks = {
        kind: (colour, [metric(table, "official", part, name) for table, name in judged.values()])
        for kind, (part, colour) in kinds.items()
    }
    return _dots(style, list(judged), marks, "accuracy on the official test set, %", split=2)


@figure(RESULTS / "five_fast_mobilenet_v2.csv")
def recalls(style: Style) -> Figure:
    """Draw the recall of each class on leaked and on clean test pictures."""
    table = "five_fast_mobilenet_v2.csv"
    marks = {
        name: (colour, [metric(table, "official", part, f"recall {label}") for label in LABELS])
        for name, part, colour in (("leaked", "leaked", style.leaked), ("clean", "clean", style.clean))
    }
    return _dots(style, [display_name(label) for label in LABELS], marks, "recall of the class, %")


@figure(RESULTS / "five_fast_mobilenet_v2.csv", RESULTS / "five_scratch_small_cnn.csv")
def twins(style: Style) -> Figure:
    """Draw accuracy on the whole test set, before and after its twins are taken out of training."""
    fast, scratch = "five_fast_mobilenet_v2.csv", "five_scratch_small_cnn.csv"
    judged = {
        "MobileNetV2, fast": (fast, "accuracy"),
        "small CNN from scratch": (scratch, "accuracy"),
        "nearest thumbnail": (fast, "floor thumbnail accuracy"),
        "width and height only": (fast, "floor size accuracy"),
    }
    marks = {
        kind: (colour, [metric(table, protocol, "all", name) for table, name in judged.values()])
        for kind, protocol, colour in (
            ("trained on the official training set", "official", style.leaked),
            ("without its twins of test pictures", "twins removed", style.clean),
        )
    }
    return _dots(style, list(judged), marks, "accuracy on all 394 test pictures, %", split=2)


@figure(RESULTS / "random_folds.csv")
def folds(style: Style) -> Figure:
    """Draw accuracy in five folds by picture and by group."""
    found = {(row["classifier"], row["folds"]): row for row in rows("random_folds.csv")}
    names = ["MobileNetV2", "SVM", "nearest thumbnail", "width and height"]
    marks = {
        kind: (
            colour,
            [
                tuple(100 * float(found[name, by][key]) for key in ("accuracy", "low", "high"))
                for name in names
            ],
        )
        for kind, by, colour in (
            ("folds by picture", "image", style.leaked),
            ("folds by group", "group", style.clean),
        )
    }
    return _dots(style, names, marks, "accuracy on held-out pictures, %", split=2)


@figure(RESULTS / "preprocess.csv")
def disturbed(style: Style) -> Figure:
    """Draw how classifiers fare that read pictures in two ways, on held-out pictures that were disturbed."""
    found = {(row["features"], row["options"]): row for row in rows("preprocess.csv")}
    ways = {
        "as it is": "as is",
        "black margins added": "framed",
        "darkened": "dark",
        "white line drawn": "line",
    }
    drawn = Figure(figsize=(7.4, 3.1), layout="constrained")
    axes = drawn.subplots()
    for number, (name, option, colour) in enumerate(
        (
            ("only resized", "resized only", style.leaked),
            ("windowed, cropped to the head", "default", style.clean),
        )
    ):
        values = [100 * float(found["five depths", option][column]) for column in ways.values()]
        places = np.arange(len(ways)) + 0.36 * (number - 0.5)
        bars = axes.barh(places, values, color=colour, height=0.34, label=name)
        axes.bar_label(bars, [f"{value:.1f}" for value in values], padding=3, fontsize=9)
    axes.set_yticks(range(len(ways)), ways)
    axes.set(xlim=(0, 100), ylim=(len(ways) - 0.5, -0.5), xlabel="accuracy on held-out pictures, %")
    axes.spines["left"].set_visible(False)
    axes.tick_params(left=False)
    drawn.legend(loc="outside upper center", ncols=2, handlelength=1)
    return drawn


@cache
def resized() -> dict[str, np.ndarray]:
    """Return one phantom of 1024 pixels, brought to 224 in the usual ways: name -> uint8 (224, 224)."""
    import cv2
    import tensorflow as tf
    from PIL import Image

    from mri_tumor.dataset import Preprocess
    from mri_tumor.dataset.phantom import phantom

    picture, side = phantom("meningioma", patient=2, size=1024), 224
    spec = Preprocess(size=side, crop=False, window=None)
    encoded = cv2.imencode(".png", picture)[1].tobytes()
    jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 75])[1]
    jpeg = cv2.imdecode(jpeg, cv2.IMREAD_GRAYSCALE)

    def by_tensorflow(antialias: bool) -> np.ndarray:
        found = tf.image.resize(picture[..., None], (side, side), antialias=antialias)
        return np.clip(np.rint(found.numpy()[..., 0]), 0, 255).astype(np.uint8)

    def by_pillow(kernel: Image.Resampling) -> np.ndarray:
        return np.asarray(Image.fromarray(picture).resize((side, side), kernel))

    return {
        "Preprocess": spec(picture)[..., 0],
        "Preprocess().graph(), in TensorFlow": spec.graph()(encoded).numpy()[..., 0],
        "Pillow, bilinear": by_pillow(Image.Resampling.BILINEAR),
        "tf.image.resize, antialias=True": by_tensorflow(antialias=True),
        "cv2.resize, as it is called": cv2.resize(picture, (side, side)),
        "tf.image.resize, as it is called": by_tensorflow(antialias=False),
        "Pillow, nearest (Keras' load_img)": by_pillow(Image.Resampling.NEAREST),
        "Preprocess, of a JPEG (quality 75)": spec(jpeg)[..., 0],
    }


@figure()
def resizing(style: Style) -> Figure:
    """Draw how far the usual ways to resize lie from each other, on one phantom."""
    ways = resized()
    reference, *_ = ways.values()
    drawn = Figure(figsize=(7.4, 4.3), layout="constrained")
    tall = dict(enumerate(drawn.subplots(2, 4).ravel()))
    tall[0].imshow(reference, cmap="gray", vmin=0, vmax=255)
    tall[0].set_title("the picture", fontsize=9)
    for place, (name, picture) in enumerate(list(ways.items())[1:], start=1):
        apart = np.abs(picture.astype(int) - reference)
        tall[place].imshow(apart, cmap="magma", vmin=0, vmax=15)
        where, _, how = name.partition(", ")
        tall[place].set_title(f"{where}\n{how}\nlargest {apart.max()}, mean {apart.mean():.1f}", fontsize=8)
    for axes in tall.values():
        axes.set_axis_off()
    return drawn


@figure()
def temperature(style: Style) -> Figure:
    """Draw the reliability of a made-up network that is too sure, before and after its temperature."""
    from mri_tumor.models import reliability_curve
    from mri_tumor.models.deciding.temperature import fit_temperature

    true, labels = _simulated(4000)
    said = 2.5 * true
    fitted = fit_temperature(said[:2000].astype(np.float32), labels[:2000])
    drawn = Figure(figsize=(4.9, 4.4), layout="constrained")
    axes = drawn.subplots()
    axes.plot([0.25, 1], [0.25, 1], color=style.ink, linewidth=0.9, linestyle=":", label="as sure as right")
    for name, heat, colour in (
        ("before", 1.0, style.leaked),
        (f"divided by {fitted:.2f}", fitted, style.clean),
    ):
        curve = reliability_curve(_softmax(said[2000:] / heat), labels[2000:], bins=12)
        axes.plot(curve.confidence, curve.accuracy, color=colour, marker="o", markersize=4, label=name)
    axes.set(xlabel="probability of the most likely class", ylabel="share right", aspect="equal")
    axes.grid(alpha=0.6, linewidth=0.7)
    axes.legend(loc="upper left")
    return drawn


@figure()
def coverage(style: Style) -> Figure:
    """Draw how the coverage of sets scatters with the number of calibration pictures a class."""
    from mri_tumor.models.deciding.conformal import thresholds

    probabilities, labels = (part[:] for part in _simulated(60_000))
    probabilities = _softmax(probabilities)
    scores = 1 - probabilities[np.arange(len(labels)), labels]
    tested, rng = scores[40_000:][labels[40_000:] == 0], np.random.default_rng(1)
    mine = scores[:40_000][labels[:40_000] == 0]
    sizes = (20, 50, 100, 400)
    drawn = Figure(figsize=(7.4, 2.9), layout="constrained")
    axes = drawn.subplots()
    for place, size in enumerate(sizes):
        found = []
        for _ in range(400):
            chosen = rng.choice(mine, size, replace=False)
            (limit,) = thresholds(chosen, np.zeros(size, np.int64), 1, 0.1)
            found.append(100 * np.mean(tested <= limit))
        low, high = np.percentile(found, [2.5, 97.5])
        jitter = place + rng.uniform(-0.18, 0.18, len(found))
        axes.scatter(found, jitter, color=style.clean, s=4, alpha=0.35, linewidths=0)
        axes.plot([low, high], [place, place], color=style.ink, linewidth=2)
        axes.scatter([np.mean(found)], [place], color=style.ink, s=34, zorder=3)
    axes.axvline(90, color=style.leaked, linewidth=1.2)
    axes.set_yticks(range(len(sizes)), [f"{size} pictures" for size in sizes])
    axes.set(xlabel="sets that hold the true class, %", ylim=(len(sizes) - 0.5, -0.5), xlim=(69, 101))
    axes.spines["left"].set_visible(False)
    axes.tick_params(left=False)
    return drawn


@figure()
def risks(style: Style) -> Figure:
    """Draw what a smaller risk costs: larger sets, fewer answers, more of them right."""
    from mri_tumor.models.deciding.conformal import thresholds

    logits, labels = _simulated(8000)
    probabilities = _softmax(logits)
    fit, test = slice(0, 4000), slice(4000, None)
    scores = 1 - probabilities
    levels = np.array([0.02, 0.05, 0.1, 0.15, 0.2, 0.3])
    sizes, answered, right = [], [], []
    for risk in levels:
        true = scores[fit][np.arange(4000), labels[fit]]
        held = scores[test] <= np.array(thresholds(true, labels[fit], 4, float(risk)))
        single = held.sum(axis=1) == 1
        sizes.append(held.sum(axis=1).mean())
        answered.append(100 * single.mean())
        right.append(100 * (held.argmax(axis=1) == labels[test])[single].mean())
    drawn = Figure(figsize=(7.4, 3.0), layout="constrained")
    left, other = drawn.subplots(1, 2)
    left.plot(100 * levels, sizes, color=style.ink, marker="o", markersize=4)
    left.set(xlabel="risk, %", ylabel="classes in a set", ylim=(0, 4))
    other.plot(
        100 * levels, answered, color=style.neutral, marker="o", markersize=4, label="pictures answered"
    )
    other.plot(
        100 * levels, right, color=style.clean, marker="o", markersize=4, label="answers that are right"
    )
    accuracy = 100 * (probabilities[test].argmax(axis=1) == labels[test]).mean()
    other.axhline(accuracy, color=style.leaked, linewidth=1.2, linestyle="--", label="right without sets")
    other.set(xlabel="risk, %", ylabel="%", ylim=(0, 102))
    other.legend(loc="lower right", fontsize=9)
    for axes in (left, other):
        axes.grid(alpha=0.6, linewidth=0.7)
    return drawn


@figure(RESULTS / "novelty.csv")
def novelty(style: Style) -> Figure:
    """Draw which pictures are called novel by a calibrated classifier."""
    found = {row["set"]: (int(row["n"]), 100 * float(row["novel"] or 0)) for row in rows("novelty.csv")}
    others = [found[name] for name in found if name.startswith("mr_misc/")]
    count = sum(n for n, _ in others)
    shown = {
        "brains, held out of training": found["calibration"],
        "brains of the clean test pictures": found["brains"],
        "this library's phantoms": found["phantoms"],
        "heads drawn as CT shows them": found["ct-like"],
        "MR of other body parts": (count, sum(n * share for n, share in others) / count),
        "photographs": found["natural"],
        "noise": found["noise"],
    }
    drawn = Figure(figsize=(7.4, 3.4), layout="constrained")
    axes = drawn.subplots()
    colours = [style.clean] * 2 + [style.neutral] * (len(shown) - 2)
    bars = axes.barh(range(len(shown)), [share for _, share in shown.values()], color=colours, height=0.62)
    axes.bar_label(bars, [f"{share:.1f} % of {n}" for n, share in shown.values()], padding=4, fontsize=9)
    axes.set_yticks(range(len(shown)), shown)
    axes.set(xlim=(0, 125), ylim=(len(shown) - 0.5, -0.5), xlabel="called novel, %", xticks=range(0, 101, 20))
    axes.spines["left"].set_visible(False)
    axes.tick_params(left=False)
    return drawn


MAPS = (
    *("layercam", "gradcam", "gradcam++", "occlusion", "layercam, last", "gradcam, last", "gradcam++, last"),
    *("centre", "brightest", "mean outline", "random"),
)
MEASURES = {
    "pointing": "hottest pixel inside, %",
    "energy": "heat inside, %",
    "overlap": "intersection over union, %",
    "deletion": "probability left, % (lower is better)",
}


@figure(RESULTS / "explanation.csv")
def heat(style: Style) -> Figure:
    """Draw how well heat maps meet outlines, and what is left of the answer without what they show."""
    found = {(row["map"], row["measure"]): row for row in rows("explanation.csv") if row["part"] == "all"}
    drawn = Figure(figsize=(7.4, 7.2), layout="constrained")
    for axes, (measure, label) in zip(
        drawn.subplots(2, 2, sharey=True).ravel(), MEASURES.items(), strict=True
    ):
        for place, name in enumerate(MAPS):
            row = found[name, measure]
            value, low, high = (100 * float(row[key]) for key in ("value", "low", "high"))
            colour = style.clean if place < 7 else style.neutral
            axes.plot([low, high], [place, place], color=colour, linewidth=2, alpha=0.75)
            axes.scatter([value], [place], color=colour, s=30, zorder=3)
        axes.axhline(6.5, color=style.faint, linewidth=1)
        axes.set_yticks(range(len(MAPS)), MAPS)
        axes.set(xlabel=label, ylim=(len(MAPS) - 0.5, -0.5), xlim=(0, None))
        axes.spines["left"].set_visible(False)
        axes.tick_params(left=False)
        axes.grid(axis="x", alpha=0.6, linewidth=0.7)
        axes.set_axisbelow(True)
    return drawn


def _simulated(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the logits of a made-up network that is exactly as sure as it is right, and true classes."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (count, len(LABELS)))
    odds = _softmax(logits).cumsum(axis=1)
    return logits, (rng.random((count, 1)) > odds).sum(axis=1).clip(0, len(LABELS) - 1)


def _softmax(logits: np.ndarray) -> np.ndarray:
    raised = np.exp(logits - logits.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)


def _dots(
    style: Style,
    names: list[str],
    marks: dict[str, tuple[str, list[Mark | None]]],
    xlabel: str,
    split: int = 0,
) -> Figure:
    """Draw points with intervals, a row a name, several kinds in a row; a line after `split` rows."""
    drawn = Figure(figsize=(7.4, 1.15 + 0.56 * len(names)), layout="constrained")
    axes = drawn.subplots()
    for number, (kind, (colour, own)) in enumerate(marks.items()):
        shift = 0.24 * (number - (len(marks) - 1) / 2)
        there = [(place + shift, mark) for place, mark in enumerate(own) if mark is not None]
        for at, (_, low, high) in there:
            axes.plot([low, high], [at, at], color=colour, linewidth=2, alpha=0.75, solid_capstyle="butt")
        axes.scatter(
            [mark[0] for _, mark in there], [at for at, _ in there], color=colour, s=34, zorder=3, label=kind
        )
    if split:
        axes.axhline(split - 0.5, color=style.faint, linewidth=1)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlim=(-2, 102), ylim=(len(names) - 0.5, -0.5), xlabel=xlabel)
    axes.spines["left"].set_visible(False)
    axes.tick_params(left=False)
    axes.grid(axis="x", alpha=0.6, linewidth=0.7)
    axes.set_axisbelow(True)
    drawn.legend(loc="outside upper center", ncols=len(marks), handletextpad=0.1)
    return drawn


def _lighter(colour: str) -> str:
    """Return a colour half way to white."""
    return "#" + "".join(f"{(int(colour[at : at + 2], 16) + 255) // 2:02x}" for at in (1, 3, 5))


def _folder(label: str) -> str:
    return "no" if label == "none" else label

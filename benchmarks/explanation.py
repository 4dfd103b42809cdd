"""How well heat maps meet tumours, and how far the network goes by what they show.

    python benchmarks/explanation.py --data FIGSHARE --blocks FIGSHARE_GROUPS.csv \
        --outlines OUTLINES.csv --weights MOBILENET_V2.h5

MobileNetV2 by the recipe `fast` is trained in five folds by block of slices, about a patient or a few each.
Of each class so many pictures are drawn, evenly over the blocks (`--pictures` in all); each is explained by
the network that has not seen its block, for the class that this network names. The outlines were drawn by
hand; they go through the very crop and resizing that their pictures go through.

On the first two folds it was tried which maps to add up, by which rule and with what taken off, and which
method is the default. They are a part of their own; all other parts are of the three folds that chose
nothing.

`results/explanation.csv` has a row for each map, part of the pictures and measure:

* `pointing`: the share of the pictures whose hottest pixel lies inside the outline.
* `energy`: the share of the heat that lies inside, once each map's own median is taken off; the maps of all
  depths come without it.
* `overlap`: intersection over union of the outline and the hottest area that is as large as it.
* `deletion`: the area under the probability of the explained class while the hottest 2, 5, 10, 20, 40, 70 and
  100 % of the pixels are replaced by the picture's own blur; the lower the better. Occlusion blurs alike.

Parts are `all` pictures, those whose class is `right`, each true class, and `first folds`. Maps are `METHOD`
on all depths, `METHOD, last` on the deepest map alone, and what looks at no network:

* `centre`: the nearer to the middle, the hotter (normal, of an eighth of the width).
* `brightest`: the brightness, blurred by a twentieth of the width: a bright spot, no bright pixel.
* `mean outline`: where tumours of the explained class lie in the training pictures. It knows their outlines,
  which no other map does.
* `random`: smooth noise.

`low` and `high` are the middle 95 % over draws of whole blocks. `over_centre` and `over_brightest` are the
differences to these maps on the same pictures, with their intervals.
"""

import argparse
import csv
import json
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import cv2
import numpy as np
from sartaj import ROOT, SHARED

from mri_tumor import dataset, models
from mri_tumor.dataset import Catalog
from mri_tumor.dataset.figshare import CLASSES
from mri_tumor.files import whole_file
from mri_tumor.models import Classifier, Explanation
from mri_tumor.models.explaining.explain import brought_to_one
from mri_tumor.models.explaining.occlusion import blur
from mri_tumor.models.explaining.quality import deletion, energy, overlap, pointing
from mri_tumor.models.judging.bootstrap import Resampling, interval
from mri_tumor.models.judging.cases import Cases
from mri_tumor.progress import to_console, track

logger = logging.getLogger("mri_tumor.benchmarks")

RESULTS = ROOT / "benchmarks" / "results" / "explanation.csv"
FOLDS, FIRST = 5, 2
"""How many there are, and how many of them chose how heat is made."""

METHODS = (
    *(("layercam", None), ("layercam", "last"), ("gradcam", None), ("gradcam", "last")),
    *(("gradcam++", None), ("gradcam++", "last"), ("occlusion", None)),
)
BASELINES = ("centre", "brightest")
MEASURES = ("pointing", "energy", "overlap", "deletion")
COLUMNS = (
    *("map", "part", "measure", "n", "blocks", "value", "low", "high"),
    *(f"over_{name}{end}" for name in BASELINES for end in ("", "_low", "_high")),
    *("note", "command"),
)

Masks = dict[str, np.ndarray]


def read(options: argparse.Namespace) -> Catalog:
    """Return the pictures, their blocks as groups."""
    with options.blocks.open(newline="", encoding="utf-8") as file:
        blocks = {row["path"]: f"block {row['block']}" for row in csv.DictReader(file)}
    return dataset.scan(options.data, classes=CLASSES).with_groups(blocks)


def outlines(catalog: Catalog, path: Path, spec: dataset.Preprocess) -> Masks:
    """Return each picture's outline in the square that the network sees: id -> bool (size, size)."""
    with path.open(newline="", encoding="utf-8") as file:
        corners = {Path(row["file"]).stem: json.loads(row["tumorBorder"]) for row in csv.DictReader(file)}
    found = {}
    for record in track(catalog, "reading outlines"):
        image = dataset.read_image(record.path)
        mask = np.zeros(image.shape, np.uint8)
        cv2.fillPoly(mask, [np.rint(corners[record.path.stem]).astype(np.int32)], 1)
        found[record.id] = spec.placement(image).carry(mask.astype(bool))
    return found


def drawn(catalog: Catalog, count: int) -> set[str]:
    """Return ids of `count` pictures: as many of each class, taken from its blocks in turn."""
    rng, chosen = np.random.default_rng(0), set()
    for label in catalog.classes:
        blocks: dict[str | None, list[str]] = {}
        for record in catalog.select(label=label):
            blocks.setdefault(record.group, []).append(record.id)
        queues = [list(rng.permutation(ids)) for ids in blocks.values()]
        turns = (queue[turn] for turn in range(len(catalog)) for queue in queues if turn < len(queue))
        chosen |= {str(name) for name, _ in zip(turns, range(count // len(catalog.classes)), strict=False)}
    return chosen


def trained(train: Catalog, weights: Path, run: Path) -> Classifier:
    """Train on a fold's pictures; a part of their blocks selects the strength of the penalty."""
    import keras

    learnt, judged = dataset.split(train, (0.85, 0.15))
    keras.utils.set_random_seed(0)
    network = models.build("mobilenet_v2", weights=weights, classes=len(CLASSES))
    models.train(network, learnt, judged, recipe=models.Recipe.preset("fast"), run_dir=run)
    return Classifier.load(run, engine="auto")


def baselines(one: Explanation, prior: Masks, rng: np.random.Generator) -> Masks:
    """Return the maps that look at no network: name -> heat."""
    size = len(one.heat)
    down, across = np.mgrid[:size, :size] - (size - 1) / 2
    found = {
        "centre": np.exp(-(down**2 + across**2) / 2 / (size / 8) ** 2),
        "brightest": cv2.GaussianBlur(one.picture.astype(np.float32), (0, 0), size / 20),
        "mean outline": prior[one.label],
        "random": cv2.GaussianBlur(rng.normal(size=(size, size)).astype(np.float32), (0, 0), size / 20),
    }
    return {name: brought_to_one(heat, one.picture) for name, heat in found.items()}


def measured(classifier: Classifier, held: Catalog, masks: Masks, prior: Masks) -> Iterator[dict[str, Any]]:
    """Yield what is found of each held-out picture: `"values"` is map -> its measures."""
    maps: dict[str, list[Explanation]] = {}
    for method, layer in METHODS:
        start = time.monotonic()
        name = method if layer is None else f"{method}, {layer}"
        maps[name] = classifier.explain(held, method=method, layer=layer)
        logger.info("%s: %d pictures in %.0f s", name, len(held), time.monotonic() - start)
    rng = np.random.default_rng(0)
    for place, record in enumerate(track(held, "measuring")):
        one = maps["layercam"][place]
        heats = {name: found[place].heat for name, found in maps.items()} | baselines(one, prior, rng)
        yield {
            "truth": CLASSES.index(record.label),
            "top": CLASSES.index(one.label),
            "group": record.group,
            "values": {
                name: measures(classifier, one, heat, masks[record.id]) for name, heat in heats.items()
            },
        }


def measures(classifier: Classifier, one: Explanation, heat: np.ndarray, mask: np.ndarray) -> list[float]:
    place = classifier.labels.index(one.label)

    def ask(shown: np.ndarray) -> np.ndarray:
        return np.array([list(said.probabilities.values())[place] for said in classifier.predict(shown)])

    gone = deletion(ask, one.picture, heat, blur(one.picture))
    above = (heat - np.median(heat)).clip(0)
    return [float(pointing(heat, mask)), energy(above, mask), overlap(heat, mask), gone]


def rows(found: list[dict[str, Any]], note: str) -> Iterator[dict[str, Any]]:
    """Yield the table's rows."""
    truth, top = (np.array([one[key] for one in found]) for key in ("truth", "top"))
    cases = Cases(CLASSES, truth, top, tuple(one["group"] for one in found))
    late = np.array([one["fold"] >= FIRST for one in found])
    parts = {"all": late, "right": late & (truth == top)}
    parts |= {label: late & (truth == place) for place, label in enumerate(CLASSES)}
    parts["first folds"] = ~late
    names = list(found[0]["values"])
    values = np.array([[one["values"][name] for name in names] for one in found])  # picture, map, measure
    for part, chosen in parts.items():
        resampling = Resampling(cases.take(chosen))
        counts = resampling.sums(np.ones((int(chosen.sum()), 1)))
        for place, name in enumerate(names):
            for number, measure in enumerate(MEASURES):
                own = values[chosen, place, number]
                row = {"map": name, "part": part, "measure": measure, "n": len(own), "note": note}
                row |= {
                    "blocks": resampling.groups,
                    **spread(own, resampling, counts, "value", ("low", "high")),
                }
                for other in BASELINES:
                    less = own - values[chosen, names.index(other), number]
                    keys = f"over_{other}", (f"over_{other}_low", f"over_{other}_high")
                    row |= {} if other == name else spread(less, resampling, counts, *keys)
                yield row


def spread(
    own: np.ndarray, resampling: Resampling, counts: np.ndarray, key: str, ends: tuple[str, str]
) -> dict[str, float]:
    """Return a mean and the ends of its interval."""
    bounds = interval((resampling.sums(own[:, None]) / counts)[:, 0])
    assert bounds is not None  # there is more than one block in every part
    return {key: round(float(own.mean()), 4), ends[0]: round(bounds.low, 4), ends[1]: round(bounds.high, 4)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    figshare = SHARED / "data" / "figshare"
    parser.add_argument("--data", type=Path, default=figshare, help="folders of pictures, one a class")
    parser.add_argument("--blocks", type=Path, default=SHARED / "data" / "figshare_groups.csv")
    parser.add_argument("--outlines", type=Path, default=figshare / "tumor_border_polygons.csv")
    weights = SHARED / "weights" / "mobilenet_v2_1.0_224_notop.weights.h5"
    parser.add_argument("--weights", type=Path, default=weights)
    parser.add_argument("--pictures", type=int, default=500, help="how many are explained, in all")
    parser.add_argument("--run", type=Path, help="keep the trained folds here; by default they are not kept")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    for name in ("data", "blocks", "outlines", "weights"):
        if not (path := getattr(options, name)).exists():
            parser.error(f"{path} is missing: pass --{name} with where it lies on this machine")
    to_console()
    catalog = read(options)
    masks = outlines(catalog, options.outlines, dataset.Preprocess())
    chosen, found = drawn(catalog, options.pictures), []
    with tempfile.TemporaryDirectory() as folder:
        for number, (train, held) in enumerate(dataset.folds(catalog, FOLDS)):
            classifier = trained(train, options.weights, (options.run or Path(folder)) / f"fold-{number}")
            prior = {
                label: np.mean([masks[one.id] for one in train if one.label == label], axis=0)
                for label in CLASSES
            }
            part = held.select(where=lambda record: record.id in chosen)
            found += [one | {"fold": number} for one in measured(classifier, part, masks, prior)]
    right = np.mean([one["truth"] == one["top"] for one in found if one["fold"] >= FIRST])
    area = np.mean([masks[name].mean() for name in chosen])
    note = (
        f"{len(found)} of {len(catalog)} pictures are explained; of those outside the first folds "
        f"{right:.1%} are right; outlines hold {area:.1%} of a picture"
    )
    command = "python benchmarks/explanation.py" + (
        f" --pictures {options.pictures}" if options.pictures != 500 else ""
    )
    with whole_file(options.output) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n", restval="")
        writer.writeheader()
        for row in rows(found, note):
            writer.writerow(row | {"command": command})
            if row["part"] == "all":
                logger.info(
                    "%-16s %-9s %.3f (%s to %s)",
                    *(row[key] for key in COLUMNS[:1]),
                    row["measure"],
                    row["value"],
                    row["low"],
                    row["high"],
                )


if __name__ == "__main__":
    main()

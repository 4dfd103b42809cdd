"""What the classifier takes for no brain MRI like those it knows, and what it wrongly takes for such a thing.

    python benchmarks/novelty.py --data SARTAJ --groups SARTAJ_GROUPS.csv --weights MOBILENET_V2.h5

The classifier is MobileNetV2 by the recipe `fast` on five folds of the training pictures, calibrated by what
each fold's network said of pictures it had not seen; or `--classifier FOLDER`, a calibrated one.
`results/novelty.csv` gets one row a set of pictures: how many, the AUROC of their novelty against that of
the brains, and the share called novel (novelty above 1). Sets:

* `brains`: pictures of the data set of which neither they nor their group were trained on, selected by or
  calibrated by: of the official test set those that did not leak. The share called novel is that of false
  alarms. `brains/CLASS` likewise.
* `calibration`: the false alarms that calibration itself found, fold by fold, as the manifest has them.
* `natural`: the pictures inside the wheels of scikit-image and scikit-learn.
* `noise`: uniform, normal and smooth noise. `phantoms`: this library's own drawn heads, of another kind.
* `ct-like`: heads drawn with a bright ring of bone and flat insides. No goal: a part of `none` is CT.
* `mr_misc/FILE`: MR files that show no brain, one row each (`--misc FOLDER`, if it is there).
"""

import argparse
import csv
import logging
import os
import shlex
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import cv2
import numpy as np
from sartaj import ROOT, SHARED
from sklearn.metrics import roc_auc_score

from mri_tumor import dataset, models
from mri_tumor.dataset import Catalog
from mri_tumor.errors import MriTumorError
from mri_tumor.files import whole_file
from mri_tumor.models import Classifier, Prediction
from mri_tumor.models.seen import known_of
from mri_tumor.progress import to_console

logger = logging.getLogger("mri_tumor.benchmarks")

RESULTS = ROOT / "benchmarks" / "results" / "novelty.csv"
COLUMNS = ("set", "n", "auroc", "novel", "median_novelty", "abstained", "note", "command")
NOT_NATURAL = ("phantom.png",)  # scikit-image's own drawing of a head


def new_to(classifier: Classifier, catalog: Catalog) -> Catalog:
    """Return the pictures that it was not trained, selected or calibrated by, nor any of their groups."""
    old: set[str] = set()
    known = known_of(catalog, catalog.ids, catalog.groups)
    for seen in (classifier.seen, classifier.selected, classifier.calibrated):
        if seen is not None:
            shared = seen.shared(known)
            groups = set(shared.groups)
            old |= {*shared.pictures, *(one.id for one in catalog if one.group in groups)}
    return catalog.select(where=lambda record: record.id not in old)


def trained(options: argparse.Namespace, run: Path) -> Classifier:
    """Train on the training pictures, five folds by group, and calibrate by the pictures held out."""
    import keras

    training = dataset.scan(options.data, groups=options.groups).select(split="Training")
    train, validation = dataset.split(training, (0.8, 0.2))
    keras.utils.set_random_seed(0)
    network = models.build("mobilenet_v2", weights=options.weights)
    recipe = models.Recipe.preset("fast", folds=5)
    return models.calibrate(models.train(network, train, validation, recipe=recipe, run_dir=run), run)


def natural() -> dict[str, np.ndarray]:
    """Return the pictures inside two wheels, uint8 (H, W)."""
    import skimage
    import sklearn

    folders = (Path(skimage.__file__).parent / "data", Path(sklearn.__file__).parent / "datasets" / "images")
    paths = sorted(path for folder in folders for path in folder.glob("*.[pj][np]g"))
    found = {path.name: cv2.imread(str(path), cv2.IMREAD_GRAYSCALE) for path in paths}
    return {name: picture for name, picture in found.items() if name not in NOT_NATURAL}


def noise(count: int = 100, size: int = 256) -> Iterator[np.ndarray]:
    """Yield uniform, normal and smooth noise in turn, uint8 (size, size)."""
    rng = np.random.default_rng(0)
    for place in range(count):
        values = rng.uniform(0, 255, (size, size)) if place % 3 == 0 else rng.normal(128, 50, (size, size))
        if place % 3 == 2:
            smooth = cv2.GaussianBlur(values, (0, 0), float(rng.uniform(2, 12)))
            values = (smooth - smooth.mean()) / smooth.std() * 50 + 128
        yield np.clip(values, 0, 255).astype(np.uint8)


def ct_like(count: int = 100, size: int = 256) -> Iterator[np.ndarray]:
    """Yield heads as CT shows them: a bright ring of bone, brain nearly flat, dark ventricles."""
    rng = np.random.default_rng(1)
    for _ in range(count):
        picture = np.zeros((size, size), np.float32)
        centre = (size // 2 + int(rng.integers(-6, 7)), size // 2 + int(rng.integers(-6, 7)))
        outer = np.array([rng.uniform(0.33, 0.38), rng.uniform(0.4, 0.45)]) * size
        turn, thick = float(rng.uniform(-8, 8)), float(rng.uniform(6, 12))
        for axes, level in ((outer + 4, 60), (outer, 250), (outer - thick, rng.uniform(95, 125))):
            cv2.ellipse(picture, centre, tuple(int(axis) for axis in axes), turn, 0, 360, float(level), -1)
        brain = np.zeros_like(picture)
        cv2.ellipse(brain, centre, tuple(int(axis - thick) for axis in outer), turn, 0, 360, 1.0, -1)
        for side in (-1, 1):
            place = (centre[0] + side * int(rng.uniform(8, 14)), centre[1] - int(rng.uniform(0, 20)))
            cv2.ellipse(picture, place, (5, int(rng.uniform(15, 30))), side * 12, 0, 360, 70.0, -1)
        texture = cv2.GaussianBlur(rng.normal(0, 1, picture.shape).astype(np.float32), (0, 0), 1.5)
        picture = cv2.GaussianBlur(picture, (0, 0), 0.8) + brain * texture * 12
        yield np.clip(picture, 0, 255).astype(np.uint8)


def phantoms(classifier: Classifier, per_class: int = 25) -> list[Prediction]:
    with tempfile.TemporaryDirectory() as folder:
        return classifier.predict(dataset.make_phantoms(folder, per_class=per_class, seed=4711))


def row(
    name: str, found: Sequence[Prediction], brains: Sequence[Prediction] = (), note: str = ""
) -> dict[str, Any]:
    """Return a line of the table; the AUROC is that against the brains, if there are any."""
    novelty = np.array([one.novelty for one in found])
    auroc: Any = ""
    if others := [one.novelty for one in brains]:
        truth = np.repeat([0, 1], [len(others), len(novelty)])
        auroc = round(float(roc_auc_score(truth, [*others, *novelty])), 4)
    return {
        "set": name,
        "n": len(found),
        "auroc": auroc,
        "novel": round(float((novelty > 1).mean()), 4),
        "median_novelty": round(float(np.median(novelty)), 3),
        "abstained": round(float(np.mean([one.abstained for one in found])), 4),
        "note": note,
    }


def misc_rows(classifier: Classifier, folder: Path) -> list[dict[str, Any]]:
    rows = []
    for path in sorted(folder.iterdir()):
        if not path.is_file() or path.name.startswith("LICENSE"):
            continue
        name = f"mr_misc/{path.name}"
        try:
            found = classifier.predict(list(dataset.read_slices(path, group="misc").images))
        except MriTumorError as error:
            rows.append(
                {"set": name, "n": 0, "note": f"not read: {error.found.replace(str(path), path.name)}"}
            )
            continue
        said = sorted(
            {f"refused as {one.reason}" if one.abstained else f"called {one.label}" for one in found}
        )
        rows.append(row(name, found, note=", ".join(said)))
    return rows


def measure(classifier: Classifier, options: argparse.Namespace) -> list[dict[str, Any]]:
    catalog = new_to(classifier, dataset.scan(options.data, groups=options.groups))
    logger.info("%d brains that are new to the classifier", len(catalog))
    brains = classifier.predict(catalog)
    rows = [row("brains", brains, note="new to the classifier; novel = false alarms")]
    for label in classifier.labels:
        own = [one for one, true in zip(brains, catalog.labels, strict=True) if true == label]
        rows += [row(f"brains/{label}", own)] if own else []
    report = classifier.manifest.sections["decision"].get("calibration", {})
    if report.get("false_alarms"):
        alarms = report["false_alarms"]
        note = f"false alarms over the folds, 95 % interval {alarms['low']} to {alarms['high']}"
        rows.append({"set": "calibration", "n": report["n"], "novel": alarms["value"], "note": note})
    pictures = natural()
    rows.append(row("natural", classifier.predict(list(pictures.values())), brains, " ".join(pictures)))
    rows.append(row("noise", classifier.predict(list(noise())), brains))
    rows.append(row("phantoms", phantoms(classifier), brains))
    rows.append(row("ct-like", classifier.predict(list(ct_like())), brains, "no goal: a part of none is CT"))
    return rows + (misc_rows(classifier, options.misc) if options.misc.is_dir() else [])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--classifier", type=Path, help="a calibrated one; without it one is trained")
    parser.add_argument("--data", type=Path, default=SHARED / "data" / "sartaj")
    parser.add_argument("--groups", type=Path, default=SHARED / "data" / "sartaj_groups.csv")
    weights = SHARED / "weights" / "mobilenet_v2_1.0_224_notop.weights.h5"
    parser.add_argument("--weights", type=Path, default=weights)
    parser.add_argument("--misc", type=Path, default=SHARED / "data" / "dicom" / "mr_misc")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    to_console()
    if options.classifier:
        classifier = Classifier.load(options.classifier)
    else:
        with tempfile.TemporaryDirectory() as run:
            classifier = trained(options, Path(run))
    if classifier.settings.threshold is None:
        parser.error(f"{options.classifier} has no threshold of novelty: train it, then models.calibrate it")
    command = shlex.join(["python", "benchmarks/novelty.py", *sys.argv[1:]])
    rows = [{**one, "command": command} for one in measure(classifier, options)]
    with whole_file(options.output) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n", restval="")
        writer.writeheader()
        writer.writerows(rows)
    for one in rows:
        logger.info(
            "%-40s n=%-5s auroc %-7s novel %s",
            one["set"],
            one["n"],
            one.get("auroc", ""),
            one.get("novel", ""),
        )


if __name__ == "__main__":
    main()

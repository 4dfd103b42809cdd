"""How hard the phantoms are, on held-out patients, and how fast they are made.

    python benchmarks/phantoms.py

For each seed a data set is written, and five rows go to `benchmarks/results/phantoms.csv`:

* `probe`: a random forest on width, height, file size, brightness and border, without seeing what is shown;
  grouped 5-fold over all pictures. At most 35 % (chance is 25 %), or the tumour would not be needed.
* `nearest`: 1-nearest neighbour on 24x24 thumbnails, the same folds. At most 60 %.
* `recipe`: the demo's network and recipe, trained from scratch on `Training/`; accuracy on as many pictures
  again of other patients (another seed). Between 85 and 98 %: learnable, and not trivial.
* `testing`: the same classifier on the test patients that are not in `Training/`: what the demo shows, by so
  few pictures that it swings by some points.
* `alike`: the largest correlation of 32x32 thumbnails of two patients. The audit sees a copy from .99 on.

Two more rows: pictures a second and core at 256 px, drawn alone and written as PNG. Each is made five times
and the quickest counts, because other work on the machine would otherwise be measured too.
"""

import argparse
import csv
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import cv2
import keras
import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestClassifier
from sklearn.neighbors import KNeighborsClassifier

from mri_tumor import LABELS, models
from mri_tumor.dataset import Catalog, Preprocess, folds, make_phantoms, read_image, split
from mri_tumor.dataset.phantom import phantom
from mri_tumor.files import whole_file

RESULTS = Path(__file__).resolve().parent / "results" / "phantoms.csv"
COLUMNS = ("check", "seed", "value", "unit", "n", "seconds", "setting")

# What examples/full_workflow.py trains with.
SIZE = 96
RECIPE = {"epochs": 40, "batch_size": 16, "lr_patience": 6}


def main() -> None:
    parser = argparse.ArgumentParser(description="Difficulty and speed of the phantoms.")
    parser.add_argument("--per-class", type=int, default=100)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    rows = speed()
    for seed in arguments.seeds:
        with tempfile.TemporaryDirectory() as folder:
            rows += difficulty(Path(folder), arguments.per_class, seed)
    with whole_file(arguments.results) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def row(check: str, seed: int | str, value: float, unit: str, n: int, start: float, setting: str) -> dict:
    seconds = time.perf_counter() - start
    print(f"{check:10s} seed {seed!s:2s} {value:8.3f} {unit} of {n}, {seconds:.0f} s: {setting}", flush=True)
    values = (check, seed, f"{value:.3f}", unit, n, f"{seconds:.0f}", setting)
    return dict(zip(COLUMNS, values, strict=True))


def difficulty(folder: Path, per_class: int, seed: int) -> list[dict]:
    catalog = make_phantoms(folder / "pictures", per_class=per_class, seed=seed)
    images = [read_image(path) for path in catalog.paths]
    count, setting = len(catalog), f"{per_class} a class"
    start = time.perf_counter()
    forest = RandomForestClassifier(500, random_state=0)
    probe = by_folds(
        catalog, np.array([outside(*item) for item in zip(images, catalog, strict=True)]), forest
    )
    rows = [row("probe", seed, probe, "accuracy", count, start, setting)]
    start = time.perf_counter()
    nearest = by_folds(catalog, thumbnails(images, 24), KNeighborsClassifier(1))
    rows.append(row("nearest", seed, nearest, "accuracy", count, start, setting))
    start = time.perf_counter()
    rows.append(row("alike", seed, alike(catalog, images), "correlation", count, start, setting))
    start = time.perf_counter()
    classifier = trained(catalog, folder / "run", seed)
    setting += "".join(f", {name}={value}" for name, value in {"size": SIZE, **RECIPE}.items())
    known = set(catalog.select(split="Training").groups)
    held_out = {
        "recipe": make_phantoms(folder / "others", per_class=per_class, seed=seed + 1000),
        "testing": catalog.select(split="Testing", where=lambda record: record.group not in known),
    }
    for check, new in held_out.items():
        predicted = [prediction.top for prediction in classifier.predict(new)]
        accuracy = float(np.mean(np.array(predicted) == np.array(new.labels)))
        rows.append(row(check, seed, accuracy, "accuracy", len(new), start, setting))
    return rows


def outside(image: NDArray[np.uint8], record) -> list[float]:
    """Return what can be known of a picture without looking at what it shows."""
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    percentiles = np.percentile(image, [0, 1, 5, 25, 50, 75, 95, 99, 100])
    moments = [image.mean(), image.std(), border.mean(), border.std(), border.max()]
    return [*image.shape, record.path.stat().st_size, *moments, *percentiles]


def thumbnails(images: list[NDArray[np.uint8]], side: int) -> NDArray[np.float32]:
    small = [cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA).ravel() for image in images]
    return np.array(small, np.float32)


def by_folds(catalog: Catalog, features: NDArray, model) -> float:
    place = {id_: index for index, id_ in enumerate(catalog.ids)}
    labels, right = catalog.label_indices, []
    for parts in folds(catalog, n=5, by="group", seed=0):
        train, test = ([place[id_] for id_ in part.ids] for part in parts)
        right.extend(model.fit(features[train], labels[train]).predict(features[test]) == labels[test])
    return float(np.mean(right))


def alike(catalog: Catalog, images: list[NDArray[np.uint8]]) -> float:
    groups = np.array(catalog.groups)
    return float(np.corrcoef(thumbnails(images, 32))[groups[:, None] != groups].max())


def trained(catalog: Catalog, run_dir: Path, seed: int) -> models.Classifier:
    train, validation = split(catalog.select(split="Training"), (0.8, 0.2), by="group", seed=seed)
    keras.utils.set_random_seed(seed)  # the first weights
    return models.train(
        models.build("small_cnn", size=SIZE),
        train,
        validation,
        recipe=models.Recipe(seed=seed, **RECIPE),
        run_dir=run_dir,
        preprocess=Preprocess(size=SIZE),
    )


def speed() -> list[dict]:
    cv2.setNumThreads(1)
    start, patients = time.perf_counter(), range(20)
    drawn = [quickest(lambda x=x, p=p: phantom(x, patient=p)) for x in LABELS for p in patients]
    images = [phantom(label, patient=patient) for label in LABELS for patient in patients]
    encoded = [quickest(lambda image=image: cv2.imencode(".png", image)) for image in images]
    count, both = len(drawn), np.add(drawn, encoded)
    return [
        row("drawn", "", count / sum(drawn), "pictures a second and core", count, start, "256 px"),
        row("written", "", count / both.sum(), "pictures a second and core", count, start, "256 px, PNG too"),
    ]


def quickest(work: Callable[[], object]) -> float:
    """Return the least processor seconds of five runs."""
    times = []
    for _ in range(5):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


if __name__ == "__main__":
    main()

"""What a random split is worth: the same classifiers in five folds by picture and in five folds by group.

    python benchmarks/random_folds.py --data SARTAJ --groups SARTAJ_GROUPS.csv --weights MOBILENET_V2.h5

The 2870 public training pictures; folds of `dataset.folds`, seed 0; every picture is answered once, by a
classifier that did not see it. Intervals are percentile bootstraps over whole groups. One row is a classifier
and a kind of folds.

* *width and height*: a random forest on the files' size; no pixel is looked at (a floor of `evaluate`)
* *nearest thumbnail*: the class of the training picture whose 24 x 24 thumbnail correlates best (a floor too)
* *SVM*: radial kernel, C = 10, on 32 x 32 thumbnails
* *MobileNetV2*: features of the frozen network with the library's preprocessing, scaled, logistic regression
"""

import csv
import logging
import os
import shlex
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import cv2
import numpy as np
from reference_protocol import classifier, feature_extractor, library_picture, read_all
from sartaj import ROOT, Table, interval, parse
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from mri_tumor import LABELS, dataset
from mri_tumor.files import whole_file
from mri_tumor.models.judging.floors import floor_answers, look_at
from mri_tumor.progress import to_console

logger = logging.getLogger("mri_tumor.benchmarks")

OUTPUT = ROOT / "benchmarks" / "results" / "random_folds.csv"
COLUMNS = ("classifier", "folds", "n", "groups", "accuracy", "low", "high", "command")


def main() -> None:
    to_console()
    options = parse(__doc__, output=OUTPUT)
    table = Table(options.groups)
    pictures = read_all(options.data, table.paths)
    small = np.stack([cv2.resize(one, (32, 32), interpolation=cv2.INTER_AREA) for one in pictures])
    inputs = {
        "SVM": (make_pipeline(StandardScaler(), SVC(C=10)), small.reshape(len(small), -1) / 255),
        "MobileNetV2": (
            classifier(),
            feature_extractor(options.weights)(np.stack([library_picture(one) for one in pictures])),
        ),
    }
    place = {path: number for number, path in enumerate(table.paths)}
    catalog = dataset.scan(options.data, groups=dict(zip(table.paths, table.groups, strict=True)))
    catalog = catalog.select(split="Training")
    looks, rows = look_at(catalog), []
    at = {name: number for number, name in enumerate(catalog.ids)}
    for by in ("image", "group"):
        right: dict[str, np.ndarray] = {}
        for train, held in parts(catalog, by):
            sides = [np.array([at[name] for name in part.ids]) for part in (train, held)]
            answers = floor_answers(*(looks.take(side) for side in sides))
            said = {"width and height": answers["size"], "nearest thumbnail": answers["thumbnail"]}
            known, asked = (np.array([place[name] for name in part.ids]) for part in (train, held))
            for name, (model, features) in inputs.items():
                found = model.fit(features[known], table.labels[known]).predict(features[asked])
                said[name] = tuple(LABELS[one] for one in found)
            for name, one in said.items():
                hits = right.setdefault(name, np.zeros(len(catalog), bool))
                hits[sides[1]] = np.array(one) == np.array(held.labels)
        rows += [row(name, by, hits, np.array(catalog.groups)) for name, hits in right.items()]
    write(rows, options.output)


def parts(catalog: dataset.Catalog, by: str) -> Iterator[tuple[dataset.Catalog, dataset.Catalog]]:
    """Return five folds; those by picture warn, which is meant here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield from list(dataset.folds(catalog, n=5, by=by, seed=0))


def row(name: str, by: str, hits: np.ndarray, groups: np.ndarray) -> dict[str, object]:
    low, high = interval(hits, groups)
    found = {"classifier": name, "folds": by, "n": len(hits), "groups": len(set(groups))}
    found |= {"accuracy": round(float(hits.mean()), 4), "low": round(low, 4), "high": round(high, 4)}
    logger.info("%s", found)
    return found


def write(rows: list[dict[str, object]], output: Path) -> None:
    command = shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]])
    with whole_file(output) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows({**one, "command": command} for one in rows)
    logger.info("written: %s", output)


if __name__ == "__main__":
    main()

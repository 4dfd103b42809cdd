"""What each option of Preprocess is worth, on grouped folds of the real training pictures.

    python benchmarks/preprocess.py --data SARTAJ --groups SARTAJ_GROUPS.csv --weights MOBILENET_V2.h5
    python benchmarks/preprocess.py --figshare FIGSHARE --blocks FIGSHARE_GROUPS.csv --sets figshare ...

Each row changes the default in one option. Features: frozen MobileNetV2 (ImageNet weights), average-pooled
after its last layer, or at five depths; then StandardScaler and LogisticRegression (C=.01, five depths .003).
Five folds by group, three shuffles; accuracy over all held-out pictures, training pictures of the data set
only. The held-out pictures are judged as they are, and disturbed in ways that change nothing in the head:
*framed* (black margins of 0-25 % a side), *dark* (grey levels x .6), *line* (a white frame line, .5 % wide).
`difference` is to the default, undisturbed, with the 95 % interval of the bootstrap over whole groups.

Runs on any Keras backend. On two cores without a GPU a data set takes about half an hour.
"""

import argparse
import csv
import logging
import os
import shlex
import sys
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import cv2
import joblib
import keras
import numpy as np
from sartaj import ROOT, SHARED, Table
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mri_tumor.dataset import Preprocess, read_image
from mri_tumor.files import whole_file
from mri_tumor.progress import to_console

logger = logging.getLogger("mri_tumor.benchmarks")

RESULTS = ROOT / "benchmarks" / "results" / "preprocess.csv"
SPECS = {
    "default": Preprocess(),
    "letterbox": Preprocess(fit="letterbox"),
    "no crop": Preprocess(crop=False),
    "no window": Preprocess(window=None),
    "window 90": Preprocess(window=90),
    "window 99": Preprocess(window=99),
    "CLAHE 2": Preprocess(clahe=2),
    "threshold 40": Preprocess(threshold=40),
    "coverage 2": Preprocess(coverage=2),
    "coverage 8": Preprocess(coverage=8),
    "resized only": Preprocess(crop=False, window=None),
}
DISTURBANCES = ("as is", "framed", "dark", "line")
DEPTHS = (
    "block_6_expand_relu",
    "block_10_project_BN",
    "block_13_expand_relu",
    "block_16_expand_relu",
    "out_relu",
)
STRENGTH = {"last layer": 0.01, "five depths": 0.003}
SHUFFLES = 3


class Pictures(NamedTuple):
    """A data set: files, labels and what must stay together."""

    name: str
    paths: list[Path]
    labels: np.ndarray
    groups: np.ndarray


def sartaj(data: Path, groups: Path) -> Pictures:
    table = Table(groups)
    paths = [data / table.paths[place] for place in np.flatnonzero(table.training)]
    return Pictures("sartaj", paths, table.labels[table.training], table.groups[table.training])


def figshare(data: Path, blocks: Path) -> Pictures:
    with blocks.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    labels, groups = (np.array([row[column] for row in rows]) for column in ("class", "block"))
    return Pictures("figshare", [data / row["path"] for row in rows], labels, groups)


def disturbed(image: np.ndarray, kind: str, name: str) -> np.ndarray:
    """Return the picture changed in a way that leaves the head as it is; what is drawn hangs on its name."""
    height, width = image.shape
    if kind == "framed":
        shares = np.random.default_rng(zlib.crc32(name.encode())).uniform(0, 0.25, 4)
        margins = [
            int(share * side) for share, side in zip(shares, (height, height, width, width), strict=True)
        ]
        return cv2.copyMakeBorder(image, *margins, cv2.BORDER_CONSTANT, value=0)
    if kind == "dark":
        return cv2.convertScaleAbs(image, alpha=0.6)
    if kind == "line":
        line = max(1, min(height, width) // 200)
        inside = image[line:-line, line:-line]
        return cv2.copyMakeBorder(inside, line, line, line, line, cv2.BORDER_CONSTANT, value=255)
    return image


def prepared(pictures: Pictures, spec: Preprocess, kind: str) -> np.ndarray:
    def one(path: Path) -> np.ndarray:
        return spec(disturbed(read_image(path), kind, f"{path.parent.name}/{path.name}"))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return np.stack(list(pool.map(one, pictures.paths)))


def extractor(weights: Path) -> keras.Model:
    """Return uint8 (N, 224, 224, 1) -> the pooled outputs at every depth, the last layer's last."""
    network = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(224, 224, 3))
    network.load_weights(weights)
    inside = keras.Model(network.input, [network.get_layer(name).output for name in DEPTHS])
    pictures = keras.Input((224, 224, 1), dtype="uint8")
    scaled = keras.ops.cast(pictures, "float32") / 127.5 - 1.0
    outputs = inside(keras.ops.repeat(scaled, 3, axis=-1), training=False)
    return keras.Model(pictures, [keras.ops.mean(output, axis=(1, 2)) for output in outputs])


def features(network: keras.Model, images: np.ndarray) -> dict[str, np.ndarray]:
    depths = network.predict(images, batch_size=64, verbose=0)
    return {"last layer": depths[-1], "five depths": np.concatenate(depths, axis=1)}


def hits(by_disturbance: Sequence[np.ndarray], pictures: Pictures, strength: float) -> np.ndarray:
    """Return float (disturbances, pictures): how often, over the shuffles, each held-out picture is right."""
    labels, groups = pictures.labels, pictures.groups
    folds = [
        fold
        for seed in range(SHUFFLES)
        for fold in StratifiedGroupKFold(5, shuffle=True, random_state=seed).split(labels, labels, groups)
    ]
    jobs = (joblib.delayed(hits_of_fold)(by_disturbance, labels, strength, *fold) for fold in folds)
    right = np.zeros((len(by_disturbance), len(labels)))
    for (_, held_out), results in zip(folds, joblib.Parallel(n_jobs=-1)(jobs), strict=True):
        right[:, held_out] += results / SHUFFLES
    return right


def hits_of_fold(
    by_disturbance: Sequence[np.ndarray],
    labels: np.ndarray,
    strength: float,
    train: np.ndarray,
    held_out: np.ndarray,
) -> np.ndarray:
    """Return bool (disturbances, held-out pictures) of a classifier fitted on the undisturbed others."""
    model = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=300))
    model.fit(by_disturbance[0][train], labels[train])
    return np.stack([model.predict(rows[held_out]) == labels[held_out] for rows in by_disturbance])


def interval(differences: np.ndarray, groups: np.ndarray, draws: int = 2000) -> tuple[float, float]:
    """Return the 95 % interval of a mean: the percentile bootstrap over whole groups."""
    _, places = np.unique(groups, return_inverse=True)
    sums, sizes = np.bincount(places, differences), np.bincount(places)
    chosen = np.random.default_rng(0).integers(len(sizes), size=(draws, len(sizes)))
    low, high = np.percentile(sums[chosen].sum(axis=1) / sizes[chosen].sum(axis=1), [2.5, 97.5])
    return float(low), float(high)


def measure(network: keras.Model, pictures: Pictures, options: Sequence[str]) -> Iterator[dict[str, Any]]:
    default: dict[str, np.ndarray] = {}
    for name in dict.fromkeys(("default", *options)):
        spec = SPECS[name]
        found = [features(network, prepared(pictures, spec, kind)) for kind in DISTURBANCES]
        for depth, strength in STRENGTH.items():
            right = hits([kinds[depth] for kinds in found], pictures, strength)
            default.setdefault(depth, right[0])
            low, high = interval(right[0] - default[depth], pictures.groups)
            row = {"data": pictures.name, "features": depth, "options": name}
            row |= {kind: f"{right[place].mean():.3f}" for place, kind in enumerate(DISTURBANCES)}
            row |= {
                "difference": f"{(right[0] - default[depth]).mean():+.4f}",
                "ci95": f"{low:+.4f} to {high:+.4f}",
            }
            logger.info("%s", row)
            yield row


def write(rows: list[dict[str, Any]], output: Path) -> None:
    command = shlex.join(["python", "benchmarks/preprocess.py", *sys.argv[1:]])
    with whole_file(output) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*rows[0], "command"], lineterminator="\n")
        writer.writeheader()
        writer.writerows([row | {"command": command} for row in rows])


def main() -> None:
    to_console()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    data = SHARED / "data"
    parser.add_argument("--data", type=Path, default=data / "sartaj")
    parser.add_argument("--groups", type=Path, default=data / "sartaj_groups.csv")
    parser.add_argument("--figshare", type=Path, default=data / "figshare")
    parser.add_argument("--blocks", type=Path, default=data / "figshare_groups.csv")
    parser.add_argument(
        "--weights", type=Path, default=SHARED / "weights" / "mobilenet_v2_1.0_224_notop.weights.h5"
    )
    parser.add_argument("--sets", nargs="+", choices=("sartaj", "figshare"), default=["sartaj"])
    parser.add_argument("--options", nargs="+", choices=tuple(SPECS), default=tuple(SPECS), metavar="NAME")
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    if not options.data.is_dir():
        parser.exit(0, f"skipped: {options.data} is not there\n")
    network = extractor(options.weights)
    readers = {
        "sartaj": lambda: sartaj(options.data, options.groups),
        "figshare": lambda: figshare(options.figshare, options.blocks),
    }
    rows: list[dict[str, Any]] = []
    for name in options.sets:
        for row in measure(network, readers[name](), options.options):
            rows.append(row)
            write(rows, options.output)


if __name__ == "__main__":
    main()

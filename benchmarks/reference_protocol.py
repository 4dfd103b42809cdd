"""The reference protocol on the real pictures: a check that the whole machinery gives the known numbers.

    python benchmarks/reference_protocol.py --data SARTAJ --groups SARTAJ_GROUPS.csv --weights MOBILENET_V2.h5

Two rows: the protocol with its own cropping (expected: 82.0 % of the official 394 test pictures, 50.0 % of
the clean ones, .845 in the grouped folds), and the same with the library's default Preprocess.

Features: MobileNetV2 (ImageNet weights, average-pooled) of 224 px pictures; then scikit-learn's
StandardScaler and LogisticRegression(C=.01). *Leaked*: test pictures with a near-duplicate in training.
Folds: 5, by `group`, training pictures only.
"""

import argparse
import logging
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import cv2
import keras
import numpy as np
import tensorflow as tf
from sartaj import Table, parse, write_rows
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, f1_score
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mri_tumor.dataset import Preprocess, read_image
from mri_tumor.progress import to_console, track

logger = logging.getLogger("mri_tumor.benchmarks")

SIZE = 224
BATCH = 32


def reference_picture(grey: np.ndarray) -> np.ndarray:
    """Return the protocol's own uint8 (224, 224) of a grey picture (H, W)."""
    top, bottom, left, right = reference_box(grey)
    cropped = grey[top:bottom, left:right]
    bright = cropped[cropped > 10]
    top_level = np.percentile(bright, 99) if bright.size else 255.0
    windowed = np.clip(cropped * (0.9 * 255 / top_level), 0, 255).astype(np.uint8)
    return letterbox(windowed)


def reference_box(grey: np.ndarray) -> tuple[int, int, int, int]:
    """Return (top, bottom, left, right) of the largest bright component, or of the whole picture."""
    blurred = cv2.GaussianBlur(grey, (5, 5), 0)
    otsu, _ = cv2.threshold(blurred, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    mask = (blurred > max(10, min(otsu / 2, 40))).astype(np.uint8)
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8))
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask)
    if count > 1:
        left, top, width, height, area = stats[1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())]
        if area > 0.05 * grey.size:
            return top, top + height, left, left + width
    return 0, grey.shape[0], 0, grey.shape[1]


def letterbox(grey: np.ndarray) -> np.ndarray:
    scale = SIZE / max(grey.shape)
    height, width = (max(1, round(side * scale)) for side in grey.shape)
    kernel = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    top, left = (SIZE - height) // 2, (SIZE - width) // 2
    picture = np.zeros((SIZE, SIZE), np.uint8)
    picture[top : top + height, left : left + width] = cv2.resize(grey, (width, height), interpolation=kernel)
    return picture


def library_picture(grey: np.ndarray) -> np.ndarray:
    """Return the library's default preprocessing of a grey picture, uint8 (224, 224)."""
    return Preprocess(size=SIZE)(grey)[..., 0]


def feature_extractor(weights: Path) -> Callable[[np.ndarray], np.ndarray]:
    """Return uint8 (N, 224, 224) -> float32 (N, 1280), in batches of 32."""
    network = keras.applications.MobileNetV2(
        weights=None, include_top=False, pooling="avg", input_shape=(SIZE, SIZE, 3)
    )
    network.load_weights(weights)

    # Not compiled by XLA: on a processor without AVX-512 that took eight times as long as oneDNN's kernels.
    @tf.function(input_signature=[tf.TensorSpec([BATCH, SIZE, SIZE], tf.uint8)], autograph=False)
    def of_batch(pictures: tf.Tensor) -> tf.Tensor:
        scaled = tf.cast(pictures, tf.float32)[..., tf.newaxis] / 127.5 - 1.0
        return network(tf.repeat(scaled, 3, axis=-1), training=False)

    def features(pictures: np.ndarray) -> np.ndarray:
        padded = np.concatenate([pictures, np.zeros((-len(pictures) % BATCH, SIZE, SIZE), np.uint8)])
        starts = track(range(0, len(padded), BATCH), "features")
        return np.concatenate([of_batch(padded[at : at + BATCH]) for at in starts])[: len(pictures)]

    return features


def classifier() -> Any:
    return make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=300))


def folds(features: np.ndarray, table: Table, seed: int = 0) -> dict[str, float]:
    """Return accuracy and macro-F1 of the pooled predictions of 5 folds by group, training pictures only."""
    features, labels = features[table.training], table.labels[table.training]
    splitter = StratifiedGroupKFold(5, shuffle=True, random_state=seed)
    predicted = np.empty_like(labels)
    for train, held_out in splitter.split(features, labels, table.groups[table.training]):
        predicted[held_out] = classifier().fit(features[train], labels[train]).predict(features[held_out])
    f1 = f1_score(labels, predicted, average="macro")
    return {"folds_acc": round(accuracy_score(labels, predicted), 3), "folds_macro_f1": round(f1, 3)}


def read_all(data: Path, paths: Iterable[str]) -> list[np.ndarray]:
    return [read_image(data / path) for path in track(list(paths), "reading")]


def measure(arguments: argparse.Namespace) -> list[dict[str, Any]]:
    table = Table(arguments.groups)
    pictures = read_all(arguments.data, table.paths)
    features_of = feature_extractor(arguments.weights)
    rows = []
    for name, prepare in (("reference protocol", reference_picture), ("library default", library_picture)):
        features = features_of(np.stack([prepare(picture) for picture in pictures]))
        model = classifier().fit(features[table.training], table.labels[table.training])
        row = {"row": name, "protocol": f"MobileNetV2 + logistic regression, {name} preprocessing"}
        row |= {"trained_on": f"all {table.training.sum()}"}
        row |= table.official(model.predict(features) == table.labels) | folds(features, table)
        rows.append(row)
        logger.info("%s", row)
    return rows


def main() -> None:
    to_console()
    options = parse(__doc__)
    write_rows(measure(options), options)


if __name__ == "__main__":
    main()

"""How long `fast` takes and what it reaches, beside Keras' `fit`, and what the pictures' supply costs.

    python benchmarks/training.py --data SARTAJ --groups SARTAJ_GROUPS.csv --weights MOBILENET_V2.h5

Rows of `benchmarks/results/training.csv`, in one run on one machine:

* `fast, k copies`: five grouped folds of the training pictures. For each fold one training on the other four
  fifths (a fifth of them, by group, selects; then a refit on all), features included and nothing kept from
  before; `seconds` is the mean over the folds. Accuracy over all held-out pictures, with the 95 % interval of
  the bootstrap over whole groups.
* `fit`: the same frozen network on the first fold's pictures, trained by Keras' `fit` with the same
  augmentation on line, Adam at its default rate, until it is as accurate on the held-out pictures as `fast`
  was there, or has taken `--patience` times as long. `ratio` is its time over that of `fast` on that fold; a
  run that did not get there ends with `>`.
* `supply`: of a training step of the whole network, the share that shuffling and augmenting would take if
  nothing of it were done beside the step: drawing batches alone, and steps with one batch again and again, in
  turns.

Times say little on a machine that does other work. Forty minutes on two cores.
"""

import argparse
import csv
import logging
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf
from sartaj import ROOT, SHARED, interval
from sklearn.metrics import f1_score

from mri_tumor import dataset, models
from mri_tumor.dataset.pipeline import Examples
from mri_tumor.files import whole_file
from mri_tumor.progress import to_console

logger = logging.getLogger("mri_tumor.benchmarks")

RESULTS = ROOT / "benchmarks" / "results" / "training.csv"
COLUMNS = ("what", "seconds", "accuracy", "ci95", "macro_f1", "ratio", "goal", "met", "command")
FOLDS = 5
STEPS = 12


class Setting:
    """The pictures, their folds, and the network that all rows train."""

    def __init__(self, options: argparse.Namespace) -> None:
        pictures = dataset.scan(options.data, groups=options.groups).select(split="Training")
        self.folds = list(dataset.folds(pictures, FOLDS))
        self.weights: Path = options.weights
        self.rounds: int = options.rounds
        self.patience: float = options.patience

    def network(self, *, frozen: bool = True) -> Any:
        """Return the network, always with the same initial head."""
        keras.utils.set_random_seed(0)
        return models.build("mobilenet_v2", weights=self.weights, frozen=frozen)


def fast(setting: Setting, copies: int) -> dict[str, Any]:
    """Train on every fold; return the row, and the first fold's time and accuracy under `first`."""
    seconds, truth, said, groups = [], [], [], []
    for train, held_out in setting.folds:
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            learnt, selecting = dataset.split(train)
            recipe = models.Recipe.preset("fast", copies=copies)
            options: dict[str, Any] = {"recipe": recipe, "run_dir": folder, "refit": True}
            classifier = models.train(setting.network(), learnt, selecting, **options)
            seconds.append(time.perf_counter() - start)
        truth += held_out.labels
        said += [one.top for one in classifier.predict(held_out)]
        groups += held_out.groups
        logger.info("fold done in %.1f s", seconds[-1])
    right = np.array(truth) == np.array(said)
    low, high = interval(right, np.array(groups))
    first = slice(0, len(setting.folds[0][1]))
    return {
        "what": f"fast, {copies} copies",
        "seconds": np.mean(seconds),
        "accuracy": right.mean(),
        "macro_f1": f1_score(truth, said, average="macro"),
        "ci95": f"{low:.3f}-{high:.3f}",
        "first": (seconds[0], right[first].mean()),
    }


class Reached(keras.callbacks.Callback):
    """Stop when a network is accurate enough, or has taken too long."""

    def __init__(self, accuracy: float, limit: float) -> None:
        super().__init__()
        self.accuracy, self.limit = accuracy, limit
        self.best, self.there, self.start = 0.0, False, time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds since training began."""
        return time.perf_counter() - self.start

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Look at the held-out accuracy."""
        found = float((logs or {})["val_accuracy"])
        self.best, self.there = max(self.best, found), found >= self.accuracy
        logger.info("fit: epoch %d, %.1f s, held-out accuracy %.4f", epoch + 1, self.seconds, found)
        self.model.stop_training = self.there or self.seconds > self.limit


def fit(setting: Setting, first: tuple[float, float]) -> dict[str, Any]:
    """Train the frozen network by Keras' own means until it is as good as `fast`."""
    seconds, accuracy = first
    train, held_out = setting.folds[0]
    watch = Reached(accuracy, setting.patience * seconds)
    learnt, judged = (Examples(part) for part in (train, held_out))
    augment = dataset.Augment()

    def batches() -> Iterator[Any]:
        for epoch in range(1000):
            for batch in learnt.batches(32, augment, shuffle=True, epoch=epoch):
                yield batch["image"], batch["label"]

    spec = (tf.TensorSpec((None, 224, 224, 1), tf.uint8), tf.TensorSpec((None,), tf.int64))
    data = tf.data.Dataset.from_generator(batches, output_signature=spec).prefetch(2)
    network = setting.network()
    network.compile(
        "adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"]
    )
    network.fit(
        data,
        epochs=1000,
        steps_per_epoch=-(-learnt.count // 32),
        validation_data=judged.batches(32).map(lambda batch: (batch["image"], batch["label"])),
        callbacks=[watch],
        verbose=0,
    )
    return {
        "what": "fit of the frozen network, augmentation on line, one fold",
        "seconds": watch.seconds,
        "accuracy": watch.best,
        "ratio": f"{'' if watch.there else '> '}{watch.seconds / seconds:.1f}",
    }


def supply(setting: Setting) -> dict[str, Any]:
    """Measure what the pictures' supply adds to a training step of the whole network."""
    examples = Examples(setting.folds[0][0])
    network = setting.network(frozen=False)
    network.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=False)

    again = next(iter(examples.batches(32, dataset.Augment(), shuffle=True)))
    network.train_on_batch(again["image"], again["label"])

    def drawing(epoch: int) -> float:
        batches = examples.batches(32, dataset.Augment(), shuffle=True, epoch=epoch).take(STEPS)
        start = time.perf_counter()
        for batch in batches:
            _ = batch["image"], batch["label"]
        return (time.perf_counter() - start) / STEPS

    def training() -> float:
        start = time.perf_counter()
        for _ in range(STEPS):
            network.train_on_batch(again["image"], again["label"])
        return (time.perf_counter() - start) / STEPS

    pairs = [(drawing(epoch), training()) for epoch in range(setting.rounds)]
    share = float(np.median([drawn / (drawn + trained) for drawn, trained in pairs]))
    return {
        "what": f"supply of pictures, share of a step of {np.median([sum(pair) for pair in pairs]):.2f} s",
        "ratio": f"{share:.4f}",
        "goal": "<= 0.03",
        "met": share <= 0.03,
    }


def rows(setting: Setting, copies: list[int]) -> Iterator[dict[str, Any]]:
    yield supply(setting)
    for count in copies:
        row = fast(setting, count)
        first = row.pop("first")
        goal = {"goal": "< 60 s, accuracy >= .845", "met": row["seconds"] < 60 and row["accuracy"] >= 0.845}
        yield row | (goal if count == 0 else {"goal": "accuracy >= .845", "met": row["accuracy"] >= 0.845})
        if count == 0:
            beside = fit(setting, first)
            yield beside | {"goal": ">= 10", "met": float(beside["ratio"].removeprefix("> ")) >= 10}


def write(found: list[dict[str, Any]], output: Path) -> None:
    command = shlex.join(["python", "benchmarks/training.py", *sys.argv[1:]])
    with whole_file(output) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(
            [{name: plain(value) for name, value in row.items()} | {"command": command} for row in found]
        )


def plain(value: Any) -> Any:
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    return f"{value:.4f}" if isinstance(value, float) else value


def main() -> None:
    to_console()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    weights = SHARED / "weights" / "mobilenet_v2_1.0_224_notop.weights.h5"
    parser.add_argument("--data", type=Path, default=SHARED / "data" / "sartaj")
    parser.add_argument("--groups", type=Path, default=SHARED / "data" / "sartaj_groups.csv")
    parser.add_argument("--weights", type=Path, default=weights)
    parser.add_argument("--copies", type=int, nargs="+", default=[0, 2], help="0 also runs Keras' fit")
    parser.add_argument("--patience", type=float, default=12, help="of fit, in times of fast")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=RESULTS)
    options = parser.parse_args()
    if not options.data.is_dir():
        parser.exit(0, f"skipped: {options.data} is not there\n")
    found: list[dict[str, Any]] = []
    for row in rows(Setting(options), options.copies):
        logger.info("%s", row)
        found.append(row)
        write(found, options.output)


if __name__ == "__main__":
    main()

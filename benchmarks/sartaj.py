"""What the benchmarks on the real pictures share: the table of groups, the official score, the CSV."""

import argparse
import csv
import logging
import shlex
import sys
from pathlib import Path
from typing import Any

import numpy as np

from mri_tumor import LABELS
from mri_tumor.files import whole_file

logger = logging.getLogger("mri_tumor.benchmarks")

ROOT = Path(__file__).resolve().parents[1]
SHARED = ROOT.parent / "shared"
RESULTS = ROOT / "benchmarks" / "results" / "full_workflow_sartaj.csv"
PARTS = ("all", "leaked", "clean")
COLUMNS = (
    "row",
    "protocol",
    "trained_on",
    *(f"{part}_{what}" for part in PARTS for what in ("n", "acc", "ci95")),
    "folds_acc",
    "folds_macro_f1",
    "command",
)


class Table:
    """The pictures' ids, labels, groups and flags, as arrays in one order.

    *Leaked* are the test pictures with a near-duplicate in training, as the table says.
    """

    def __init__(self, groups: Path) -> None:
        with groups.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file))
        self.paths = [row["path"] for row in rows]
        names = ["none" if row["class"] == "no" else row["class"] for row in rows]
        self.labels = np.array([LABELS.index(name) for name in names])
        self.groups = np.array([row["group"] for row in rows])
        self.test = np.array([row["split"] == "Testing" for row in rows])
        self.training = ~self.test
        self.leaked = np.array([row["test_neardup_in_train"] == "1" for row in rows])

    def official(self, right: np.ndarray) -> dict[str, Any]:
        """Return number, accuracy (%) and its interval for all, leaked and clean test pictures.

        Args:
            right: bool, one a row of the table: whether the picture's class was predicted; only those of test
                pictures are looked at.
        """
        parts = (self.test, self.test & self.leaked, self.test & ~self.leaked)
        row: dict[str, Any] = {}
        for name, part in zip(PARTS, parts, strict=True):
            low, high = interval(right[part], self.groups[part])
            row[f"{name}_n"] = int(part.sum())
            row[f"{name}_acc"] = round(100 * float(right[part].mean()), 1)
            row[f"{name}_ci95"] = f"{100 * low:.1f} to {100 * high:.1f}"
        return row


def interval(right: np.ndarray, groups: np.ndarray, *, draws: int = 2000) -> tuple[float, float]:
    """Return an accuracy's 95 % interval: the percentile bootstrap over whole groups."""
    _, places = np.unique(groups, return_inverse=True)
    hits, sizes = np.bincount(places, right), np.bincount(places)
    chosen = np.random.default_rng(0).integers(len(sizes), size=(draws, len(sizes)))
    low, high = np.percentile(hits[chosen].sum(axis=1) / sizes[chosen].sum(axis=1), [2.5, 97.5])
    return float(low), float(high)


def write_rows(rows: list[dict[str, Any]], options: argparse.Namespace) -> None:
    """Put rows into the CSV in place of those of the same name; the others stay."""
    command = shlex.join(["python", f"benchmarks/{Path(sys.argv[0]).name}", *sys.argv[1:]])
    kept: dict[str, dict[str, Any]] = {}
    if options.output.exists():
        with options.output.open(newline="", encoding="utf-8") as file:
            kept = {row["row"]: row for row in csv.DictReader(file)}
    kept |= {row["row"]: {**row, "command": command} for row in rows}
    with whole_file(options.output) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(kept[name] for name in sorted(kept))
    logger.info("written: %s", options.output)


def parse(description: str | None, *, output: Path = RESULTS) -> argparse.Namespace:
    """Read the command line that these benchmarks share."""
    weights = SHARED / "weights" / "mobilenet_v2_1.0_224_notop.weights.h5"
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=SHARED / "data" / "sartaj")
    parser.add_argument("--groups", type=Path, default=SHARED / "data" / "sartaj_groups.csv")
    parser.add_argument("--weights", type=Path, default=weights)
    parser.add_argument("--output", type=Path, default=output)
    options = parser.parse_args()
    for name in ("data", "groups", "weights"):
        if not (path := getattr(options, name)).exists():
            parser.error(f"{path} is missing: pass --{name} with where it lies on this machine")
    return options

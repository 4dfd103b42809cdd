"""The dataset room beside what people use instead: one command, every comparison, one table.

    python benchmarks/dataset.py --pages
    python benchmarks/dataset.py --phantoms --rounds 1 --parts reading shards

Ours and the other's take turns in one process, a process a part; `ratio` is the median of the rounds' ratios,
`lowest` and `highest` are its ends. `results/dataset.csv` has a row for each comparison, with its goal and
whether that was met; `--pages` puts them into the documentation's tables too. The peers come with
`pip install -e ".[bench]"`, best with the CPU build of torch; what is not there is skipped and named.

* *reading*: read_image and Preprocess beside a bare loop of OpenCV, on one core.
* *shards*: records a second beside float32 RGB records of `serialize_tensor`.
* *loaders*: first and later epochs beside Keras, PyTorch and MONAI.
* *augmentation*: Augment beside Albumentations and MONAI, on one core.
* *memory*: what writing shards adds, for ten times as many pictures.
"""

import argparse
import csv
import multiprocessing
import os
import shlex
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from importlib import import_module
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from dataset_parts.comparison import COLUMNS, Job, installed
from dataset_parts.pages import fill
from sartaj import ROOT, SHARED

from mri_tumor.dataset import Catalog, make_phantoms, scan
from mri_tumor.files import whole_file

RESULTS = ROOT / "benchmarks" / "results" / "dataset.csv"
NEEDS = {
    "reading": (),
    "shards": (),
    "loaders": (),
    "augmentation": ("albumentations",),
    "memory": (),
}
PHANTOMS = 100  # a class


def main() -> None:
    options = parsed()
    command = shlex.join(["python", "benchmarks/dataset.py", *sys.argv[1:]])
    with tempfile.TemporaryDirectory() as place:
        catalog = pictures(options, Path(place))
        folder = linked(catalog, Path(place) / "linked")
        rows = []
        for part in options.parts:
            if installed(*NEEDS[part]):
                (Path(place) / part).mkdir()
                rows += in_fresh_process(
                    part, Job(catalog, folder, Path(place) / part, options.rounds), command
                )
    write(rows, options.output)
    if options.pages:
        fill((ROOT / "docs").glob("*/*.md"), rows)
    print(f"{len(rows)} rows in {options.output}; goals not met: {sum(row['met'] == 'no' for row in rows)}")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path, default=SHARED / "data" / "sartaj", help="class folders")
    parser.add_argument("--phantoms", action="store_true", help="take synthetic pictures instead")
    parser.add_argument("--every", type=int, default=1, help="use every n-th picture only")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--parts", nargs="+", choices=tuple(NEEDS), default=tuple(NEEDS))
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--pages", action="store_true", help="fill the tables of docs/*/*.md too")
    options = parser.parse_args()
    if not options.phantoms and not options.data.is_dir():
        parser.exit(0, f"skipped: {options.data} is not there; pass --data with it, or --phantoms\n")
    return options


def pictures(options: argparse.Namespace, place: Path) -> Catalog:
    """Return the catalog; scanning reads every file, so all find them in the system's cache."""
    if options.phantoms:
        make_phantoms(place / "phantoms", per_class=PHANTOMS)
    return scan(place / "phantoms" if options.phantoms else options.data)[:: options.every]


def linked(catalog: Catalog, folder: Path) -> Path:
    """Return a folder with the catalog's pictures in class folders, as links."""
    for number, record in enumerate(catalog):
        link = folder / record.label / f"{number}{record.path.suffix}"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(record.path.absolute())
    return folder


def in_fresh_process(part: str, job: Job, command: str) -> list[dict[str, Any]]:
    """Return a part's rows; how one part sets threads and cores is nothing to the next."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(measured, part, job, command).result()


def measured(part: str, job: Job, command: str) -> list[dict[str, Any]]:
    rows = []
    for comparison in import_module(f"dataset_parts.{part}").measure(job):
        print(f"{part}: {comparison}", flush=True)
        rows.append(comparison.row(part, command))
    return rows


def write(rows: list[dict[str, Any]], path: Path) -> None:
    with whole_file(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    main()

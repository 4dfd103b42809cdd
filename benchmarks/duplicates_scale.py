"""How the search for copies grows: 1,000 to 100,000 pictures, each one of 20 forms of some picture.

    python benchmarks/duplicates_scale.py --figshare FIGSHARE

The 3064 slices of figshare and as many phantoms as are missing make 5,000 different pictures; each is there
in 20 forms (`planted.py`: mirrored, rotated, cropped, resized, brightened, stored anew, and mixtures of
these). Smaller sets hold fewer different pictures, 20 forms of each. `decode_s` is how long reading and
changing the pictures took, `fingerprint_s` how long their fingerprints, `search_s` the search; `peak_gib` is
the highest resident memory of the process, which runs one set only. `tied` is the share of the pictures that
the found pairs tie to the picture they are a form of; `false` counts pairs of two different pictures.
"""

import argparse
import csv
import json
import logging
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from planted import TWENTY, changed
from sartaj import ROOT, SHARED

from mri_tumor import dataset
from mri_tumor.dataset.copies.duplicates import Fingerprint, fingerprint, near_duplicates
from mri_tumor.dataset.groups import UnionFind
from mri_tumor.files import whole_file
from mri_tumor.progress import to_console

logger = logging.getLogger("mri_tumor.benchmarks")

RESULTS = ROOT / "benchmarks" / "results" / "duplicates_scale.csv"
SIZES = (1_000, 3_000, 10_000, 30_000, 100_000)
CORES = len(os.sched_getaffinity(0))


def sources(figshare: Path, count: int, place: Path) -> list[Path]:
    """Return files of different pictures: the slices, and phantoms where these are too few."""
    paths = sorted(figshare.glob("*/*.jpg"))[:count]
    if len(paths) < count:
        # A phantom set holds planted copies of its own; one picture of each group is taken.
        catalog = dataset.make_phantoms(place, per_class=count - len(paths), seed=0)
        first = {group: record.path for group, record in zip(catalog.groups, catalog, strict=True)}
        paths += islice(first.values(), count - len(paths))
    if len(paths) < count:
        raise SystemExit(f"only {len(paths)} different pictures of {count}")
    return paths


def prints(paths: Sequence[Path]) -> Iterator[tuple[list[Fingerprint], float, float]]:
    """Yield the fingerprints of the forms of each picture, and the seconds for the pictures and for these."""

    def forms(item: tuple[int, Path]) -> tuple[list[Fingerprint], float, float]:
        start = time.perf_counter()
        image = dataset.read_image(item[1])
        pictures = [changed(image, change, item[0], at) for at, change in enumerate(TWENTY.values())]
        made = time.perf_counter()
        return [fingerprint(picture) for picture in pictures], made - start, time.perf_counter() - made

    with ThreadPoolExecutor(CORES) as pool:
        yield from pool.map(forms, enumerate(paths))


def measure(count: int, figshare: Path) -> dict[str, Any]:
    """Return one row; the process must be new, or its memory says nothing."""
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as place:
        found = list(prints(sources(figshare, count // len(TWENTY), Path(place))))
    pictures = [picture for forms, _, _ in found for picture in forms]
    decode, hashing = (sum(row[column] for row in found) / CORES for column in (1, 2))
    sets, pairs, false = UnionFind(len(pictures)), 0, 0
    start = time.perf_counter()
    for match in near_duplicates(pictures):
        pairs += 1
        false += match.first // len(TWENTY) != match.second // len(TWENTY)
        sets.join(match.first, match.second)
    seconds = time.perf_counter() - start
    roots = np.array(sets.roots())
    own = np.arange(len(pictures)) // len(TWENTY) * len(TWENTY)
    return {
        "pictures": len(pictures),
        "decode_s": round(decode, 1),
        "fingerprint_s": round(hashing, 1),
        "search_s": round(seconds, 1),
        "peak_gib": round(peak() / 2**20, 2),
        "pairs": pairs,
        "tied": round(float((roots == roots[own]).mean()), 4),
        "false": false,
        "cores": CORES,
    }


def peak() -> int:
    """Return the highest resident memory of this process in KiB."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])


def main() -> None:
    to_console()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--figshare", type=Path, default=SHARED / "data" / "figshare")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--output", type=Path, default=RESULTS)
    parser.add_argument("--one", type=int, help="measure one set in this process and print the row")
    options = parser.parse_args()
    if not options.figshare.is_dir():
        parser.exit(0, f"skipped: {options.figshare} is not there\n")
    if options.one:
        sys.stdout.write(json.dumps(measure(options.one, options.figshare)))
        return
    rows = []
    for size in options.sizes:
        own = [sys.executable, __file__, "--one", str(size), "--figshare", str(options.figshare)]
        rows.append(json.loads(subprocess.run(own, check=True, capture_output=True, text=True).stdout))
        logger.info("%s", rows[-1])
    command = shlex.join(["python", "benchmarks/duplicates_scale.py", *sys.argv[1:]])
    with whole_file(options.output) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [*rows[0], "command"], lineterminator="\n")
        writer.writeheader()
        writer.writerows([row | {"command": command} for row in rows])


if __name__ == "__main__":
    main()

"""Reading and preprocessing beside a bare loop of OpenCV with the same kernel, on one core.

Both read the file, decode it to grey and resize the whole of it (ours, with its defaults, the head in it).
Picture by picture the two take turns, and the processor's time counts, so that other work on the machine
changes little.
"""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dataset_parts.comparison import SIZE, Comparison, Job, one_core, speeds
from mri_tumor.dataset import Preprocess, read_image

BARE = "cv2.imdecode and cv2.resize of the whole picture, same kernel"
CASES = (
    (
        "read_image and Preprocess(crop=False, window=None)",
        Preprocess(SIZE, crop=False, window=None),
        ">= 0.9",
    ),
    ("read_image and Preprocess(crop=False)", Preprocess(SIZE, crop=False), ">= 0.9"),
    ("read_image and Preprocess()", Preprocess(SIZE), ">= 0.75"),
)


def measure(job: Job) -> Iterator[Comparison]:
    """Yield one row for each spec."""
    one_core()
    for what, spec, goal in CASES:
        times = [turns(job.catalog.paths, spec, number) for number in range(job.rounds + 1)]
        count, packages = len(job.catalog), ("opencv-python-headless", "numpy")
        yield speeds(f"{what}, one core", BARE, count, times[1:], goal, packages)


def turns(paths: tuple[Path, ...], spec: Preprocess, number: int) -> tuple[float, float]:
    """Return the seconds of the processor that ours and the bare loop take for all pictures."""
    sides: list[Callable[[Path], Any]] = [lambda path: spec(read_image(path)), bare]
    spent = [0.0, 0.0]
    order = (0, 1) if number % 2 else (1, 0)
    for path in paths:
        for side in order:
            start = time.process_time()
            sides[side](path)
            spent[side] += time.process_time() - start
    return spent[0], spent[1]


def bare(path: Path) -> Any:
    flags = cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION
    image = cv2.imdecode(np.fromfile(path, np.uint8), flags)
    kernel = cv2.INTER_AREA if min(image.shape) >= SIZE else cv2.INTER_LINEAR
    return cv2.resize(image, (SIZE, SIZE), interpolation=kernel)

"""Memory of writing shards: the pictures once, and ten times as many.

Each in a process of its own, whose peak is read in the end: libraries, list of pictures and all. The files
are the same, under other ids.
"""

import multiprocessing
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

from dataset_parts.comparison import Comparison, Job
from mri_tumor.dataset import Catalog, write_tfrecords

TIMES = 10


def measure(job: Job) -> Iterator[Comparison]:
    """Yield one row: the peak with the long set beside that with the short one."""
    place, count = job.place / "shards", len(job.catalog)
    often, once = (in_fresh_process(job.catalog, place, times) for times in (TIMES, 1))
    what, against = (f"write_tfrecords of {count * times} pictures" for times in (TIMES, 1))
    goal, packages = "<= 1.1", ("tensorflow", "opencv-python-headless")
    yield Comparison(what, against, "MiB at most", often, once, [often / once], goal, packages)


def in_fresh_process(catalog: Catalog, place: Path, times: int) -> float:
    """Return what `peak` returns in a process that did nothing before."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as process:
        return process.submit(peak, catalog, place, times).result()


def peak(catalog: Catalog, place: Path, times: int) -> float:
    """Write the pictures `times` times; return the MiB that this process held at most."""
    records = [replace(record, id=f"{time}/{record.id}") for time in range(times) for record in catalog]
    write_tfrecords(Catalog(records, catalog.classes), place)
    shutil.rmtree(place)
    kilobytes = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
    return int(kilobytes[1]) / 1024 if kilobytes else float("nan")

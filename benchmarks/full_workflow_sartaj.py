"""The whole workflow on the real pictures: the numbers that this library publishes for it.

    python benchmarks/full_workflow_sartaj.py --data SARTAJ --groups GROUPS.csv --weights MOBILENET_V2.h5

Two rows: `examples/full_workflow.py` as it stands, trained on a grouped 80 % of the training pictures, and
refitted on all of them. The test pictures are predicted through the endpoint. *Leaked* are the test pictures
that the table says; what the library's own audit finds is printed by the example. Intervals: group bootstrap.
"""

import csv
import logging
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from sartaj import ROOT, Table, parse, write_rows

from mri_tumor.progress import to_console

logger = logging.getLogger("mri_tumor.benchmarks")


def run_example(options: Any, out: Path, *, refit: bool) -> Path:
    """Run the example in a process of its own and return the table of its predictions."""
    command = [sys.executable, str(ROOT / "examples" / "full_workflow.py"), "--out", str(out)]
    command += ["--data", str(options.data), "--groups", str(options.groups)]
    command += ["--weights", str(options.weights), *(["--refit"] if refit else [])]
    start = time.monotonic()
    subprocess.run(command, check=True)
    logger.info("the example took %.0f s", time.monotonic() - start)
    return out / "predictions.csv"


def predicted_right(predictions: Path, table: Table) -> np.ndarray:
    """Return one bool a row of the table: whether a test picture was predicted right."""
    with predictions.open(newline="", encoding="utf-8") as file:
        right = {row["id"]: row["predicted"] == row["label"] for row in csv.DictReader(file)}
    return np.array(
        [right[path] if test else False for path, test in zip(table.paths, table.test, strict=True)]
    )


def main() -> None:
    to_console()
    options = parse(__doc__)
    table = Table(options.groups)
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for trained_on, refit in {"grouped 80 %": False, f"all {table.training.sum()}": True}.items():
            predictions = run_example(options, Path(folder) / f"refit-{refit}", refit=refit)
            row = {"row": f"full workflow, {trained_on}", "protocol": "examples/full_workflow.py"}
            rows.append(
                row | {"trained_on": trained_on} | table.official(predicted_right(predictions, table))
            )
    write_rows(rows, options)


if __name__ == "__main__":
    main()

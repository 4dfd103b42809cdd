"""A training job on this machine: SageMaker's training contract without Docker and without AWS."""

import csv
import json
import logging
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from mri_tumor.cloud import process
from mri_tumor.cloud.archive import pack
from mri_tumor.errors import TrainingError
from mri_tumor.files import write_text

logger = logging.getLogger(__name__)

_HOST = "algo-1"
_ENTRY = Path(__file__).parent / "container" / "train.py"


class LocalJob:
    """One job and its folder.

    The folder holds `ml/`, which stands for `/opt/ml` (input, model, output, checkpoints), the job's
    `log.txt`, and in the end `model.tar.gz`. A job of the same folder goes on from its checkpoints.

    Args:
        folder: the job's folder; its name is the job's name.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.base = self.folder / "ml"
        self.archive = self.folder / "model.tar.gz"
        self.log = self.folder / "log.txt"

    def run(self, channels: Mapping[str, Path], hyperparameters: Mapping[str, str], *, logs: bool) -> None:
        """Run the job to its end.

        Args:
            channels: name -> an existing folder or file.
            hyperparameters: name -> value as text, as the platform keeps them.
            logs: whether the job's lines are logged here too, as they come.

        Raises:
            TrainingError: the job failed; the error holds the reason it gave.
        """
        self._prepare()
        places = {name: self._place(name, path) for name, path in channels.items()}
        self._write_configuration(places, hyperparameters)
        command = [part for name, value in hyperparameters.items() for part in (f"--{name}", value)]
        environment = self._environment(places, hyperparameters, command)
        with self.log.open("ab") as log:
            # The job's own lines come on standard output; TensorFlow's chatter goes straight to the file.
            child = process.start(
                [str(_ENTRY), *command], environment=environment, stdout=subprocess.PIPE, stderr=log
            )
            try:
                _follow(child, log, logs)
                status = child.wait()
            finally:
                # After an exception, Ctrl-C too, nothing is left running; the checkpoints stay.
                process.stop(child)
        if status != 0:
            raise self._failed(status)
        pack(self.base / "model", self.archive)

    def history(self) -> list[dict[str, float]]:
        """Return the rows of `history.csv`: one an epoch."""
        with (self.base / "output" / "data" / "history.csv").open(encoding="utf-8", newline="") as file:
            return [
                {name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)
            ]

    def _prepare(self) -> None:
        self.archive.unlink(missing_ok=True)
        for name in ("input", "model", "output"):
            shutil.rmtree(self.base / name, ignore_errors=True)
        for name in ("input/config", "input/data", "model", "output/data", "checkpoints"):
            (self.base / name).mkdir(parents=True, exist_ok=True)

    def _place(self, name: str, path: Path) -> Path:
        """Return a channel's folder: the given one itself, or one that holds a copy of the given file."""
        if path.is_dir():
            return path.resolve()
        folder = self.base / "input" / "data" / name
        folder.mkdir()
        shutil.copyfile(path, folder / path.name)
        return folder

    def _write_configuration(self, places: Mapping[str, Path], hyperparameters: Mapping[str, str]) -> None:
        channel = {
            "TrainingInputMode": "File",
            "S3DistributionType": "FullyReplicated",
            "RecordWrapperType": "None",
        }
        cards: dict[str, Any] = {
            "hyperparameters": dict(hyperparameters),
            "inputdataconfig": dict.fromkeys(places, channel),
            "resourceconfig": {"current_host": _HOST, "hosts": [_HOST], "network_interface_name": "lo"},
        }
        for name, card in cards.items():
            write_text(self.base / "input" / "config" / f"{name}.json", json.dumps(card, indent=2))

    def _environment(
        self, places: Mapping[str, Path], hyperparameters: Mapping[str, str], command: list[str]
    ) -> dict[str, str]:
        base = self.base
        own = {
            "TRAINING_JOB_NAME": self.folder.name,
            "SM_MODEL_DIR": str(base / "model"),
            "SM_INPUT_DIR": str(base / "input"),
            "SM_INPUT_CONFIG_DIR": str(base / "input" / "config"),
            "SM_OUTPUT_DIR": str(base / "output"),
            "SM_OUTPUT_DATA_DIR": str(base / "output" / "data"),
            "SM_CHANNELS": json.dumps(sorted(places)),
            "SM_HPS": json.dumps(dict(hyperparameters)),
            "SM_USER_ARGS": json.dumps(command),
            "SM_HOSTS": json.dumps([_HOST]),
            "SM_CURRENT_HOST": _HOST,
            "SM_NUM_CPUS": str(os.cpu_count() or 1),
            "TF_CPP_MIN_LOG_LEVEL": os.environ.get("TF_CPP_MIN_LOG_LEVEL", "3"),
            process.WATCH_STDIN: "1",
        }
        own |= {f"SM_CHANNEL_{name.upper()}": str(place) for name, place in places.items()}
        own |= {f"SM_HP_{name.upper()}": value for name, value in hyperparameters.items()}
        others = {name: value for name, value in os.environ.items() if not name.startswith("SM_")}
        return {**others, **own}

    def _failed(self, status: int) -> TrainingError:
        failure = self.base / "output" / "failure"
        if failure.is_file():
            reason = failure.read_text(encoding="utf-8").partition("\n\n")[0]
        else:
            reason = f"exit status {status}. The end of its log:\n{process.last_lines(self.log)}"
        return TrainingError(
            f"job {self.folder.name} failed: {reason}", "", f"mend that and fit again; the log is {self.log}"
        )


def _follow(child: subprocess.Popen[bytes], log: BinaryIO, logs: bool) -> None:
    """Keep the job's lines, and log them as they come."""
    for line in child.stdout or ():
        log.write(line)
        log.flush()
        if logs:
            logger.info("%s", line.decode("utf-8", "replace").rstrip())

"""A training job on this machine: SageMaker's training contract without Docker and without AWS."""

import contextlib
import csv
import json
import logging
import os
import queue
import re
import shutil
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mri_tumor.cloud import process
from mri_tumor.cloud.archive import pack
from mri_tumor.cloud.container.job import METRICS
from mri_tumor.errors import MriTumorError, TrainingError
from mri_tumor.files import locked, write_text

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
        self._child: subprocess.Popen[bytes] | None = None
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._stopped = False
        self._held = contextlib.ExitStack()

    def start(
        self,
        channels: Mapping[str, Path],
        hyperparameters: Mapping[str, str],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start the job and return at once.

        Args:
            channels: name -> an existing folder or file.
            hyperparameters: name -> value as text, as the platform keeps them.
            environment: more variables for the job.

        Raises:
            TrainingError: a job of this name is running.
        """
        self._hold()
        try:
            self._start(channels, hyperparameters, environment or {})
        except BaseException:
            self._held.close()
            raise

    def _hold(self) -> None:
        """Hold the job's folder as long as the job runs.

        Raises:
            TrainingError: a job of this name is running.
        """
        self.base.mkdir(parents=True, exist_ok=True)
        try:
            self._held.enter_context(locked(self.base, self.folder))
        except MriTumorError as error:
            raise TrainingError(
                f"job {self.folder.name} is running already, in {self.folder}",
                "one job of a name at a time",
                "wait for it or stop it; or choose another job_name",
            ) from error

    def _start(
        self,
        channels: Mapping[str, Path],
        hyperparameters: Mapping[str, str],
        environment: Mapping[str, str],
    ) -> None:
        self._prepare()
        places = {name: self._place(name, path) for name, path in channels.items()}
        self._write_configuration(places, hyperparameters)
        command = [part for name, value in hyperparameters.items() for part in (f"--{name}", value)]
        variables = self._environment(places, hyperparameters, command) | dict(environment)
        with self.log.open("ab") as log:
            # The job's own lines come on standard output; TensorFlow's chatter goes straight to the file.
            self._child = process.start(
                [str(_ENTRY), *command], environment=variables, stdout=subprocess.PIPE, stderr=log
            )
        self._follower = threading.Thread(target=self._follow, name=self.folder.name, daemon=True)
        self._follower.start()

    @property
    def status(self) -> str:
        """`"InProgress"`, `"Completed"`, `"Failed"` or `"Stopped"`, the words of the platform."""
        if self._child is None:
            return "Completed" if self.archive.is_file() else "Failed"
        status = self._child.poll()
        if status is None:
            return "InProgress"
        return "Stopped" if self._stopped else "Failed" if status else "Completed"

    def wait(self, *, logs: bool = True) -> None:
        """Follow the job to its end, and pack what it leaves.

        Args:
            logs: whether the job's lines are logged here too, as they come.

        Raises:
            TrainingError: the job failed or was stopped; the error holds the reason.
        """
        if self._child is None:
            return
        try:
            while (line := self._lines.get()) is not None:
                if logs:
                    logger.info("%s", line)
            status = self._child.wait()
        finally:
            # After an exception, Ctrl-C too, nothing is left running; the checkpoints stay.
            process.stop(self._child)
        if self._stopped:
            raise TrainingError(
                f"job {self.folder.name} was stopped",
                "a job that runs to its end",
                "fit again with the same job_name: it goes on from its checkpoints",
            )
        if status != 0:
            raise self._failed(status)
        pack(self.base / "model", self.archive)
        self._child = None

    def stop(self) -> None:
        """Stop the job; one that has ended stays as it is."""
        if self._child is not None and self._child.poll() is None:
            self._stopped = True
            process.stop(self._child)

    @property
    def model_data(self) -> Path:
        """The path of the finished job's `model.tar.gz`.

        Raises:
            TrainingError: the job has not ended well.
        """
        if not self.archive.is_file():
            raise TrainingError(
                f"job {self.folder.name} has left no model", "a finished job", "call wait() first"
            )
        return self.archive

    def metrics(self) -> dict[str, float]:
        """Return the value of each of `METRICS` that the job printed last, as SageMaker reads them."""
        text = self.log.read_text(encoding="utf-8", errors="replace")
        found = {name: re.findall(expression, text) for name, expression in METRICS.items()}
        return {name: float(values[-1]) for name, values in found.items() if values}

    @property
    def name(self) -> str:
        """The job's name."""
        return self.folder.name

    @property
    def inputs(self) -> Path:
        """Where what the job reads lies, if it is fetched for it."""
        return self.base / "input" / "fetched"

    def _follow(self) -> None:
        """Keep the job's lines, in its log and for `wait`, so that its pipe never fills."""
        with self.log.open("ab") as log:
            for line in (self._child.stdout if self._child else None) or ():
                log.write(line)
                log.flush()
                self._lines.put(line.decode("utf-8", "replace").rstrip())
        self._lines.put(None)
        self._held.close()

    def history(self) -> list[dict[str, float]]:
        """Return the rows of `history.csv`: one an epoch."""
        return read_history(self.base / "output" / "data" / "history.csv")

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
        # A reason of ours says what to do itself.
        fix = "" if "To do: " in reason else "mend that and fit again"
        return TrainingError(f"job {self.folder.name} failed (its log is {self.log}): {reason}", "", fix)


def read_history(path: Path) -> list[dict[str, float]]:
    """Return the rows of a `history.csv`, with the columns that each has."""
    with path.open(encoding="utf-8", newline="") as file:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]

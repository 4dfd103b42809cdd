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
from mri_tumor.cloud.channels import Inputs, local_channels
from mri_tumor.cloud.container.job import METRICS
from mri_tumor.errors import MriTumorError, TrainingError
from mri_tumor.files import locked, write_text

logger = logging.getLogger(__name__)

_HOST = "algo-1"
_ENTRY = Path(__file__).parent / "container" / "train.py"


class LocalJob:
    """One job and its folder.

    The folder holds `ml/`, which stands for `/opt/ml` (input, model, output, checkpoints), the job's
    `log.txt`, in `fetched/` what it reads from S3, and in the end `model.tar.gz`. A job of the same folder
    goes on from its checkpoints.

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
        self._problem: Exception | None = None
        self._log_start = 0
        self._held = contextlib.ExitStack()

    def start(
        self,
        inputs: Inputs,
        hyperparameters: Mapping[str, str],
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Start the job and return at once, when what lies in S3 has been fetched.

        Args:
            inputs: channel -> an existing folder or file, or an `s3://` address.
            hyperparameters: name -> value as text, as the platform keeps them.
            environment: more variables for the job.

        Raises:
            TrainingError: a job of this name is running.
            CloudError: a channel cannot be fetched.
        """
        self._hold()
        try:
            # In a place of its own, which the next job of this name finds again.
            channels = local_channels(inputs, self.folder / "fetched")
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
            self._log_start = log.tell()  # what is before is of earlier jobs of this name
            # The job's own lines come on standard output; TensorFlow's chatter goes straight to the file.
            self._child = process.start(
                [str(_ENTRY), *command], environment=variables, stdout=subprocess.PIPE, stderr=log
            )
        follow = threading.Thread(target=self._follow, args=[self._child], name=self.name, daemon=True)
        self._follower = follow
        self._follower.start()

    @property
    def status(self) -> str:
        """`"InProgress"`, `"Completed"`, `"Failed"` or `"Stopped"`, the words of the platform."""
        if self._child is None:
            return "Completed" if self.archive.is_file() else "Failed"
        status = self._child.poll()
        if status is None or (status == 0 and self._follower.is_alive()):
            return "InProgress"  # its model is being packed
        if status == 0 and self._problem is None:
            return "Completed"
        return "Stopped" if self._stopped else "Failed"

    def wait(self, *, logs: bool = True) -> None:
        """Follow the job to its end.

        Args:
            logs: whether the job's lines are logged here too, as they come.

        Raises:
            TrainingError: the job failed or was stopped, or its model cannot be packed; the error holds the
                reason.
        """
        if self._child is None:
            return
        try:
            while (line := self._lines.get()) is not None:
                if logs:
                    logger.info("%s", line)
        except BaseException:
            # Ctrl-C too: nothing is left running; the checkpoints stay.
            self.stop()
            raise
        self._lines.put(None)  # for whoever waits again
        self._check(self._child.wait())

    def _check(self, status: int) -> None:
        """Refuse a job that did not end well."""
        if self._problem is not None:
            raise TrainingError(
                f"the model of job {self.name} cannot be packed ({self._problem})",
                f"room for it in {self.folder}",
                "make room, and fit again with the same job_name: it goes on from its checkpoints",
            ) from self._problem
        if status == 0:
            return
        if self._stopped:
            raise TrainingError(
                f"job {self.folder.name} was stopped",
                "a job that runs to its end",
                "fit again with the same job_name: it goes on from its checkpoints",
            )
        raise self._failed(status)

    def stop(self) -> None:
        """Stop the job; one that has ended stays as it is. The next job of its name can start at once."""
        if self._child is None:
            return
        if self._child.poll() is None:
            self._stopped = True
            process.stop(self._child)
        self._follower.join()

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
        if not self.log.is_file():
            return {}
        with self.log.open("rb") as log:
            log.seek(self._log_start)
            text = log.read().decode("utf-8", "replace")
        found = {name: re.findall(expression, text) for name, expression in METRICS.items()}
        return {name: float(values[-1]) for name, values in found.items() if values}

    @property
    def name(self) -> str:
        """The job's name."""
        return self.folder.name

    def _follow(self, child: subprocess.Popen[bytes]) -> None:
        """Follow the job to its end, pack what it leaves, let its folder go, and say so to `wait`."""
        try:
            # Whoever stops the job closes the pipe, maybe while it is read here.
            with contextlib.suppress(ValueError, OSError):
                self._keep_lines(child)
            if child.wait() == 0:
                pack(self.base / "model", self.archive)
        except Exception as error:
            self._problem = error
        finally:
            process.stop(child)  # it has ended: this closes its pipes
            self._held.close()  # before `wait` returns: whoever waited may start the next one at once
            self._lines.put(None)

    def _keep_lines(self, child: subprocess.Popen[bytes]) -> None:
        """Keep the job's lines, in its log and for `wait`, so that its pipe never fills."""
        with self.log.open("ab", buffering=0) as log:
            for line in child.stdout or ():
                self._lines.put(line.decode("utf-8", "replace").rstrip())
                with contextlib.suppress(OSError):  # a job that nobody reads stands still, on a full disk too
                    log.write(line)

    def history(self) -> list[dict[str, float]]:
        """Return the rows of the run's history; see `read_history`.

        Raises:
            TrainingError: the job has left none, or not yet.
        """
        return read_history(self.base / "output" / "data" / "history.csv", f"job {self.name}")

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


def read_history(path: Path, job: str = "the job") -> list[dict[str, float]]:
    """Return the rows of a run's history, with the columns that each has.

    Args:
        path: the run's `history.csv`. A run with folds has `fold-N/history.csv` beside that place instead:
            their rows follow one another, each with its `fold`, counted from 0.
        job: which job, for the error.

    Raises:
        TrainingError: there is neither.
    """
    if path.is_file():
        return _rows(path)
    folds = {int(one.parent.name[5:]): one for one in path.parent.glob("fold-*/history.csv")}
    if not folds:
        raise TrainingError(
            f"{job} has left no history", "a job that has ended well", "call wait() first, or fit() again"
        )
    return [{"fold": float(fold), **row} for fold in sorted(folds) for row in _rows(folds[fold])]


def _rows(path: Path) -> list[dict[str, float]]:
    with path.open(encoding="utf-8", newline="") as file:
        return [{name: float(value) for name, value in row.items() if value} for row in csv.DictReader(file)]

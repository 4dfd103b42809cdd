"""Shards written by several processes of this machine, each running what a Processing container runs."""

import contextlib
import logging
import os
import shutil
import subprocess
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from mri_tumor.cloud import process
from mri_tumor.cloud.container.preparing import error_of
from mri_tumor.cloud.units import write_card
from mri_tumor.errors import MriTumorError

if TYPE_CHECKING:
    from mri_tumor.dataset.shards.writing import Share

logger = logging.getLogger(__name__)

_ENTRY = Path(__file__).parent / "container" / "prepare.py"


def in_processes(shares: "Sequence[Share]", folder: Path, notes: Path, *, processes: int) -> None:
    """Write shards in processes, each of which has its share of them; the pictures are read where they lie.

    Whatever ends the waiting, Ctrl-C too, ends all of them, and they end with this process in any case.

    Args:
        shares: the shards.
        folder: where to.
        notes: a folder for their notes.
        processes: how many, at most one a shard.

    Raises:
        ReadError: a picture cannot be read; names its id.
        ShardError: a process failed for another reason.
    """
    from mri_tumor.dataset.decoding import thread_count

    count = min(processes, len(shares))
    work = notes.parent / "processes"
    shutil.rmtree(work, ignore_errors=True)  # what a killed call left
    lines: SimpleQueue[_Line] = SimpleQueue()
    started: list[_Process] = []
    try:
        for number in range(count):
            one = _Process(f"process {number + 1}", work / str(number), folder, notes)
            started.append(one)
            one.start(shares[number::count], max(1, thread_count() // count), lines)
        _follow(len(started), lines)
    finally:
        for one in started:
            one.stop()


@dataclass(frozen=True)
class _Line:
    """A line of a process; None: it has ended."""

    process: "_Process"
    text: str | None


class _Process:
    """One process.

    Args:
        name: for the log.
        work: its own folder.
        folder: where its shards go.
        notes: where their notes go.
    """

    def __init__(self, name: str, work: Path, folder: Path, notes: Path) -> None:
        self.name = name
        self._folder, self._notes = folder, notes
        self._units, self._message, self._log = work / "units", work / "message", work / "log.txt"
        self._child: subprocess.Popen[bytes] | None = None

    def start(self, shares: "Sequence[Share]", threads: int, lines: "SimpleQueue[_Line]") -> None:
        self._units.mkdir(parents=True)
        for share in shares:
            write_card(share, self._units)
        places = {
            "units": self._units,
            "shards": self._folder,
            "notes": self._notes,
            "message": self._message,
            "threads": threads,
        }
        arguments = [part for name, place in places.items() for part in (f"--{name}", str(place))]
        variables = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ, process.WATCH_STDIN: "1"}
        with self._log.open("wb") as log:
            # Its own lines come on standard output; TensorFlow's chatter goes to the file.
            self._child = process.start(
                [str(_ENTRY), *arguments], environment=variables, stdout=subprocess.PIPE, stderr=log
            )
        reader = threading.Thread(target=self._read, args=(self._child.stdout, lines), daemon=True)
        reader.start()

    def check(self) -> None:
        """Wait for the end, which is near, and refuse a bad one."""
        status = self._child.wait() if self._child else 0
        if status:
            raise self._failed(status)

    def stop(self) -> None:
        if self._child is not None:
            process.stop(self._child)

    def _read(self, stream: Any, lines: "SimpleQueue[_Line]") -> None:
        with contextlib.suppress(ValueError, OSError):  # the stream is closed when the process is ended
            for line in stream:
                lines.put(_Line(self, line.decode("utf-8", "replace").rstrip()))
        lines.put(_Line(self, None))

    def _failed(self, status: int) -> MriTumorError:
        if self._message.is_file():
            reason = self._message.read_text(encoding="utf-8", errors="replace")
        else:
            reason = f"exit status {status}. The end of its log:\n{process.last_lines(self._log)}"
        return error_of(reason, self.name, "mend that and call prepare again")


def _follow(running: int, lines: "SimpleQueue[_Line]") -> None:
    """Log the lines of all processes until all have ended well."""
    while running:
        line = lines.get()
        if line.text is None:
            line.process.check()
            running -= 1
        else:
            logger.info("[%s] %s", line.process.name, line.text)

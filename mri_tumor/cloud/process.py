"""Child processes: started apart from the parent's terminal, ended in any case, never outliving it."""

import contextlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[2]
"""The folder that holds the package `mri_tumor`."""

WATCH_STDIN = "MRI_TUMOR_END_WITH_STDIN"
"""Environment variable that tells a job to end when its standard input does."""

_GRACE = 10.0  # seconds from one way of ending a process to the next, harder one
_LAST_LINES = 15


def start(
    arguments: list[str], *, environment: Mapping[str, str], stdout: Any, stderr: Any
) -> subprocess.Popen[Any]:
    """Start this Python with `arguments`; its standard input is a pipe that ends when this process does.

    It gets a session of its own: Ctrl-C in a terminal, or a notebook's interrupt, reaches this process only,
    which then decides what ends.
    """
    options: dict[str, Any] = {"start_new_session": True}
    if sys.platform == "win32":
        options = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
    return subprocess.Popen(  # noqa: S603 - our own module, run by this Python
        [sys.executable, *arguments],
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=stderr,
        env=with_library(environment),
        **options,
    )


def with_library(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment in which a child finds this very library, installed or not."""
    others = environment.get("PYTHONPATH")
    path = os.pathsep.join([str(ROOT), others] if others else [str(ROOT)])
    return {**environment, "PYTHONPATH": path, "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1"}


def stop(process: subprocess.Popen[Any], *, grace: float = _GRACE) -> None:
    """End a process: by closing its standard input, then by SIGTERM, then by force. Safe to call twice."""
    ways: list[Callable[[], None]] = [lambda: _close(process.stdin), process.terminate, process.kill]
    for end in ways:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            end()
            process.wait(grace)
    _close(process.stdin)
    _close(process.stdout)


def _close(stream: IO[Any] | None) -> None:
    if stream is not None:
        with contextlib.suppress(OSError, ValueError):
            stream.close()


def when_parent_ends(act: Callable[[], None]) -> None:
    """Call `act` in a thread once standard input ends, which it does when the parent closes it or dies."""

    def wait() -> None:
        with contextlib.suppress(OSError, ValueError):
            while os.read(0, 4096):
                pass
        act()

    threading.Thread(target=wait, name="parent", daemon=True).start()


def last_lines(log: Path) -> str:
    """Return the end of a log file, for errors."""
    with contextlib.suppress(OSError):
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
        return "\n".join(lines[-_LAST_LINES:])
    return ""

"""The hosts of a job: which one this is, and how TensorFlow finds the others."""

import contextlib
import faulthandler
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from mri_tumor.errors import ArgumentError, TrainingError

PORT = 8889
"""Where the first worker answers, the next one at the next port, and so on.

TensorFlow listens on all addresses of a machine: with ports of their own several hosts may be one machine.
"""

WAIT = "MRI_TUMOR_WAIT_FOR_HOSTS"
"""Environment variable: how many seconds a host waits for the others before any training, 600 by default."""


@dataclass(frozen=True)
class Hosts:
    """The hosts of a job, in the order that all of them agree on.

    Args:
        names: of all hosts.
        current: of this one.

    Raises:
        ArgumentError: this one is none of them.

    >>> Hosts(("algo-1", "algo-2"), "algo-2").place
    1
    """

    names: tuple[str, ...]
    current: str

    def __post_init__(self) -> None:
        if self.current not in self.names:
            raise ArgumentError(
                f"SM_CURRENT_HOST is {self.current!r} and SM_HOSTS {json.dumps(self.names)}",
                "one of the hosts",
                "set both as SageMaker does",
            )

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "Hosts":
        """Read the hosts from the `SM_` variables; without them this machine is alone."""
        names = tuple(json.loads(environ.get("SM_HOSTS", '["algo-1"]')))
        return cls(names, environ.get("SM_CURRENT_HOST", names[0]))

    @property
    def several(self) -> bool:
        """Whether there are others."""
        return len(self.names) > 1

    @property
    def place(self) -> int:
        """Which of the hosts this is, from 0."""
        return self.names.index(self.current)

    @property
    def first(self) -> bool:
        """Whether this host writes the model and the outputs."""
        return self.place == 0

    @property
    def tf_config(self) -> str:
        """The value of `TF_CONFIG`, which neither SageMaker nor version 3 of its SDK sets."""
        workers = [f"{name}:{PORT + place}" for place, name in enumerate(self.names)]
        task = {"type": "worker", "index": self.place}
        return json.dumps({"cluster": {"worker": workers}, "task": task})

    @contextlib.contextmanager
    def waiting(self, seconds: float, failure: Path) -> Iterator[None]:
        """End this process, with the reason in a file, if what is done meanwhile takes longer.

        For others that never come TensorFlow waits without end, deaf to SIGTERM and with Python's lock held,
        so that no thread can act. The standard library's watchdog can.

        Args:
            seconds: so long at most.
            failure: the file for the reason; it is there while the wait lasts.
        """
        others = ", ".join(name for name in self.names if name != self.current)
        error = TrainingError(
            f"host {self.current} waited {seconds:g} s for {others}",
            f"all {len(self.names)} hosts at the start",
            f"look at the others' logs; if they were only late, raise {WAIT}",
        )
        failure.parent.mkdir(parents=True, exist_ok=True)
        with failure.open("w", encoding="utf-8") as file:
            file.write(f"{error}\n\n")
            file.flush()
            faulthandler.dump_traceback_later(seconds, exit=True, file=file)
            try:
                yield
            finally:
                faulthandler.cancel_dump_traceback_later()
        failure.unlink()

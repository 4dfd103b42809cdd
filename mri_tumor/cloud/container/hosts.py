"""The hosts of a job: which one this is, and how TensorFlow finds the others."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from mri_tumor.errors import ArgumentError

PORT = 8889
"""Where the first worker answers, the next one at the next port, and so on.

TensorFlow listens on all addresses of a machine: with ports of their own several hosts may be one machine.
"""


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

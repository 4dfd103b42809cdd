"""What a training job on SageMaker runs on, and for how long."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from mri_tumor.errors import ArgumentError

_VARIABLE = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,511}")
_DAY = 24 * 3600


@dataclass(frozen=True)
class Machines:
    """The instances of a training job.

    Args:
        instance_type: `"ml.<family>.<size>"`.
        instance_count: how many; several share every batch.
        volume_size: GB of storage for each.
        input_mode: `"File"`: the channels are copied to the instance first; `"FastFile"`: they are read from
            S3 while the job runs.
        spot: whether spare instances are used, which are cheaper and may be taken away: the job then goes on
            from its last epoch on another one.
        max_run: seconds that the job may run.
        max_wait: with `spot`, seconds that it may run and wait in all; twice `max_run` by default.
        environment: variables for the container.
        image: the training image, AWS's TensorFlow image by default.

    Raises:
        ArgumentError: a value is outside its range.

    >>> Machines("ml.g5.xlarge", spot=True, max_run=3600).longest_wait
    7200
    """

    instance_type: str
    instance_count: int = 1
    volume_size: int = 30
    input_mode: str = "File"
    spot: bool = False
    max_run: int = _DAY
    max_wait: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    image: str | None = None

    def __post_init__(self) -> None:
        checks = [
            (_whole(self.instance_count), "instance_count", "a whole number from 1"),
            (_whole(self.volume_size), "volume_size", "GB, a whole number from 1"),
            (self.input_mode in ("File", "FastFile"), "input_mode", "'File' or 'FastFile'"),
            (isinstance(self.spot, bool), "spot", "True or False"),
            (_whole(self.max_run) and self.max_run <= 28 * _DAY, "max_run", "seconds, at most 28 days"),
            (self._waits(), "max_wait", "None; or with spot=True seconds, at least max_run"),
            (
                _variables(self.environment),
                "environment",
                "at most 100 names and texts of up to 512 characters",
            ),
        ]
        for good, name, expected in checks:
            if not good:
                raise ArgumentError(f"{name} is {getattr(self, name)!r:.200}", expected, "change it")

    @property
    def changed(self) -> dict[str, Any]:
        """What is other than by default and means something on SageMaker only."""
        own = ("instance_type", "environment")
        values = {item.name: getattr(self, item.name) for item in fields(self) if item.name not in own}
        return {name: value for name, value in values.items() if value != getattr(Machines, name)}

    def _waits(self) -> bool:
        if self.max_wait is None:
            return True
        return self.spot and _whole(self.max_wait) and self.max_wait >= self.max_run

    @property
    def longest_wait(self) -> int | None:
        """Seconds that a job on spare instances may take in all; None for one on its own instances."""
        return (self.max_wait or 2 * self.max_run) if self.spot else None


def _whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _variables(given: Mapping[str, str]) -> bool:
    return (
        isinstance(given, Mapping)
        and len(given) <= 100
        and all(
            isinstance(name, str)
            and _VARIABLE.fullmatch(name)
            and isinstance(value, str)
            and len(value) <= 512
            for name, value in given.items()
        )
    )

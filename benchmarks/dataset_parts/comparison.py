"""Ours and another's, turn by turn in one process: one row of the table each."""

import operator
import os
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from mri_tumor.dataset import Catalog

SIZE, BATCH = 224, 32
COLUMNS = (
    "part", "what", "against", "unit", "ours", "peer", "ratio", "lowest", "highest", "goal", "met", "setting",
)  # fmt: skip

_SIGNS = {">=": operator.ge, "<=": operator.le, ">": operator.gt}

Call = Callable[[], Any]
Clock = Callable[[], float]
Times = list[tuple[float, float]]
"""Seconds of ours and of the other, one pair a round."""


@dataclass(frozen=True)
class Job:
    """What every part works on.

    Args:
        catalog: the pictures, all in the system's cache.
        folder: the same pictures in class folders, for those who want a folder.
        place: an empty folder that goes when the part is done.
        rounds: how many rounds are measured, after one that is not.
    """

    catalog: Catalog
    folder: Path
    place: Path
    rounds: int


@dataclass(frozen=True)
class Comparison:
    """One row: ours, the other's, and whether the goal for their ratio is met.

    Args:
        what: what was done by ours.
        against: by what the other did the same.
        unit: of `ours` and `peer`.
        ours: median over the rounds.
        peer: median over the rounds.
        ratios: one a round; above 1 ours is better, unless the unit is of memory.
        goal: such as ">= 0.9", or an empty text where nothing was promised.
        packages: whose versions belong to the result.
    """

    what: str
    against: str
    unit: str
    ours: float
    peer: float
    ratios: Sequence[float]
    goal: str
    packages: Sequence[str]
    cores: int = field(default_factory=lambda: cores())

    @property
    def ratio(self) -> float:
        """The median of the rounds' ratios."""
        return statistics.median(self.ratios)

    @property
    def met(self) -> str:
        """Whether the goal is met by the ratio as it is printed: "yes", "no", or nothing without a goal."""
        if not self.goal:
            return ""
        sign, value = self.goal.split()
        return "yes" if _SIGNS[sign](round(self.ratio, 3), float(value)) else "no"

    def row(self, part: str, command: str) -> dict[str, Any]:
        """Return the row of the table."""
        versions = ", ".join(f"{name} {version(name)}" for name in self.packages)
        machine = f"cores: {self.cores}, {platform.machine()}, Python {platform.python_version()}"
        ends = (f"{value:.3f}" for value in (self.ratio, min(self.ratios), max(self.ratios)))
        sizes = (f"{value:.4g}" if value < 1000 else f"{value:.0f}" for value in (self.ours, self.peer))
        names = (part, self.what, self.against, self.unit)
        setting = f"{machine}, {versions}; {command}"
        return dict(zip(COLUMNS, (*names, *sizes, *ends, self.goal, self.met, setting), strict=True))

    def __str__(self) -> str:
        goal = f"  goal {self.goal}: {'met' if self.met == 'yes' else 'NOT MET'}" if self.goal else ""
        sides = f"{self.ours:.4g} against {self.peer:.4g} {self.unit}"
        return f"{self.what} | {self.against}: {sides}, x {self.ratio:.3f}{goal}"


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0))


def one_core() -> None:
    """Keep this process and OpenCV on one core.

    Parts that do so count the processor's time (`time.process_time`): other work on the machine changes it
    little.
    """
    import cv2

    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    cv2.setNumThreads(1)


def alternate(ours: Call, peer: Call, rounds: int, clock: Clock = time.perf_counter) -> Times:
    """Time both in every round; the first round only fills caches."""
    return [turn(ours, peer, number, clock) for number in range(rounds + 1)][1:]


def turn(ours: Call, peer: Call, number: int, clock: Clock = time.perf_counter) -> tuple[float, float]:
    """Return the seconds that each takes; ours comes first in rounds of odd number."""
    if number % 2:
        return seconds(ours, clock), seconds(peer, clock)
    theirs = seconds(peer, clock)
    return seconds(ours, clock), theirs


def seconds(call: Call, clock: Clock) -> float:
    """Return how long a call takes."""
    start = clock()
    call()
    return clock() - start


def speeds(
    what: str, against: str, pictures: int, times: Times, goal: str, packages: Sequence[str]
) -> Comparison:
    """Return the row for times in which each side was through with `pictures` once."""
    ours, peer = (pictures / statistics.median(side) for side in zip(*times, strict=True))
    ratios = [theirs / mine for mine, theirs in times]
    return Comparison(what, against, "pictures/s", ours, peer, ratios, goal, packages)


def installed(*packages: str) -> bool:
    """Tell whether all packages are there; say what is skipped if one is not."""
    missing = [name for name in packages if not found(name)]
    if missing:
        print(f"skipped: {', '.join(missing)} is not installed; pip install -e '.[bench]'", flush=True)
    return not missing


def found(package: str) -> bool:
    """Tell whether a package is installed."""
    try:
        return bool(version(package))
    except PackageNotFoundError:
        return False

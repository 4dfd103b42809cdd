"""Tuning: jobs with other hyperparameters, and the best of them."""

import logging
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mri_tumor.cloud.container.job import METRICS
from mri_tumor.errors import ArgumentError, TrainingError

logger = logging.getLogger(__name__)

LOG = "log"
_MOST_VALUES = 30


@dataclass(frozen=True)
class Range:
    """What one hyperparameter may be.

    Args:
        name: the hyperparameter.
        low: the least value; None for a choice.
        high: the greatest value; None for a choice.
        whole: whether values are whole numbers.
        log: whether values are spread evenly over their logarithms.
        choices: the values of a choice.

    >>> Range.of("learning_rate", (1e-4, 1e-2, "log")).log
    True
    """

    name: str
    low: float | None = None
    high: float | None = None
    whole: bool = False
    log: bool = False
    choices: tuple[Any, ...] = ()

    @classmethod
    def of(cls, name: str, given: Any) -> "Range":
        """Read a range: `(low, high)`, `(low, high, "log")`, or a list of values to choose from.

        Two whole numbers give whole numbers.

        Raises:
            ArgumentError: it is something else, or empty.
        """
        if isinstance(given, list) and 1 <= len(given) <= _MOST_VALUES:
            return cls(name, choices=tuple(given))
        if isinstance(given, tuple) and len(given) in (2, 3) and given[2:] in ((), (LOG,)):
            low, high = given[:2]
            numbers = all(isinstance(one, int | float) and not isinstance(one, bool) for one in (low, high))
            log = len(given) == 3
            if numbers and math.isfinite(low) and math.isfinite(high) and low < high and (low > 0 or not log):
                whole = isinstance(low, int) and isinstance(high, int)
                return cls(name, low, high, whole, log)
        raise ArgumentError(
            f"the range of {name!r} is {given!r:.80}",
            f'(low, high), (low, high, "log") with low above 0, or a list of up to {_MOST_VALUES} values',
            "change it",
        )

    def at(self, share: float) -> Any:
        """Return the value at a place between 0 and 1."""
        if self.low is None or self.high is None:
            return self.choices[min(int(share * len(self.choices)), len(self.choices) - 1)]
        if self.whole and not self.log:
            return int(min(self.low + share * (self.high - self.low + 1), self.high))
        low, high = (math.log(self.low), math.log(self.high)) if self.log else (self.low, self.high)
        value = low + share * (high - low)
        value = min(max(math.exp(value) if self.log else value, self.low), self.high)
        return round(value) if self.whole else value


@dataclass(frozen=True)
class Trial:
    """One job of a tuning.

    Args:
        name: the job's full name.
        hyperparameters: those that were tuned, as texts.
        value: of the objective; None: the job did not end well.
        status: the job's state in SageMaker's words.
        reason: why it failed, if it did and said so.
    """

    name: str
    hyperparameters: Mapping[str, str]
    value: float | None
    status: str
    reason: str = ""

    def __str__(self) -> str:
        shown = "no value" if self.value is None else f"{self.value:.4g}"
        end = f": {self.reason}" if self.reason else ""
        return f"job {self.name} ({self.status}): {shown} with {dict(self.hyperparameters)}{end}"


@dataclass(frozen=True)
class Objective:
    """What is tuned for: one of the metrics that jobs print.

    Args:
        name: of the metric.

    Raises:
        ArgumentError: jobs print no such metric.

    >>> Objective("val_loss").minimize, Objective("val_accuracy").minimize
    (True, False)
    """

    name: str

    def __post_init__(self) -> None:
        if self.name not in METRICS:
            known = ", ".join(METRICS)
            raise ArgumentError(f"the objective is {self.name!r}", f"one of {known}", "choose another one")

    @property
    def minimize(self) -> bool:
        """Whether less is better."""
        return "loss" in self.name

    def best(self, trials: Sequence[Trial]) -> Trial:
        """Return the best trial, the first of several that are.

        Raises:
            TrainingError: none has a value.
        """
        good = [trial for trial in trials if trial.value is not None]
        if not good:
            first = f"; the first: {trials[0]}" if trials else ""
            fix = "" if "To do: " in first else "look at their logs; try fit() alone"
            raise TrainingError(f"none of {len(trials)} jobs ended well{first}", "", fix)
        sign = 1 if self.minimize else -1
        best = min(good, key=lambda trial: sign * float(trial.value or 0.0))
        logger.info("tuning: best by %s: %s", self.name, best)
        return best


def check_budget(max_jobs: int, max_parallel_jobs: int) -> None:
    """Refuse numbers of jobs that make no sense.

    Raises:
        ArgumentError: one is below 1, or more jobs run at a time than in all.
    """
    whole = all(isinstance(one, int) and not isinstance(one, bool) for one in (max_jobs, max_parallel_jobs))
    if not whole or not 1 <= max_parallel_jobs <= max_jobs <= 750:
        raise ArgumentError(
            f"max_jobs is {max_jobs!r}, max_parallel_jobs {max_parallel_jobs!r}",
            "whole numbers from 1, the latter at most the former, at most 750",
            "change them",
        )


def corners(ranges: Sequence[Range]) -> list[dict[str, Any]]:
    """Return values to check before a tuning: every choice and both ends of every range come up.

    >>> corners([Range.of("width", (8, 16)), Range.of("batch_size", [16, 32, 64])])[-1]
    {'width': 16, 'batch_size': 64}
    """
    tried = {one.name: one.choices or (one.at(0.0), one.at(1.0)) for one in ranges}
    most = max(map(len, tried.values()), default=0)
    return [
        {name: values[min(place, len(values) - 1)] for name, values in tried.items()} for place in range(most)
    ]


def points(ranges: Sequence[Range], count: int, seed: int) -> list[dict[str, Any]]:
    """Return values for `count` jobs that fill the ranges evenly: a scrambled Sobol sequence.

    Args:
        ranges: one a hyperparameter.
        count: how many.
        seed: the same seed gives the same points, and fewer of them the first of more.

    >>> points([Range.of("width", (8, 16))], 3, seed=0)[0].keys()
    dict_keys(['width'])
    """
    from scipy.stats import qmc

    # A power of two, which Sobol's evenness needs; the rest is left.
    log2 = max(0, math.ceil(math.log2(count)))
    shares = qmc.Sobol(len(ranges), seed=np.random.default_rng(seed)).random_base2(log2)[:count]
    return [{one.name: one.at(share) for one, share in zip(ranges, row, strict=True)} for row in shares]

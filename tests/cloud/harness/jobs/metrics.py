"""Metrics that SageMaker reads out of a job's log."""

import contextlib
import re
from collections.abc import Iterable
from typing import Any

from harness.store import now


def final_metrics(definitions: Iterable[dict[str, str]], lines: Iterable[str]) -> list[dict[str, Any]]:
    """Return the last value of each metric that the log holds.

    >>> found = final_metrics([{"Name": "loss", "Regex": "loss ([0-9.]+)"}], ["loss 0.5", "loss 0.25"])
    >>> found[0]["MetricName"], found[0]["Value"]
    ('loss', 0.25)
    """
    values: dict[str, float] = {}
    patterns = {one["Name"]: re.compile(one["Regex"]) for one in definitions}
    for line in lines:
        for name, pattern in patterns.items():
            if found := pattern.search(line):
                # A pattern of the user's may match what is no number; SageMaker drops that too.
                with contextlib.suppress(ValueError, IndexError):
                    values[name] = float(found[1])
    return [{"MetricName": name, "Value": value, "Timestamp": now()} for name, value in values.items()]

"""How long engines take, called in turn so that what else the machine does hits all alike."""

import statistics
import time
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mri_tumor.models.engines.engine import Engine

BATCHES = (1, 32)
_LONGEST = 2.0  # seconds for all engines and rounds of a batch size, after the first round
_ROUNDS = 20


def latencies(engines: Mapping[str, Engine], pictures: NDArray[np.uint8]) -> dict[str, dict[str, float]]:
    """Return the median milliseconds a call, by engine and by pictures a call (`"1"`, `"32"`).

    Args:
        engines: name -> engine.
        pictures: uint8 (N, size, size, 1), repeated as often as need be.
    """
    found: dict[str, dict[str, float]] = {name: {} for name in engines}
    for count in BATCHES:
        batch = np.resize(pictures, (count, *pictures.shape[1:]))
        for name, times in _rounds(engines, batch).items():
            found[name][str(count)] = round(1000 * statistics.median(times), 3)
    return found


def _rounds(engines: Mapping[str, Engine], batch: NDArray[np.uint8]) -> dict[str, list[float]]:
    for engine in engines.values():
        engine(batch)  # the first call of a shape prepares it
    times: dict[str, list[float]] = {name: [] for name in engines}
    end = time.perf_counter() + _LONGEST
    for number in range(_ROUNDS):
        if number and time.perf_counter() > end:
            break
        for name, engine in engines.items():
            start = time.perf_counter()
            engine(batch)
            times[name].append(time.perf_counter() - start)
    return times

"""Points of a tuning job's ranges."""

import math
import random
from typing import Any


class Points:
    """Draws points: the same ones for the same seed.

    Every strategy of SageMaker's is a seeded random search here; what a test looks at is how points reach the
    jobs and what comes back.

    Args:
        ranges: `ParameterRanges` as SageMaker takes them.
        seed: of the draws.
    """

    def __init__(self, ranges: dict[str, Any], seed: int) -> None:
        self._ranges = ranges
        self._random = random.Random(seed)

    def draw(self) -> dict[str, str]:
        """Return the next point, name -> value as text.

        >>> whole = [{"Name": "epochs", "MinValue": "2", "MaxValue": "2"}]
        >>> named = [{"Name": "model", "Values": ["small_cnn"]}]
        >>> Points({"IntegerParameterRanges": whole, "CategoricalParameterRanges": named}, 0).draw()
        {'epochs': '2', 'model': '"small_cnn"'}
        """
        point = {}
        for one in self._ranges.get("IntegerParameterRanges", []):
            point[one["Name"]] = str(round(self._between(one)))
        for one in self._ranges.get("ContinuousParameterRanges", []):
            point[one["Name"]] = repr(self._between(one))
        for one in self._ranges.get("CategoricalParameterRanges", []):
            value = self._random.choice(one["Values"])
            # A chosen text arrives in quotes; the SDK puts them into the range already.
            point[one["Name"]] = value if value.startswith('"') else f'"{value}"'
        return point

    def _between(self, one: dict[str, str]) -> float:
        low, high = float(one["MinValue"]), float(one["MaxValue"])
        if one.get("ScalingType") == "Logarithmic":
            return math.exp(self._random.uniform(math.log(low), math.log(high)))
        return self._random.uniform(low, high)

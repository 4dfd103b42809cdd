"""How far what one engine says lies from what another says."""

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mri_tumor.models.engines.engine import Engine, Outputs

TOLERANCE = 1e-3
"""In float32: the largest difference of probabilities, and of features as a share of the largest one."""

_AT_A_TIME = 32
_SAID = {"labels": "label", "sets": "prediction_set", "abstentions": "abstained"}


@dataclass(frozen=True)
class Parity:
    """What two engines said of the same pictures.

    Args:
        pictures: how many there were.
        probabilities: the largest difference of a probability.
        features: the largest difference of a feature, as a share of the largest feature; None where an
            engine does not give them.
        novelty: the largest difference of a novelty, whose threshold is 1; None where there is none.
        labels: of how many pictures the label is the same, or both name none.
        sets: of how many the prediction set is the same; None before calibration.
        abstentions: of how many both abstain, or neither.
    """

    pictures: int
    probabilities: float
    features: float | None
    novelty: float | None
    labels: int
    sets: int | None
    abstentions: int

    @property
    def agree(self) -> bool:
        """Whether labels, sets and abstentions are the same for every picture, and all of it is numbers."""
        return self.probabilities <= 1 and all(
            count in (self.pictures, None) for count in (self.labels, self.sets, self.abstentions)
        )

    @property
    def same(self) -> bool:
        """Whether the differences are also no more than what float32 rounds."""
        return self.agree and max(self.probabilities, self.features or 0.0) <= TOLERANCE

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as a JSON object."""
        return asdict(self) | {"agree": self.agree}

    def text(self) -> str:
        """Return them as one line.

        >>> Parity(4, 1e-6, None, None, 4, None, 4).text()
        'labels 4 of 4, abstentions 4 of 4; largest difference of probabilities 1.0e-06'
        """
        counts = {"labels": self.labels, "sets": self.sets, "abstentions": self.abstentions}
        said = [f"{name} {count} of {self.pictures}" for name, count in counts.items() if count is not None]
        apart = {"probabilities": self.probabilities, "features": self.features, "novelty": self.novelty}
        far = [f"{name} {value:.1e}" for name, value in apart.items() if value is not None]
        return f"{', '.join(said)}; largest difference of {', '.join(far)}"


def answers(engine: Engine, pictures: NDArray[np.uint8]) -> Outputs:
    """Return what an engine says of pictures (N, size, size, 1), asked for 32 at a time."""
    parts = [engine(pictures[at : at + _AT_A_TIME]) for at in range(0, len(pictures), _AT_A_TIME)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def compare(expected: Outputs, found: Outputs) -> Parity:
    """Hold what an engine says against what is expected, both of the same N pictures."""
    count = len(expected["top"])
    agreed = {
        name: int(_rows_equal(expected[key], found[key])) if key in expected else None
        for name, key in _SAID.items()
    }
    return Parity(
        count,
        _apart(expected["probabilities"], found["probabilities"]),
        _share(expected, found),
        _apart(expected["novelty"], found["novelty"]) if "novelty" in expected else None,
        **agreed,  # type: ignore[arg-type]
    )


def _rows_equal(expected: NDArray[Any], found: NDArray[Any]) -> int:
    return int(np.sum((expected == found).reshape(len(expected), -1).all(axis=1)))


def _apart(expected: NDArray[Any], found: NDArray[Any]) -> float:
    # What is no number is far away, but stays one that JSON can hold.
    apart = np.abs(expected.astype(np.float64) - found)
    return float(np.nan_to_num(apart, nan=1e30, posinf=1e30).max(initial=0.0))


def _share(expected: Outputs, found: Outputs) -> float | None:
    if "features" not in expected or "features" not in found:
        return None
    return feature_difference(expected["features"], found["features"])


def feature_difference(expected: NDArray[Any], found: NDArray[Any]) -> float:
    """Return the largest difference of two tables of features, as a share of the largest feature.

    >>> feature_difference(np.array([[0.0, 4.0]]), np.array([[0.0, 5.0]]))
    0.25
    """
    largest = float(np.abs(expected).max(initial=0.0))
    apart = _apart(expected, found)
    return apart / largest if largest else apart

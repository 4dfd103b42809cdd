"""The grey values of a phantom's tissues."""

from dataclasses import dataclass
from typing import Self

import numpy as np


@dataclass(frozen=True)
class Tones:
    """Grey values (0-255) of one head's tissues, before noise, bias field and windowing.

    Args:
        scalp: skin and fat, the brightest.
        skull: bone and air, the darkest.
        marrow: inside the bone.
        brain: grey and white matter; folds and mottling are added.
        fluid: cerebrospinal fluid.
        muscle: muscle and mucosa.
        enhanced: blood and what takes up contrast medium.
    """

    scalp: float
    skull: float
    marrow: float
    brain: float
    fluid: float
    muscle: float
    enhanced: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """Draw the contrast of one scan."""
        brain = rng.uniform(84, 112)
        return cls(
            scalp=rng.uniform(120, 250),
            skull=rng.uniform(6, 26),
            marrow=rng.uniform(30, 120),
            brain=brain,
            fluid=brain * rng.uniform(0.25, 0.5),
            muscle=brain * rng.uniform(0.6, 0.95),
            enhanced=brain * rng.uniform(1.8, 2.3),
        )

    def uptake(self, share: float) -> float:
        """Return the tone of tissue that takes up a share of the contrast medium; 0 is brain, 1 is blood."""
        return self.brain + (self.enhanced - self.brain) * share

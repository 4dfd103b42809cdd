"""What speaks for a class in one picture, with the picture, so that it can be drawn and measured."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mri_tumor.errors import ArgumentError
from mri_tumor.labels import NOTICE
from mri_tumor.models.explaining.overlay import overlaid
from mri_tumor.models.prediction import Prediction


@dataclass(frozen=True, eq=False)
class Explanation:
    """A heat map: where a picture holds what speaks for a class, as far as a method can tell.

    It says what the network looked at, not what is there: a heat map is no proof of a lesion, and a network
    that is wrong has one too.

    Args:
        prediction: what the classifier says about the picture, with its id; it may have abstained.
        label: the class that is explained.
        method: how the heat was found, such as `"layercam"`.
        heat: float32 (size, size), from 0 to 1, which is reached where the most speaks for the class; 0
            everywhere if nothing does, or if the picture is of a single grey.
        picture: uint8 (size, size), as the network saw it: windowed, cropped and resized. `Preprocess` says
            by its `placement` where that lies in the picture as it was read.
        layer: the one layer that was looked at, as it was asked for; None for all that the features are
            pooled from, and for occlusion.
        notice: that this is no medical device.

    >>> said = Prediction("a.png", "none", "none", {"glioma": 0.25, "none": 0.75})
    >>> heat = np.zeros((4, 4), np.float32)
    >>> heat[1:3, 2] = 0.5, 1
    >>> one = Explanation(said, "none", "layercam", heat, np.zeros((4, 4), np.uint8))
    >>> one.id, one.probability, one.peak, one.box()
    ('a.png', 0.75, (2, 2), (1, 3, 2, 3))
    """

    prediction: Prediction
    label: str
    method: str
    heat: NDArray[np.float32]
    picture: NDArray[np.uint8]
    layer: str | None = None
    notice: str = NOTICE

    def __repr__(self) -> str:
        return f"<Explanation of {self.id}: {self.label} {self.probability:.3f}, {self.method}>"

    @property
    def id(self) -> str:
        """The picture's id."""
        return self.prediction.id

    @property
    def probability(self) -> float:
        """The probability of the explained class, 0-1."""
        return self.prediction.probabilities[self.label]

    @property
    def peak(self) -> tuple[int, int] | None:
        """(row, column) of the greatest heat, the first of equals; None if there is no heat."""
        if not self.heat.any():
            return None
        row, column = np.unravel_index(int(self.heat.argmax()), self.heat.shape)
        return int(row), int(column)

    def box(self, level: float = 0.5) -> tuple[int, int, int, int] | None:
        """Return the smallest box around the heat from a level on; None if there is none.

        Args:
            level: from above 0 to 1, the greatest heat.

        Returns:
            (top, bottom, left, right) in pixels of `picture`, ends exclusive.

        Raises:
            ArgumentError: the level is out of range.
        """
        if isinstance(level, bool) or not isinstance(level, int | float) or not 0 < level <= 1:
            raise ArgumentError(f"level is {level!r}", "a number above 0, up to 1", "pass level=0.5")
        rows, columns = np.nonzero(self.heat >= level)
        if not rows.size:
            return None
        return int(rows.min()), int(rows.max()) + 1, int(columns.min()), int(columns.max()) + 1

    def overlay(self) -> NDArray[np.uint8]:
        """Return the picture with the heat over it: uint8 (size, size, 3), red, green, blue.

        `plots.heat_maps` draws it with its class, a scale and the notice.
        """
        return overlaid(self.picture, self.heat)

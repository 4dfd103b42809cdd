"""A volume seen along another axis than it was scanned: axes swapped and turned, nothing resampled."""

from itertools import permutations
from typing import Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from mri_tumor.errors import ArgumentError

Axis = Literal["axial", "coronal", "sagittal"]

# DICOM's patient axes: x to the patient's left, y to the back, z to the head. Slices, rows and columns of
# each view go along one of them, forwards or backwards.
_VIEWS: dict[str, tuple[tuple[int, int], tuple[int, int], tuple[int, int]]] = {
    "axial": ((2, 1), (1, 1), (0, 1)),
    "coronal": ((1, 1), (2, -1), (0, 1)),
    "sagittal": ((0, 1), (2, -1), (1, 1)),
}


class Turn(NamedTuple):
    """How a volume's axes become a view's: which axis comes where, and which are turned round."""

    order: tuple[int, int, int]
    reversed: tuple[int, ...]

    def apply(self, volume: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the volume `(N, H, W)` in the view's order."""
        return np.ascontiguousarray(np.flip(volume.transpose(self.order), self.reversed))


def check_axis(axis: str | None) -> None:
    """Raise an ArgumentError unless it is an axis or None."""
    if axis is not None and axis not in get_args(Axis):
        names = ", ".join(map(repr, get_args(Axis)))
        raise ArgumentError(f"axis is {axis!r}", f"one of {names}, or None", "correct the name")


def turn_to(axis: Axis, directions: NDArray[np.float64]) -> Turn:
    """Return the turn that makes a view of a volume, as radiologists look at it.

    Axial: front on top, slices from the feet up. Coronal: head on top, slices from the front. Sagittal: head
    on top, front left, slices from the patient's right. In the first two the patient's right is left.

    Args:
        axis: the view.
        directions: where each of the volume's axes (slices, rows, columns) points: three unit vectors
            `(3, 3)` in DICOM's axes. Oblique ones count as the nearest axes.

    >>> turn_to("axial", np.array([[0, 0, -1], [0, 1, 0], [1, 0, 0]]))
    Turn(order=(0, 1, 2), reversed=(0,))
    """
    nearest = max(permutations(range(3)), key=lambda axes: sum(abs(directions[np.arange(3), axes])))
    view = _VIEWS[axis]
    order = tuple(nearest.index(patient) for patient, _ in view)
    backwards = tuple(
        place
        for place, (own, (patient, sign)) in enumerate(zip(order, view, strict=True))
        if directions[own, patient] * sign < 0
    )
    return Turn((order[0], order[1], order[2]), backwards)

"""Where preprocessing puts a picture, so that masks go along with it and heat maps come back."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from mri_tumor.dataset.framing import Box
from mri_tumor.errors import ArgumentError

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Placement:
    """Which part of a picture went where in its square.

    Args:
        shape: (height, width) of the picture as it was read.
        box: (top, bottom, left, right) of the part that was kept, in its pixels, ends exclusive.
        inside: likewise, where that part lies in the square.
        size: height and width of the square.

    >>> placement = Placement((2, 4), (0, 2, 0, 4), (1, 3, 0, 4), 4)
    >>> placement.carry(np.array([[1, 1, 0, 0], [0, 0, 0, 0]], bool)).astype(int)
    array([[0, 0, 0, 0],
           [1, 1, 0, 0],
           [0, 0, 0, 0],
           [0, 0, 0, 0]])
    """

    shape: tuple[int, int]
    box: Box
    inside: Box
    size: int

    def carry(self, mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Bring a mask of the picture into the square: which of its pixels are covered by half or more.

        Args:
            mask: bool (H, W), of the picture's shape, such as `read_outline(path).mask`.

        Returns:
            Bool (size, size).

        Raises:
            ArgumentError: the mask has another shape, or is not bool.
        """
        mask = np.asarray(mask)
        if mask.dtype != np.bool_:
            raise ArgumentError(f"a mask of {mask.dtype}", "a bool mask", "pass mask > 0")
        self._check(mask.shape, self.shape, "the picture's shape")
        top, bottom, left, right = self.inside
        square = np.zeros((self.size, self.size), np.bool_)
        part = _resized(mask[_slices(self.box)].astype(np.float32), bottom - top, right - left)
        square[_slices(self.inside)] = part >= 0.5
        return square

    def back(self, heat: npt.NDArray[np.floating]) -> Floats:
        """Bring values of the square onto the picture; what was cropped away gets 0.

        Args:
            heat: float (size, size), such as `Explanation.heat`.

        Returns:
            Float32 (H, W).

        Raises:
            ArgumentError: `heat` has another shape.
        """
        heat = np.asarray(heat, np.float32)
        self._check(heat.shape, (self.size, self.size), "(size, size)")
        top, bottom, left, right = self.box
        whole = np.zeros(self.shape, np.float32)
        whole[_slices(self.box)] = _resized(heat[_slices(self.inside)], bottom - top, right - left)
        return whole

    @staticmethod
    def _check(found: tuple[int, ...], wanted: tuple[int, int], meaning: str) -> None:
        if found != wanted:
            raise ArgumentError(f"an array {found}", f"{wanted}, {meaning}", "pass what belongs together")


def _slices(box: Box) -> tuple[slice, slice]:
    return slice(box[0], box[1]), slice(box[2], box[3])


def _resized(values: Floats, height: int, width: int) -> Floats:
    shrinks = height <= values.shape[0] and width <= values.shape[1]
    kernel = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(values, (width, height), interpolation=kernel), np.float32)

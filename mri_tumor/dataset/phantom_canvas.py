"""What phantoms are painted with: head coordinates, smooth outlines, smooth fields, a brush.

Head coordinates: `x` to the right of the picture, `y` towards the back of the head, unit = half of the head's
length, so that a head reaches from -1 (nose or forehead) to 1 (back) whatever the picture's size.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]

_ANGLE = np.linspace(0, 2 * np.pi, 72, endpoint=False)
_COS, _SIN = np.cos(_ANGLE), np.sin(_ANGLE)
_SHIFT = 4  # fixed-point bits of OpenCV's drawing functions


@dataclass(frozen=True)
class Frame:
    """Where a head lies in a picture.

    Args:
        shape: height and width of the picture in pixels.
        scale: pixels a unit of head coordinates.
        angle: rotation in radians.
        centre: `(x, y)` of the head's centre in pixels.
    """

    shape: tuple[int, int]
    scale: float
    angle: float
    centre: tuple[float, float]

    def pixels(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return `(N, 2)` head coordinates as pixel coordinates."""
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        turned = points @ np.array([[cos, sin], [-sin, cos]])
        return np.asarray(turned * self.scale + self.centre)

    def window(self, centre: tuple[float, float], reach: float) -> tuple[tuple[slice, slice], Array, Array]:
        """Return the pixels within `reach` of a point: their slices, and their offsets from it in head units."""
        column, row = self.pixels(np.array([centre]))[0]
        half = reach * self.scale
        top, bottom = _clip(row - half, row + half, self.shape[0])
        left, right = _clip(column - half, column + half, self.shape[1])
        dx = (np.arange(left, right, dtype=np.float32) - np.float32(column)) / np.float32(self.scale)
        dy = (np.arange(top, bottom, dtype=np.float32) - np.float32(row))[:, None] / np.float32(self.scale)
        cos, sin = np.float32(np.cos(self.angle)), np.float32(np.sin(self.angle))
        return (slice(top, bottom), slice(left, right)), cos * dx + sin * dy, cos * dy - sin * dx


@dataclass(frozen=True)
class Brush:
    """Paints head coordinates, anti-aliased, on one uint8 canvas of the frame's shape."""

    canvas: NDArray[np.uint8]
    frame: Frame

    def fill(self, points: NDArray[np.float64], tone: float) -> None:
        """Fill a closed outline, `(N, 2)` head coordinates, with a grey tone (0-255)."""
        cv2.fillPoly(self.canvas, [self._fixed(points)], _grey(tone), cv2.LINE_AA, _SHIFT)

    def line(self, points: NDArray[np.float64], tone: float, width: float) -> None:
        """Draw an open line, `width` in head units and at least one pixel."""
        thickness = max(1, round(width * self.frame.scale))
        cv2.polylines(self.canvas, [self._fixed(points)], False, _grey(tone), thickness, cv2.LINE_AA, _SHIFT)

    def _fixed(self, points: NDArray[np.float64]) -> NDArray[np.int32]:
        return np.round(self.frame.pixels(points) * (1 << _SHIFT)).astype(np.int32).reshape(-1, 1, 2)


def oval(
    x: float, y: float, rx: float, ry: float, *, turn: float = 0.0, ripple: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Return the outline of an ellipse about `(x, y)`; `ripple` scales the radius by angle."""
    radius = 1.0 if ripple is None else ripple
    across, along = rx * _SIN * radius, -ry * _COS * radius
    cos, sin = np.cos(turn), np.sin(turn)
    return np.stack([x + cos * across - sin * along, y + sin * across + cos * along], axis=1)


def ripples(rng: np.random.Generator, amount: float, first: int = 2, last: int = 6) -> NDArray[np.float64]:
    """Return radius factors by angle: 1 plus a few random waves, the faster the smaller."""
    waves = np.arange(first, last + 1)
    phase = rng.uniform(0, 2 * np.pi, len(waves))
    height = amount * rng.normal(0, 1, len(waves)) / np.sqrt(waves)
    return np.asarray(1 + height @ np.cos(waves[:, None] * _ANGLE + phase[:, None]))


def at_angle(values: NDArray[np.float64], dx: Array, dy: Array) -> Array:
    """Look up a factor by angle (from `ripples`) for offsets from a centre."""
    turn = np.arctan2(dx, -dy) * np.float32(len(values) / (2 * np.pi))
    return np.take(values.astype(np.float32), turn.astype(np.int32), mode="wrap")


def field(rng: np.random.Generator, cells: int, shape: tuple[int, int]) -> Array:
    """Return a smooth random field, mean about 0 and spread about 1, with about `cells` bumps a side."""
    return enlarge(rng.standard_normal((cells, cells), np.float32), shape)


def enlarge(coarse: Array, shape: tuple[int, int]) -> Array:
    """Return a coarse field interpolated to a picture's shape."""
    return np.asarray(cv2.resize(coarse, shape[::-1], interpolation=cv2.INTER_CUBIC), np.float32)


def soft_step(values: Array, softness: float) -> Array:
    """Return about 1 where `values` is positive and 0 where it is negative, with a ramp of `softness`."""
    return np.clip(values / np.float32(softness) + np.float32(0.5), 0, 1)


def _grey(tone: float) -> int:
    return int(min(max(round(tone), 0), 255))


def _clip(low: float, high: float, end: int) -> tuple[int, int]:
    first = min(max(int(low), 0), end - 1)
    return first, max(min(int(high) + 1, end), first + 1)

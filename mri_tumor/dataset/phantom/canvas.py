"""What phantoms are painted with: head coordinates, smooth outlines, smooth fields, a brush.

Head coordinates: `x` to the right of the picture, `y` towards the back of the head, unit = half of the head's
length, so that a head reaches from -1 (forehead) to 1 (back of the head) whatever the picture's size.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import NDArray

Points = NDArray[np.float64]
"""An outline or line: `(N, 2)` head coordinates."""

Plane = NDArray[np.floating]
"""A picture or field as float32 `(H, W)`."""

_ANGLE = np.linspace(0, 2 * np.pi, 72, endpoint=False)
_CIRCLE = np.stack([np.sin(_ANGLE), -np.cos(_ANGLE)], axis=1)
_WAVES = np.concatenate([[np.cos(k * _ANGLE) / k, np.sin(k * _ANGLE) / k] for k in range(1, 19)])
_FINE = np.linspace(0, 2 * np.pi, 720, endpoint=False)
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

    @cached_property
    def turn(self) -> tuple[float, float]:
        """Cosine and sine of the rotation."""
        return float(np.cos(self.angle)), float(np.sin(self.angle))

    @cached_property
    def matrix(self) -> NDArray[np.float64]:
        """`(2, 2)`: head coordinates @ matrix + centre = pixels."""
        cos, sin = self.turn
        return self.scale * np.array([[cos, sin], [-sin, cos]])

    def pixel(self, point: tuple[float, float]) -> tuple[float, float]:
        """Return `(x, y)` in head coordinates as `(column, row)` in pixels."""
        cos, sin = self.turn
        column = self.scale * (cos * point[0] - sin * point[1]) + self.centre[0]
        return column, self.scale * (sin * point[0] + cos * point[1]) + self.centre[1]

    def window(self, centre: tuple[float, float], reach: float) -> tuple[tuple[slice, slice], Plane, Plane]:
        """Return the pixels within `reach` of a point: their slices, and their offsets from it."""
        column, row = self.pixel(centre)
        half = reach * self.scale
        top, bottom = _clip(row - half, row + half, self.shape[0])
        left, right = _clip(column - half, column + half, self.shape[1])
        dx = (np.arange(left, right, dtype=np.float32) - np.float32(column)) / np.float32(self.scale)
        dy = (np.arange(top, bottom, dtype=np.float32) - np.float32(row))[:, None] / np.float32(self.scale)
        cos, sin = np.float32(self.turn[0]), np.float32(self.turn[1])
        return (slice(top, bottom), slice(left, right)), cos * dx + sin * dy, cos * dy - sin * dx


class Brush:
    """Paints head coordinates, anti-aliased, on two uint8 canvases: the picture, and where the brain is.

    Args:
        frame: where the head lies.
    """

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.picture = np.zeros(frame.shape, np.uint8)
        self.brain = np.zeros(frame.shape, np.uint8)
        self._matrix = frame.matrix * (1 << _SHIFT)
        self._centre = np.array(frame.centre) * (1 << _SHIFT)

    def fill(self, points: Points, tone: float | None, *, brain: bool | None = None) -> None:
        """Fill a closed outline with a grey tone (0-255) and, if `brain` says so, as brain or as no brain."""
        outline = [self._fixed(points)]
        if tone is not None:
            cv2.fillPoly(self.picture, outline, tone, cv2.LINE_AA, _SHIFT)
        if brain is not None:
            cv2.fillPoly(self.brain, outline, 255 * brain, cv2.LINE_AA, _SHIFT)

    def line(self, points: Points, tone: float, width: float, *, closed: bool = False) -> None:
        """Draw a line, `width` in head units and at least one pixel."""
        thickness = max(1, round(width * self.frame.scale))
        fixed = self._fixed(points)
        cv2.polylines(self.picture, [fixed], closed, tone, thickness, cv2.LINE_AA, _SHIFT)

    def _fixed(self, points: Points) -> NDArray[np.int32]:
        return np.asarray((points @ self._matrix + self._centre).astype(np.int32))


def oval(x: float, y: float, rx: float, ry: float, turn: float = 0.0, shape: Points | None = None) -> Points:
    """Return the outline of an ellipse about `(x, y)`, turned by radians; `shape` (`ripples`) bends it."""
    cos, sin = math.cos(turn), math.sin(turn)
    unit = _CIRCLE if shape is None else _CIRCLE * shape[:, None]
    outline = unit @ np.array([[rx * cos, rx * sin], [-ry * sin, ry * cos]])
    outline += np.array((x, y))
    return np.asarray(outline)


def ripples(rng: np.random.Generator, amount: float, first: int = 2, last: int = 6) -> NDArray[np.float64]:
    """Return radius factors by angle: 1 plus random waves `first` to `last`, the faster the smaller."""
    waves = _WAVES[2 * first - 2 : 2 * last]
    return np.asarray(1 + amount * (rng.standard_normal(len(waves)) @ waves))


def at_angle(values: NDArray[np.float64], dx: Plane, dy: Plane) -> Plane:
    """Look up a factor by angle (from `ripples`) for offsets from a centre."""
    fine = np.interp(_FINE, np.append(_ANGLE, 2 * np.pi), np.append(values, values[0]))
    place = cv2.phase(-dy, dx) * np.float32(len(_FINE) / (2 * np.pi))
    return np.asarray(np.take(fine.astype(np.float32), place.astype(np.int32), mode="wrap"))


def enlarge(coarse: NDArray[np.floating], shape: tuple[int, ...]) -> Plane:
    """Return a coarse field interpolated smoothly to a picture's shape, as float32."""
    # Cubic to a third and linear from there looks the same and takes a fraction of the time.
    third = (max(shape[1] // 3, 1), max(shape[0] // 3, 1))
    smooth = cv2.resize(coarse.astype(np.float32), third, interpolation=cv2.INTER_CUBIC)
    return np.asarray(cv2.resize(smooth, (shape[1], shape[0]), interpolation=cv2.INTER_LINEAR))


def field(rng: np.random.Generator, cells: int, shape: tuple[int, ...]) -> Plane:
    """Return a smooth random field, mean about 0 and spread about 1, with `cells` bumps a side."""
    return enlarge(rng.standard_normal((cells, cells), np.float32), shape)


def soft_step(values: Plane, softness: float) -> Plane:
    """Return 1 where `values` is positive and 0 where negative, with a ramp of width `softness`."""
    return np.asarray(np.clip(values * np.float32(1 / softness) + np.float32(0.5), 0, 1))


def blend(picture: Plane, share: Plane, tone: Plane | float) -> None:
    """Move a picture towards a tone by a share (0-1), in place."""
    picture += share * (np.asarray(tone, np.float32) - picture)


def _clip(low: float, high: float, end: int) -> tuple[int, int]:
    first = min(max(int(low), 0), end - 1)
    return first, max(min(int(high) + 1, end), first + 1)

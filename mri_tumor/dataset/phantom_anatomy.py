"""The heads of phantoms: scalp, skull, brain, ventricles, skull base and vessels, by one random stream.

A head is a pure function of its generator, its frame and the slice's offset: the same generator gives the same
head, and another offset (-1 to 1) a neighbouring slice of it. Nothing here knows of tumours.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mri_tumor.dataset.phantom_canvas import Array, Brush, Frame, enlarge, oval, ripples

LEVELS = ("orbits", "sella", "ventricles", "vertex")
"""From the base of the skull upwards."""

_SIDES = (-1, 1)
_COARSE = 44  # bumps a side of the field whose zero lines are the sulci


@dataclass(frozen=True)
class Tones:
    """Grey values (0-255) of one head's tissues, before noise, bias field and windowing."""

    scalp: float
    skull: float
    marrow: float
    brain: float
    fluid: float
    muscle: float
    enhanced: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> "Tones":
        """Draw the contrast of one scan."""
        brain = rng.uniform(84, 112)
        return cls(
            scalp=rng.uniform(150, 240),
            skull=rng.uniform(6, 26),
            marrow=rng.uniform(30, 120),
            brain=brain,
            fluid=brain * rng.uniform(0.25, 0.5),
            muscle=brain * rng.uniform(0.6, 0.95),
            enhanced=brain * rng.uniform(1.6, 2.1),
        )


@dataclass(frozen=True)
class Head:
    """One painted slice.

    Args:
        image: float32 (H, W), 0-255, without blur, noise and bias field.
        brain: float32 (H, W), 1 in the brain and 0 elsewhere.
        inner: `(N, 2)` outline of the skull's inside in head coordinates.
        level: one of `LEVELS`.
        tones: the tissues' grey values.
        frame: where the head lies.
    """

    image: Array
    brain: Array
    inner: NDArray[np.float64]
    level: str
    tones: Tones
    frame: Frame


def paint_head(rng: np.random.Generator, level: str, frame: Frame, offset: float) -> Head:
    """Paint a head's slice at a level; `offset` (-1 to 1) moves to a neighbouring slice of the same head."""
    tones = Tones.draw(rng)
    grow = 1 + 0.02 * offset
    outer = _outline(rng, level) * grow
    scalp, skull = rng.uniform(0.04, 0.09), rng.uniform(0.04, 0.09)
    wobble = 1 + 0.25 * (ripples(rng, 0.3, 2, 5) - 1)[:, None]
    inner = outer * (1 - (scalp + skull) * wobble)
    brush = Brush(np.zeros(frame.shape, np.uint8), frame)
    matter = Brush(np.zeros(frame.shape, np.uint8), frame)
    brush.fill(outer, tones.scalp)
    brush.fill(outer * (1 - scalp * wobble), tones.skull)
    brush.line(_closed(outer * (1 - (scalp + 0.5 * skull) * wobble)), tones.marrow, 0.35 * skull)
    brush.fill(inner, tones.fluid)
    cortex = inner * (1 - rng.uniform(0.01, 0.045)) * (1 + 0.5 * (ripples(rng, 0.01, 8, 18) - 1))[:, None]
    brush.fill(cortex, tones.brain)
    matter.fill(cortex, 255)
    _paint_depth(rng, brush, matter, level, tones, offset)
    _paint_vessels(rng, brush, inner, level, tones)
    brain = matter.canvas.astype(np.float32) / 255
    image = brush.canvas.astype(np.float32) + _texture(rng, brain, tones, level, offset)
    return Head(image, brain, inner, level, tones, frame)


def _outline(rng: np.random.Generator, level: str) -> NDArray[np.float64]:
    base = level in ("orbits", "sella")
    width = rng.uniform(0.74, 0.88) * (0.94 if level == "vertex" else 1)
    egg = rng.uniform(0.06, 0.2) if base else rng.uniform(0.0, 0.14)
    points = oval(0, 0, width, 1, ripple=ripples(rng, 0.012, 2, 6))
    points[:, 0] *= 1 + egg * points[:, 1]
    nose = rng.uniform(0.06, 0.2) if level == "orbits" else 0.0
    front = np.exp(-((points[:, 0] / 0.12) ** 2)) * (points[:, 1] < 0)
    points[:, 1] -= nose * front
    return points


def _closed(points: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([points, points[:1]])


def _paint_depth(
    rng: np.random.Generator, brush: Brush, matter: Brush, level: str, tones: Tones, offset: float
) -> None:
    if level in ("orbits", "sella"):
        _paint_base(rng, brush, matter, tones)
        if level == "orbits":
            _paint_face(rng, brush, matter, tones)
        else:
            _paint_falx(rng, brush, tones, -0.9, -0.35)
        _paint_sella(rng, brush, matter, tones)
    else:
        _paint_falx(rng, brush, tones, -0.92, 0.92 if level == "vertex" else -0.42)
        if level == "ventricles":
            _paint_falx(rng, brush, tones, 0.5, 0.9)
            _paint_ventricles(rng, brush, matter, tones, offset)


def _paint_falx(rng: np.random.Generator, brush: Brush, tones: Tones, start: float, end: float) -> None:
    along = np.linspace(start, end, 12)
    across = 0.012 * np.sin(along * rng.uniform(2, 5) + rng.uniform(0, 6))
    line = np.stack([across, along], axis=1)
    brush.line(line, tones.fluid, rng.uniform(0.02, 0.05))
    brush.line(line, tones.brain * rng.uniform(1.0, 1.7), 0.012)


def _paint_ventricles(
    rng: np.random.Generator, brush: Brush, matter: Brush, tones: Tones, offset: float
) -> None:
    large = rng.uniform(0.6, 1.7) * (1 + 0.2 * offset)
    shift, choroid = rng.normal(0, 0.015), rng.uniform(0.2, 1.0)
    for side in _SIDES:
        own = large * rng.uniform(0.75, 1.3)
        tilt = side * rng.uniform(0.2, 0.5)
        front = (shift + side * 0.1, -0.28)
        back = (shift + side * rng.uniform(0.24, 0.32), rng.uniform(0.28, 0.38))
        horns = [
            oval(*front, 0.045 * own, 0.17, turn=tilt, ripple=ripples(rng, 0.06)),
            oval(shift + side * 0.11, -0.05, 0.03 * own, 0.16, turn=-tilt * 0.4),
            oval(*back, 0.05 * own, 0.15, turn=-tilt, ripple=ripples(rng, 0.06)),
        ]
        for horn in horns[: 3 if rng.random() < 0.85 else 2]:
            brush.fill(horn, tones.fluid)
            matter.fill(horn, 0)
        if rng.random() < choroid:
            size = rng.uniform(0.02, 0.05)
            plexus = oval(back[0], back[1] - 0.04, size, 1.6 * size, turn=-tilt, ripple=ripples(rng, 0.15))
            brush.fill(plexus, tones.enhanced * rng.uniform(0.7, 1.05))
    third = oval(shift, 0.06, 0.012 + 0.014 * large * rng.random(), 0.1)
    brush.fill(third, tones.fluid)
    matter.fill(third, 0)


def _paint_base(rng: np.random.Generator, brush: Brush, matter: Brush, tones: Tones) -> None:
    for side in _SIDES:
        near, far = side * rng.uniform(0.18, 0.26), side * rng.uniform(0.68, 0.8)
        back, front = rng.uniform(0.2, 0.34), rng.uniform(0.05, 0.16)
        ridge = np.array([(far, back + 0.1), (near, front), (near, front + 0.07), (far, back + 0.2)])
        brush.fill(ridge, tones.fluid)
        matter.fill(ridge, 0)
        if rng.random() < 0.6:
            cells = oval(side * 0.55, back + 0.06, 0.09, 0.06, turn=side * 0.4, ripple=ripples(rng, 0.12))
            brush.fill(cells, tones.skull)
        sinus = oval(side * rng.uniform(0.56, 0.64), back + 0.22, 0.035, 0.09, turn=side * 0.6)
        if rng.random() < 0.7:
            brush.fill(sinus, tones.enhanced * rng.uniform(0.75, 1.0))
    size = rng.uniform(0.13, 0.18)
    cistern = oval(0, 0.2, size * 1.25, size * 1.2, ripple=ripples(rng, 0.05))
    brush.fill(cistern, tones.fluid)
    matter.fill(cistern, 0)
    stem = oval(0, 0.22, size, size * 0.95, ripple=ripples(rng, 0.04))
    brush.fill(stem, tones.brain * rng.uniform(0.95, 1.1))
    fourth = oval(0, 0.22 + size * 1.15, size * rng.uniform(0.25, 0.5), size * rng.uniform(0.2, 0.4))
    brush.fill(fourth, tones.fluid)
    matter.fill(fourth, 0)


def _paint_face(rng: np.random.Generator, brush: Brush, matter: Brush, tones: Tones) -> None:
    reach, size = rng.uniform(0.33, 0.38), rng.uniform(0.13, 0.165)
    eyes = rng.uniform(-0.66, -0.56)
    face = oval(0, -0.62, 0.9, 0.46)
    face = face[face[:, 1] < -0.1]
    inside = np.clip(face[:, 0], -0.62, 0.62)
    face = np.stack([inside, np.maximum(face[:, 1], -0.86)], axis=1)
    brush.fill(face, tones.muscle)
    matter.fill(np.concatenate([face, [(0.9, -1.2), (-0.9, -1.2)]]), 0)
    for side in _SIDES:
        x = side * reach
        cone = np.array([(x - 0.2, eyes), (x + 0.2, eyes), (side * 0.13, -0.18)])
        brush.fill(cone, tones.scalp * rng.uniform(0.65, 0.9))
        brush.fill(oval(x, eyes, size * 1.12, size * 1.1), tones.enhanced * 0.9)
        brush.fill(oval(x, eyes, size, size * 0.98), tones.fluid)
        brush.fill(oval(x, eyes - 0.72 * size, size * 0.4, size * 0.14), tones.muscle)
        nerve = np.array([(x, eyes + size), (side * 0.24, -0.32), (side * 0.11, -0.16)])
        brush.line(nerve, tones.muscle, 0.035)
    half = rng.uniform(0.1, 0.15)
    brush.fill(oval(0, -0.56, half, 0.36), tones.skull)
    for x in np.linspace(-half * 0.7, half * 0.7, int(rng.integers(3, 6))):
        wall = np.stack([x + rng.normal(0, 0.012, 6), np.linspace(-0.84, -0.26, 6)], axis=1)
        brush.line(wall, tones.enhanced * rng.uniform(0.5, 0.9), 0.02)


def _paint_sella(rng: np.random.Generator, brush: Brush, matter: Brush, tones: Tones) -> None:
    width, y = rng.uniform(0.1, 0.16), rng.uniform(-0.14, -0.06)
    bone = oval(0, y, width * 1.5, width * 1.1, ripple=ripples(rng, 0.06))
    brush.fill(bone, tones.fluid * rng.uniform(0.6, 1.3))
    matter.fill(bone, 0)
    brush.fill(oval(0, y - 0.12, width, 0.08, ripple=ripples(rng, 0.05)), tones.skull)
    if rng.random() < 0.6:
        gland = rng.uniform(0.025, 0.05)
        brush.fill(oval(0, y + 0.01, 1.4 * gland, gland), tones.brain * rng.uniform(0.9, 1.5))
    for side in _SIDES:
        carotid = oval(side * width * rng.uniform(0.9, 1.2), y + rng.uniform(-0.02, 0.03), 0.028, 0.028)
        brush.fill(carotid, tones.enhanced * rng.uniform(0.8, 1.1) if rng.random() < 0.7 else tones.skull)


def _paint_vessels(
    rng: np.random.Generator, brush: Brush, inner: NDArray[np.float64], level: str, tones: Tones
) -> None:
    back = inner[np.argmax(inner[:, 1])]
    size = rng.uniform(0.025, 0.05)
    sinus = np.array([(back[0] - size, back[1]), (back[0] + size, back[1]), (back[0], back[1] - 2 * size)])
    brush.fill(sinus, tones.enhanced * rng.uniform(0.8, 1.1))
    lowest = 0.0 if level == "orbits" else -1.0
    for _ in range(int(rng.integers(3, 11))):
        x, y = inner[rng.integers(len(inner))] * rng.uniform(0.5, 0.97)
        steps = np.cumsum(rng.normal(0, 0.035, (int(rng.integers(2, 6)), 2)), axis=0)
        tone = tones.enhanced * rng.uniform(0.7, 1.1)
        if y > lowest:
            brush.line(np.array([x, y]) + steps, tone, rng.uniform(0.008, 0.022))
    for _ in range(int(rng.integers(0, 4))):  # calcified or haemorrhagic spots
        x, y = inner[rng.integers(len(inner))] * rng.uniform(0.2, 0.8)
        spot, tone = rng.uniform(0.012, 0.03), tones.skull if rng.random() < 0.6 else tones.enhanced
        if y > lowest:
            brush.fill(oval(x, y, spot, spot * rng.uniform(0.7, 1.5)), tone)


def _texture(rng: np.random.Generator, brain: Array, tones: Tones, level: str, offset: float) -> Array:
    shape = brain.shape
    here, there = rng.standard_normal((2, _COARSE, _COARSE), np.float32)
    turn = np.float32(0.5 * offset)
    folds = enlarge(np.cos(turn) * here + np.sin(turn) * there, (shape[0], shape[1]))
    reach = max(3, round(shape[0] * rng.uniform(0.1, 0.2))) | 1
    depth = cv2.blur(brain, (reach, reach))
    near = np.clip((1.02 - depth) * np.float32(2.2), 0, 1) * brain
    narrow = np.float32(rng.uniform(0.1, 0.3))
    sulci = np.exp(-np.square(folds / narrow)) * near
    grey_white = np.clip(depth * 2 - 1.2, -0.5, 0.8) * brain
    dark = np.float32((tones.brain - tones.fluid) * rng.uniform(0.3, 1.0))
    pale = np.float32(tones.brain * rng.uniform(0.02, 0.16))
    mottle = enlarge(rng.standard_normal((12, 12), np.float32), (shape[0], shape[1])) * brain
    return np.asarray(pale * grey_white - dark * sulci + np.float32(rng.uniform(1, 5)) * mottle, np.float32)

"""The heads of phantoms: scalp, skull, brain, ventricles and vessels, drawn by one random stream.

A head is a pure function of its generator, its frame and the slice's offset: the same generator gives the
same head, and another offset (-1 to 1) a neighbouring slice of it. Nothing here knows of tumours.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from mri_tumor.dataset.phantom.base import paint_base, paint_face, paint_sella
from mri_tumor.dataset.phantom.canvas import Brush, Frame, Plane, Points, enlarge, field, oval, ripples
from mri_tumor.dataset.phantom.tones import Tones

LEVELS = ("orbits", "sella", "ventricles", "vertex")
"""From the base of the skull upwards."""

BASE = frozenset({"orbits", "sella"})
"""The levels at the base of the skull."""

_FOLDS = 30  # bumps a side of the field whose zero lines are the sulci


@dataclass(frozen=True)
class Head:
    """One painted slice.

    Args:
        image: float32 (H, W), 0-255, without blur, noise and bias field.
        brain: float32 (H, W), 1 in the brain and 0 elsewhere.
        cavity: bool (H, W), true inside the skull.
        inner: outline of the skull's inside, 72 points from the front clockwise.
        level: one of `LEVELS`.
        tones: the tissues' grey values.
        frame: where the head lies.
    """

    image: Plane
    brain: Plane
    cavity: NDArray[np.bool_]
    inner: Points
    level: str
    tones: Tones
    frame: Frame


def paint_head(rng: np.random.Generator, level: str, frame: Frame, offset: float) -> Head:
    """Paint a head's slice at a level; `offset` (-1 to 1) moves to a neighbouring slice of the same head."""
    tones = Tones.draw(rng)
    outer = _outline(rng, level) * (1 + 0.02 * offset)
    brush = Brush(frame)
    inner = _paint_shell(rng, brush, outer, tones)
    shell = brush.picture.copy()
    brush.fill(inner, tones.fluid, brain=True)
    outside = brush.brain < 128
    brush.brain[:] = 0
    cortex = inner * (1 - rng.uniform(0.01, 0.045)) * ripples(rng, 0.05, 8, 18)[:, None]
    brush.fill(cortex, tones.brain, brain=True)
    if level in BASE:
        paint_base(rng, brush, tones)
        if level == "sella":
            _paint_falx(rng, brush, tones, -0.92, rng.uniform(-0.45, -0.3))
    else:
        _paint_upper(rng, brush, tones, level, offset)
    _paint_vessels(rng, brush, inner, tones)
    np.copyto(brush.picture, shell, where=outside)
    np.copyto(brush.brain, np.uint8(0), where=outside)
    if level == "orbits":
        paint_face(rng, brush, outer, tones)
    if level in BASE:
        paint_sella(rng, brush, tones)
    brain = brush.brain * np.float32(1 / 255)
    image = brush.picture + _texture(rng, brain, tones, offset)
    return Head(image, brain, ~outside, inner, level, tones, frame)


def _outline(rng: np.random.Generator, level: str) -> Points:
    width = rng.uniform(0.72, 0.88) * (0.95 if level == "vertex" else 1)
    egg = rng.uniform(0.08, 0.2) if level in BASE else rng.uniform(0.0, 0.14)
    points = oval(0, 0, width, 1, shape=ripples(rng, 0.03, 2, 6))
    points[:, 0] *= 1 + egg * points[:, 1]
    nose = rng.uniform(0.06, 0.2) if level == "orbits" else 0.0
    front = np.exp(-((points[:, 0] / rng.uniform(0.1, 0.16)) ** 2)) * (points[:, 1] < 0)
    points[:, 1] -= nose * front
    return points


def _paint_shell(rng: np.random.Generator, brush: Brush, outer: Points, tones: Tones) -> Points:
    """Paint scalp and skull; return the outline of the skull's inside."""
    scalp = rng.uniform(0.03, 0.12) * ripples(rng, 0.4, 2, 5)[:, None]
    skull = rng.uniform(0.035, 0.085) * ripples(rng, 0.4, 2, 6)[:, None]
    inner = outer * (1 - scalp - skull)
    brush.fill(outer, tones.scalp)
    brush.fill(outer * (1 - scalp), tones.skull)
    brush.line(outer * (1 - scalp - 0.5 * skull), tones.marrow, 0.35 * float(skull.mean()), closed=True)
    brush.line(inner, tones.brain * rng.uniform(0.5, 1.5), 0.008, closed=True)
    return inner


def _paint_upper(rng: np.random.Generator, brush: Brush, tones: Tones, level: str, offset: float) -> None:
    if level == "vertex":
        _paint_falx(rng, brush, tones, -0.92, 0.92)
        return
    _paint_falx(rng, brush, tones, -0.92, rng.uniform(-0.5, -0.4))
    _paint_falx(rng, brush, tones, rng.uniform(0.42, 0.55), 0.9)
    for side in (-1, 1):
        fissure = np.array([(0.74, -0.12), (0.6, -0.08), (0.5, -0.14), (0.46, -0.02), (0.48, 0.12)])
        fissure = fissure * (side, 1) + rng.normal(0, 0.02, 2)
        brush.line(fissure, tones.fluid, rng.uniform(0.01, 0.035))
    _paint_ventricles(rng, brush, tones, offset)


def _paint_falx(rng: np.random.Generator, brush: Brush, tones: Tones, start: float, end: float) -> None:
    along = np.linspace(start, end, 12)
    across = 0.012 * np.sin(along * rng.uniform(2, 5) + rng.uniform(0, 6))
    line = np.stack([across, along], axis=1)
    brush.line(line, tones.fluid, rng.uniform(0.012, 0.045))
    brush.line(line, tones.brain * rng.uniform(0.9, 1.6), 0.01)


def _paint_ventricles(rng: np.random.Generator, brush: Brush, tones: Tones, offset: float) -> None:
    large = rng.uniform(0.6, 1.7) * (1 + 0.2 * offset)
    shift, choroid = rng.normal(0, 0.015), rng.uniform(0.2, 1.0)
    for side in (-1, 1):
        own, tilt = large * rng.uniform(0.7, 1.35), side * rng.uniform(0.2, 0.5)
        x, y = shift + side * rng.uniform(0.24, 0.32), rng.uniform(0.28, 0.38)
        horns = [
            oval(shift + side * 0.1, -0.28, 0.05 * own, 0.16, tilt, ripples(rng, 0.2)),
            oval(shift + side * 0.1, -0.08, 0.03 * own, 0.16, -0.4 * tilt, ripples(rng, 0.2)),
            oval(x, y, 0.055 * own, 0.15, -tilt, ripples(rng, 0.2)),
        ]
        for horn in horns[: 3 if rng.random() < 0.85 else 2]:
            brush.fill(horn, tones.fluid, brain=False)
        size, bright = rng.uniform(0.02, 0.05), tones.enhanced * rng.uniform(0.7, 1.05)
        if rng.random() < choroid:
            brush.fill(oval(x, y - 0.04, size, 1.6 * size, -tilt, ripples(rng, 0.4)), bright)
    third = oval(shift, 0.06, 0.012 + 0.014 * large * rng.random(), 0.1)
    brush.fill(third, tones.fluid, brain=False)


def _paint_vessels(rng: np.random.Generator, brush: Brush, inner: Points, tones: Tones) -> None:
    x, y = inner[np.argmax(inner[:, 1])]
    size = rng.uniform(0.02, 0.05)
    sinus = np.array([(x - size, y), (x + size, y), (x, y - 2 * size)])
    brush.fill(sinus, tones.enhanced * rng.uniform(0.8, 1.1))
    for _ in range(int(rng.integers(1, 7))):
        start = inner[rng.integers(len(inner))] * rng.uniform(0.55, 0.97)
        turns = rng.uniform(0, 2 * np.pi) + np.cumsum(rng.normal(0, 0.5, int(rng.integers(2, 7))))
        steps = 0.03 * np.cumsum(np.stack([np.cos(turns), np.sin(turns)], axis=1), axis=0)
        width, tone = rng.uniform(0.006, 0.018), tones.uptake(rng.uniform(0.1, 0.8))
        brush.line(start + steps, tone, width)
    for _ in range(int(rng.integers(0, 4))):  # calcified, haemorrhagic or vessels cut across
        x, y = inner[rng.integers(len(inner))] * rng.uniform(0.2, 0.9)
        spot, tone = rng.uniform(0.01, 0.03), tones.skull if rng.random() < 0.4 else tones.enhanced
        brush.fill(oval(x, y, spot, spot * rng.uniform(0.7, 1.5)), tone)


def _texture(rng: np.random.Generator, brain: Plane, tones: Tones, offset: float) -> Plane:
    """Return what folds, white matter and mottling add to the painted brain."""
    here, there = rng.standard_normal((2, _FOLDS, _FOLDS), np.float32)
    turn = 0.5 * offset
    folds = enlarge(np.cos(turn) * here + np.sin(turn) * there, brain.shape)
    coarse = cv2.resize(brain, (64, 64), interpolation=cv2.INTER_AREA)
    reach = round(64 * rng.uniform(0.1, 0.25)) | 1
    depth = cv2.blur(coarse, (reach, reach))
    near = np.clip(2.3 - 2.2 * depth, 0, 1) * (tones.brain - tones.fluid) * rng.uniform(0.25, 0.9)
    pale = tones.brain * rng.uniform(0.02, 0.16) * (1.5 * depth - 1)
    mottle = rng.uniform(1, 5) * field(rng, 12, depth.shape)
    np.abs(folds, out=folds)
    folds *= np.float32(-1 / rng.uniform(0.15, 0.45))
    folds += 1
    sulci = np.maximum(folds, 0, out=folds)
    sulci *= _upscale(near, brain.shape)
    added = _upscale(pale + mottle, brain.shape)
    added -= sulci
    added *= brain
    return added


def _upscale(coarse: Plane, shape: tuple[int, ...]) -> Plane:
    size = (shape[1], shape[0])
    return np.asarray(cv2.resize(coarse.astype(np.float32), size, interpolation=cv2.INTER_LINEAR))

"""The base of the skull in phantoms: posterior fossa, orbits, nose, sella. See `anatomy`."""

import numpy as np

from mri_tumor.dataset.phantom.canvas import Brush, Points, oval, ripples
from mri_tumor.dataset.phantom.tones import Tones

_SIDES = (-1, 1)
_NOSE = np.linspace(-0.84, -0.26, 6)


def paint_base(rng: np.random.Generator, brush: Brush, tones: Tones) -> None:
    """Paint cerebellum, petrous bones, brain stem and the cisterns between the temporal lobes."""
    _cerebellum(rng, brush, tones)
    back, front = rng.uniform(0.14, 0.3), rng.uniform(0.03, 0.13)
    for side in _SIDES:
        _petrous_bone(rng, brush, tones, side, back + rng.normal(0, 0.02), front)
        fissure = np.array([(0.16, -0.1), (0.34, -0.2), (0.5, -0.2), (0.68, -0.26)]) * (side, 1)
        brush.line(fissure + rng.normal(0, 0.02, (4, 2)), tones.fluid, rng.uniform(0.008, 0.04))
    size = rng.uniform(0.12, 0.17)
    cistern = oval(0, 0.18, size * rng.uniform(1.15, 1.5), size * 1.25, shape=ripples(rng, 0.3))
    stem = oval(0, 0.22, size, size * rng.uniform(0.8, 1.0), shape=ripples(rng, 0.12))
    fourth = oval(0, 0.22 + size * 1.15, size * rng.uniform(0.2, 0.5), size * rng.uniform(0.2, 0.4))
    brush.fill(cistern, tones.fluid, brain=False)
    brush.fill(stem, tones.brain * rng.uniform(0.95, 1.1), brain=True)
    brush.fill(fourth, tones.fluid, brain=False)


def _cerebellum(rng: np.random.Generator, brush: Brush, tones: Tones) -> None:
    height, depth = rng.uniform(0.34, 0.42), rng.uniform(0.5, 1.0)
    tone = tones.brain + (tones.fluid - tones.brain) * 0.5 * depth
    for ring in np.linspace(0.35, 0.95, int(rng.integers(3, 6))):
        folium = oval(0, 0.56, 0.56 * ring, height * ring, shape=ripples(rng, 0.08))
        brush.line(folium[8:65:2], tone, 0.008)


def _petrous_bone(
    rng: np.random.Generator, brush: Brush, tones: Tones, side: int, back: float, front: float
) -> None:
    wide = rng.uniform(0.1, 0.2)
    ridge = [
        (0.9, back - 0.3 * wide),
        (0.5, 0.5 * (back + front) - 0.3 * wide),
        (rng.uniform(0.17, 0.3), front),
    ]
    ridge += [(0.5, 0.5 * (back + front) + 0.4 * wide), (0.9, back + wide)]
    points = np.array(ridge) * (side, 1) + rng.normal(0, 0.012, (5, 2))
    tone = tones.skull + (tones.fluid - tones.skull) * rng.uniform(0, 1.2)
    brush.fill(points, tone, brain=False)
    for _ in range(int(rng.integers(0, 4))):  # air cells and marrow
        x, y = side * rng.uniform(0.4, 0.75), back + rng.uniform(-0.02, 0.5 * wide)
        cell = oval(x, y, rng.uniform(0.02, 0.07), rng.uniform(0.015, 0.04), side * 0.4, ripples(rng, 0.4))
        brush.fill(cell, tones.skull if rng.random() < 0.6 else tones.marrow)
    sinus = oval(side * rng.uniform(0.56, 0.66), back + 0.22, 0.03, 0.09, side * 0.6, ripples(rng, 0.3))
    bright = tones.uptake(rng.uniform(0.3, 0.9))
    if rng.random() < 0.7:
        brush.fill(sinus, bright)


def paint_face(rng: np.random.Generator, brush: Brush, outer: Points, tones: Tones) -> None:
    """Paint the front of a slice through the eyes: soft tissue, orbits and nose instead of brain."""
    border = rng.uniform(-0.24, -0.16)
    front = outer[outer[:, 1] < border - 0.04]
    arch = np.array(
        [(0.3, border - 0.08), (0.12, border + 0.04), (-0.12, border + 0.04), (-0.3, border - 0.08)]
    )
    order = np.argsort(np.arctan2(front[:, 0], -front[:, 1]))
    face = np.concatenate([front[order] * 0.93, arch])
    brush.fill(face, tones.muscle)
    brush.fill(np.concatenate([front[order] * 1.1, arch]), None, brain=False)
    reach, size, eyes = rng.uniform(0.32, 0.38), rng.uniform(0.12, 0.155), rng.uniform(-0.66, -0.56)
    fat = tones.scalp * rng.uniform(0.6, 0.9)
    for side in _SIDES:
        _orbit(rng, brush, tones, side, side * reach, eyes + rng.normal(0, 0.01), size, fat)
    _nose(rng, brush, tones)


def _orbit(
    rng: np.random.Generator,
    brush: Brush,
    tones: Tones,
    side: int,
    x: float,
    y: float,
    size: float,
    fat: float,
) -> None:
    brush.fill(np.array([(x - 1.3 * size, y), (x + 1.3 * size, y), (side * 0.13, -0.18)]), fat)
    brush.fill(oval(x, y, size * 1.35, size * 1.2, shape=ripples(rng, 0.1)), fat)
    muscles = [(x - side * 0.9 * size, y + 0.6 * size), (side * 0.15, -0.2)]
    brush.line(np.array(muscles), tones.muscle, 0.03)
    brush.line(np.array([(x + side * size, y + 0.6 * size), (side * 0.17, -0.2)]), tones.muscle, 0.03)
    brush.line(np.array([(x, y + size), (side * 0.24, -0.32), (side * 0.11, -0.16)]), tones.muscle, 0.035)
    brush.fill(oval(x, y, size * 1.1, size * 1.08), tones.uptake(0.4))
    brush.fill(oval(x, y, size, size * 0.98), tones.fluid)
    brush.fill(oval(x, y - 0.72 * size, size * 0.4, size * 0.14), tones.muscle)


def _nose(rng: np.random.Generator, brush: Brush, tones: Tones) -> None:
    half = rng.uniform(0.09, 0.15)
    brush.fill(oval(0, -0.56, half, 0.36, shape=ripples(rng, 0.1)), tones.skull)
    for x in np.linspace(-half * 0.8, half * 0.8, int(rng.integers(3, 7))):
        wall = np.stack([x + rng.normal(0, 0.014, 6), _NOSE], axis=1)
        brush.line(wall, tones.enhanced * rng.uniform(0.45, 0.9), rng.uniform(0.01, 0.03))


def paint_sella(rng: np.random.Generator, brush: Brush, tones: Tones) -> None:
    """Paint what lies in the midline in front of the brain stem: sphenoid sinus, gland, carotids."""
    width, y = rng.uniform(0.1, 0.16), rng.uniform(-0.14, -0.06)
    bed = oval(0, y, width * rng.uniform(1.2, 1.7), width * rng.uniform(0.8, 1.3), shape=ripples(rng, 0.3))
    brush.fill(bed, tones.fluid * rng.uniform(0.6, 1.5), brain=False)
    brush.fill(oval(0, y - 0.12, width, 0.08, shape=ripples(rng, 0.25)), tones.skull)
    gland = rng.uniform(0.025, 0.06)
    if rng.random() < 0.6:
        brush.fill(oval(0, y + 0.01, 1.4 * gland, gland), tones.uptake(rng.uniform(-0.1, 0.6)))
    for side in _SIDES:
        x, tone = side * width * rng.uniform(0.9, 1.2), tones.enhanced * rng.uniform(0.8, 1.1)
        carotid = oval(x, y + rng.uniform(-0.02, 0.03), 0.028, rng.uniform(0.022, 0.045))
        brush.fill(carotid, tone if rng.random() < 0.7 else tones.skull)

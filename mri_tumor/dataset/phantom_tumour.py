"""The tumours of phantoms, painted into a head by one random stream."""

import cv2
import numpy as np

from mri_tumor.dataset.phantom_anatomy import Head
from mri_tumor.dataset.phantom_canvas import Array, at_angle, enlarge, ripples, soft_step


def paint_tumour(rng: np.random.Generator, label: str, head: Head, offset: float) -> None:
    """Paint the tumour of a class into a head, in place.

    Args:
        rng: where, how large and how it looks; the same generator gives the same tumour.
        label: `"glioma"`, `"meningioma"` or `"pituitary"`; `"none"` changes nothing.
        head: the slice, as painted without a tumour.
        offset: position of the slice through the tumour, -1 to 1; 0 shows it at its largest.
    """
    shrink = float(np.sqrt(1 - 0.55 * offset**2))
    if label == "glioma":
        _glioma(rng, head, shrink)
    elif label == "meningioma":
        _meningioma(rng, head, shrink)
    elif label == "pituitary":
        _pituitary(rng, head, shrink)


def _glioma(rng: np.random.Generator, head: Head, shrink: float) -> None:
    base = head.level in ("orbits", "sella")
    turn = rng.uniform(0.9, 2.6) if base else rng.uniform(0.25, 2.9)
    if rng.random() < 0.5:
        turn = -turn
    far = rng.uniform(0.4, 0.62)
    centre = (float(np.sin(turn) * far * 0.9), float(-np.cos(turn) * far * 1.1))
    radius = rng.uniform(0.13, 0.27) * shrink
    _push(head, centre, radius, rng.uniform(0.1, 0.5))
    window, dx, dy = head.frame.window(centre, 3.2 * radius)
    waves, swollen = ripples(rng, 0.22, 2, 9), ripples(rng, 0.3, 2, 7)
    grain = _grain(rng, dx, 9) * np.float32(0.13)
    away = np.sqrt(dx * dx + dy * dy) / np.float32(radius)
    inside = away / at_angle(waves, dx, dy) + grain
    oedema = away / at_angle(swollen, dx, dy) / np.float32(rng.uniform(1.3, 2.2)) + 2 * grain
    brain = head.brain[window]
    tones, picture = head.tones, head.image[window]
    dark = np.float32(tones.brain * rng.uniform(0.15, 0.35))
    picture -= dark * soft_step(1 - oedema, 0.5) * brain
    core = tones.fluid * rng.uniform(0.9, 1.3) if rng.random() < 0.8 else tones.brain * rng.uniform(0.7, 1.1)
    patchy = np.float32(tones.brain * rng.uniform(0.05, 0.25)) * _grain(rng, dx, 14)
    _blend(picture, soft_step(0.9 - inside, 0.25) * brain, np.float32(core) + patchy)
    width = np.float32(rng.uniform(0.1, 0.26))
    rim = np.exp(-np.square((inside - np.float32(0.9)) / width))
    uneven = np.clip(
        0.75 + 0.6 * at_angle(ripples(rng, 0.7, 1, 4) - 1, dx, dy) + 0.25 * _grain(rng, dx, 8), 0, 1
    )
    shine = np.float32(tones.brain + (tones.enhanced - tones.brain) * rng.uniform(0.55, 1.1))
    _blend(picture, rim * uneven * np.clip(brain, 0, 1), shine)


def _meningioma(rng: np.random.Generator, head: Head, shrink: float) -> None:
    radius = rng.uniform(0.12, 0.25) * shrink
    depth = rng.uniform(0.55, 0.95)  # how far its middle lies inside the wall, in radii
    base = head.level in ("orbits", "sella")
    falx = head.level == "vertex" and rng.random() < 0.4
    places = len(head.inner)
    low, high = (0.22, 0.46) if base else (0.04, 0.46)
    index = round(rng.uniform(low, high) * places) * (1 if rng.random() < 0.5 else -1)
    wall = head.inner[index % places]
    inward = -wall / float(np.hypot(*wall))
    middle = wall + inward * radius * depth
    if falx:
        middle = np.array([np.sign(index) * radius * depth, rng.uniform(-0.6, 0.6)])
    centre = (float(middle[0]), float(middle[1]))
    _push(head, centre, radius, rng.uniform(0.3, 0.7))
    tones = head.tones
    shine = tones.brain + (tones.enhanced - tones.brain) * rng.uniform(0.65, 1.15)
    texture = rng.uniform(0.01, 0.06)
    tail = not falx and rng.random() < 0.5
    if tail:
        _dural_tail(rng, head, index, shine)
    _smooth_mass(rng, head, centre, radius, shine, texture, rough=0.05)


def _pituitary(rng: np.random.Generator, head: Head, shrink: float) -> None:
    centre = (float(rng.normal(0, 0.015)), float(rng.uniform(-0.14, -0.02)))
    radius = rng.uniform(0.085, 0.17) * shrink
    tones = head.tones
    shine = tones.brain + (tones.enhanced - tones.brain) * rng.uniform(0.45, 1.05)
    _smooth_mass(rng, head, centre, radius, shine, rng.uniform(0.02, 0.1), rough=0.05, anywhere=True)


def _smooth_mass(
    rng: np.random.Generator,
    head: Head,
    centre: tuple[float, float],
    radius: float,
    shine: float,
    texture: float,
    *,
    rough: float,
    anywhere: bool = False,
) -> None:
    window, dx, dy = head.frame.window(centre, 1.8 * radius)
    inside = np.sqrt(dx * dx + dy * dy) / np.float32(radius) / at_angle(ripples(rng, rough, 2, 5), dx, dy)
    tone = np.float32(shine) * (1 + np.float32(texture) * _grain(rng, dx, 7))
    within = np.float32(1.0) if anywhere else head.brain[window]
    picture = head.image[window]
    cleft = np.float32(rng.uniform(0, 0.35) * head.tones.brain)
    picture -= cleft * np.exp(-np.square((inside - np.float32(1.12)) / np.float32(0.1))) * within
    _blend(picture, soft_step(1 - inside, 0.12) * within, tone)


def _dural_tail(rng: np.random.Generator, head: Head, index: int, shine: float) -> None:
    from mri_tumor.dataset.phantom_canvas import Brush

    brush = Brush(np.zeros(head.frame.shape, np.uint8), head.frame)
    reach = rng.integers(5, 11, 2)
    steps = np.arange(index - reach[0], index + reach[1] + 1) % len(head.inner)
    brush.line(head.inner[steps] * 0.985, 255, rng.uniform(0.015, 0.03))
    _blend(head.image, brush.canvas.astype(np.float32) / 255, np.float32(shine))


def _push(head: Head, centre: tuple[float, float], radius: float, strength: float) -> None:
    """Displace the brain away from a mass; the skull stays."""
    window, dx, dy = head.frame.window(centre, 3 * radius)
    away = (dx * dx + dy * dy) / np.float32(radius**2)
    pull = np.float32(strength) * np.exp(-away / np.float32(2.5)) * head.brain[window]
    rows, columns = np.indices(dx.shape, dtype=np.float32)
    column, row = head.frame.pixels(np.array([centre]))[0]
    across = columns + (np.float32(column - window[1].start) - columns) * pull
    along = rows + (np.float32(row - window[0].start) - rows) * pull
    for plane in (head.image, head.brain):
        plane[window] = cv2.remap(
            plane[window], across, along, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )


def _blend(picture: Array, share: Array, tone: Array | np.float32) -> None:
    picture += share * (tone - picture)


def _grain(rng: np.random.Generator, like: Array, cells: int) -> Array:
    return enlarge(rng.standard_normal((cells, cells), np.float32), (like.shape[0], like.shape[1]))

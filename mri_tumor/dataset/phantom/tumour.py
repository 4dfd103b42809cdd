"""The tumours of phantoms, painted into a head by one random stream."""

import cv2
import numpy as np

from mri_tumor.dataset.phantom.anatomy import BASE, Head
from mri_tumor.dataset.phantom.canvas import Brush, Plane, at_angle, blend, field, ripples, soft_step


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
    """Irregular, inside the brain: dark core, uneven bright rim, swelling around it."""
    if head.level in BASE:  # in a temporal lobe or in the cerebellum
        turn, far = (rng.uniform(1.35, 1.75), 0.48) if rng.random() < 0.5 else (rng.uniform(2.4, 2.9), 0.52)
    else:
        turn, far = rng.uniform(0.25, 2.9), rng.uniform(0.38, 0.58)
    centre = (_side(rng) * float(np.sin(turn)) * far * 0.9, -float(np.cos(turn)) * far * 1.1)
    radius = rng.uniform(0.16, 0.27) * shrink
    _push(head, centre, radius, rng.uniform(0.1, 0.5))
    _swelling(rng, head, centre, radius * rng.uniform(1.3, 2.0))
    window, dx, dy = head.frame.window(centre, 1.9 * radius)
    picture, brain, tones = head.image[window], head.brain[window], head.tones
    inside = _lobes(rng, dx, dy, radius) + np.float32(0.1) * field(rng, 10, dx.shape)
    solid = rng.random() < 0.15
    core = tones.brain * rng.uniform(0.7, 1.0) if solid else tones.fluid * rng.uniform(0.7, 1.1)
    patches = np.float32(tones.brain * rng.uniform(0.05, 0.25)) * field(rng, 8, dx.shape)
    blend(picture, soft_step(0.9 - inside, 0.25) * brain, core + patches)
    rim = np.exp(-np.square((inside - np.float32(0.88)) * np.float32(1 / rng.uniform(0.12, 0.24))))
    uneven = at_angle(0.35 + ripples(rng, 0.5, 1, 4), dx, dy) + np.float32(0.25) * field(rng, 5, dx.shape)
    shine = tones.uptake(rng.uniform(0.75, 1.15))
    blend(picture, rim * np.clip(uneven, 0, 1) * brain, shine)


def _swelling(rng: np.random.Generator, head: Head, centre: tuple[float, float], radius: float) -> None:
    window, dx, dy = head.frame.window(centre, 1.6 * radius)
    away = cv2.magnitude(dx, dy) * np.float32(1 / radius) / at_angle(ripples(rng, 0.4, 2, 6), dx, dy)
    away += np.float32(0.2) * field(rng, 7, dx.shape)
    share = np.float32(rng.uniform(0.2, 0.6)) * soft_step(1 - away, 0.5)
    blend(head.image[window], share * head.brain[window], head.tones.fluid)


def _lobes(rng: np.random.Generator, dx: Plane, dy: Plane, radius: float) -> Plane:
    """Return a distance that is about 1 on the border of one to three joined, irregular lumps."""
    nearest = np.full(dx.shape, np.float32(np.inf), np.float32)
    for number in range(int(rng.integers(1, 4))):
        x, y = rng.normal(0, 0.5 * radius, 2) * (number > 0)
        size = radius * (rng.uniform(0.45, 0.8) if number else 1.0)
        across, along = dx - np.float32(x), dy - np.float32(y)
        away = cv2.magnitude(across, along) * np.float32(1 / size)
        nearest = np.minimum(nearest, away / at_angle(ripples(rng, 0.22, 2, 7), across, along))
    return nearest


def _meningioma(rng: np.random.Generator, head: Head, shrink: float) -> None:
    """Bright, even and smooth, on the skull or the falx, with a broad base and at times a tail."""
    radius = rng.uniform(0.14, 0.24) * shrink
    depth = rng.uniform(0.45, 0.9)  # how far its middle lies inside the wall, in radii
    falx = rng.random() < 0.4 and head.level == "vertex"
    places = len(head.inner)
    low, high = (0.21, 0.46) if head.level in BASE else (0.05, 0.46)
    side = _side(rng)
    index = int(rng.uniform(low, high) * places) * side
    wall = head.inner[index % places]
    middle = wall - wall / float(np.hypot(*wall)) * radius * depth
    if falx:
        middle = np.array([side * radius * depth, rng.uniform(-0.6, 0.6)])
    centre = (float(middle[0]), float(middle[1]))
    _push(head, centre, radius, rng.uniform(0.3, 0.7))
    window = head.frame.window(centre, 1.8 * radius)[0]
    np.maximum(head.brain[window], head.cavity[window], out=head.brain[window])
    shine = head.tones.uptake(rng.uniform(0.75, 1.2))
    if rng.random() < 0.5 and not falx:
        _dural_tail(rng, head, index, shine)
    flat = 0.0 if falx else float(np.arctan2(wall[0], -wall[1]))
    _smooth_mass(rng, head, centre, radius, flat, shine, rng.uniform(0.01, 0.06))


def _pituitary(rng: np.random.Generator, head: Head, shrink: float) -> None:
    """Round, small and bright, in the midline in front of the brain stem."""
    centre = (float(rng.normal(0, 0.015)), float(rng.uniform(-0.14, -0.02)))
    radius = rng.uniform(0.1, 0.17) * shrink
    shine = head.tones.uptake(rng.uniform(0.65, 1.15))
    head.brain[head.frame.window(centre, 1.8 * radius)[0]] = 1  # it fills bone and cistern alike
    _smooth_mass(rng, head, centre, radius, rng.uniform(0, 3), shine, rng.uniform(0.02, 0.1))


def _smooth_mass(
    rng: np.random.Generator,
    head: Head,
    centre: tuple[float, float],
    radius: float,
    turn: float,
    shine: float,
    texture: float,
) -> None:
    """Paint an even mass; `turn` is the direction (radians from the front) in which it is flattened."""
    window, dx, dy = head.frame.window(centre, 1.8 * radius)
    stretch = np.float32(rng.uniform(0.85, 1.02))
    cos, sin = np.float32(np.cos(turn)), np.float32(np.sin(turn))
    across, along = (cos * dx + sin * dy) * stretch, (cos * dy - sin * dx) / stretch
    away = cv2.magnitude(across, along) * np.float32(1 / radius)
    inside = away / at_angle(ripples(rng, 0.13, 2, 6), across, along)
    within, picture = head.brain[window], head.image[window]
    cleft = np.exp(-np.square((inside - np.float32(1.12)) / np.float32(0.1)))
    blend(picture, np.float32(rng.uniform(0, 0.7)) * cleft * within, head.tones.fluid)
    tone = shine * (1 + np.float32(texture) * field(rng, 7, dx.shape))
    blend(picture, soft_step(1 - inside, 0.12) * within, tone)


def _dural_tail(rng: np.random.Generator, head: Head, index: int, shine: float) -> None:
    brush = Brush(head.frame)
    before, after = rng.integers(4, 10, 2)
    steps = np.arange(index - before, index + after + 1) % len(head.inner)
    brush.line(head.inner[steps] * 0.985, 255, rng.uniform(0.012, 0.03))
    blend(head.image, brush.picture * np.float32(1 / 255), shine)


def _push(head: Head, centre: tuple[float, float], radius: float, strength: float) -> None:
    """Displace the brain away from a mass; the skull stays."""
    window, dx, dy = head.frame.window(centre, 3 * radius)
    away = (dx * dx + dy * dy) * np.float32(1 / (2.5 * radius**2))
    pull = np.float32(strength) * np.exp(-away) * head.brain[window]
    column, row = head.frame.pixel(centre)
    columns = np.arange(dx.shape[1], dtype=np.float32)
    rows = np.arange(dx.shape[0], dtype=np.float32)[:, None]
    across = columns + (np.float32(column - window[1].start) - columns) * pull
    along = rows + (np.float32(row - window[0].start) - rows) * pull
    for plane in (head.image, head.brain):
        plane[window] = cv2.remap(plane[window], across, along, cv2.INTER_LINEAR, None, cv2.BORDER_REPLICATE)


def _side(rng: np.random.Generator) -> int:
    return 1 if rng.random() < 0.5 else -1

"""How phantoms are scanned: framing, blur, bias field, Rician noise and grey window."""

from dataclasses import dataclass
from statistics import NormalDist
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from mri_tumor.dataset.phantom.canvas import Frame, Plane, enlarge

_NORMAL_QUANTILES = np.array([NormalDist().inv_cdf((k + 0.5) / 256) for k in range(256)])


@dataclass(frozen=True)
class Scanner:
    """One patient's scan: where the head lies, and what the machine adds to it.

    Args:
        zoom: half of the head's length as a share of the picture's shorter side.
        shift: `(x, y)` of the head's centre from the picture's, as shares of the shorter side.
        angle: rotation of the head in radians.
        blur: standard deviation in pixels of a picture of 256.
        bias: `(3, 3)` smooth changes of the gain over the picture.
        noise: standard deviation of either part of the complex signal, in grey values.
        window: 256 uint8 grey values, by the signal.
    """

    zoom: float
    shift: tuple[float, float]
    angle: float
    blur: float
    bias: NDArray[np.float64]
    noise: float
    window: NDArray[np.uint8]

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Self:
        """Draw the scan of one patient."""
        gain, bend, floor = rng.uniform(0.6, 1.3), rng.uniform(0.8, 1.2), rng.uniform(-4, 6)
        window = 255 * (np.arange(256) / 255 * gain).clip(0, 1) ** bend + floor
        return cls(
            zoom=rng.uniform(0.36, 0.46),
            shift=(rng.normal(0, 0.015), rng.normal(0.02, 0.015)),
            angle=rng.normal(0, 0.1),
            blur=rng.uniform(0.5, 0.9),
            bias=rng.normal(0, 0.12, (3, 3)),
            noise=rng.uniform(1.5, 6),
            window=window.clip(0, 255).astype(np.uint8),
        )

    def frame(self, shape: tuple[int, int]) -> Frame:
        """Return where the head lies in a picture of this height and width."""
        side = min(shape)
        centre = (shape[1] / 2 + self.shift[0] * side, shape[0] / 2 + self.shift[1] * side)
        return Frame(shape, side * self.zoom, self.angle, centre)

    def scan(self, rng: np.random.Generator, image: Plane) -> NDArray[np.uint8]:
        """Return a painted float32 picture (H, W), 0-255, as the uint8 picture that the scan would give.

        The noise is Rician, as in magnitude images: Gudbjartsson and Patz, "The Rician distribution of noisy
        MRI data", Magnetic Resonance in Medicine 34 (1995).
        """
        image = cv2.GaussianBlur(image, (5, 5), max(self.blur * min(image.shape) / 256, 0.2))
        image *= 1 + enlarge(self.bias, image.shape)
        image += _gaussian(rng, image.shape, self.noise)
        image = cv2.magnitude(image, _gaussian(rng, image.shape, self.noise))
        return np.asarray(cv2.LUT(cv2.convertScaleAbs(image), self.window), np.uint8)


def _gaussian(rng: np.random.Generator, shape: tuple[int, ...], spread: float) -> Plane:
    """Return Gaussian noise in 256 levels: much faster than exact draws, and a picture has no more levels."""
    places = np.frombuffer(rng.bytes(shape[0] * shape[1]), np.uint8).reshape(shape)
    return np.asarray(cv2.LUT(places, (_NORMAL_QUANTILES * spread).astype(np.float32)))

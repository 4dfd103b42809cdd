"""What is drawn for each picture, and the call that does it."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mri_tumor.dataset.augment.change import change
from mri_tumor.dataset.augment.drawn import drawn
from mri_tumor.dataset.augment.values import filled
from mri_tumor.dataset.draws import check_whole
from mri_tumor.dataset.tensors import Specs, check_images, check_indices, run
from mri_tumor.errors import ArgumentError
from mri_tumor.files import digest_of

_ALWAYS = ("rotation", "brightness", "contrast", "mirror")
_MOST = {
    "rotation": 180,
    "brightness": 1,
    "contrast": 1,
    "translation": 1,
    "zoom": 0.9,
    "shear": 45,
    "gamma": 2,
    "noise": 255,
    "blur": 20,
    "bias_field": 1,
}


@dataclass(frozen=True)
class Augment:
    """Random changes of training pictures: takes uint8 `(N, S, S, 1)`, 0-255, and returns the same form.

    What is drawn for a picture depends on (seed, epoch, index) only: not on its batch, the thread, or the
    pictures beside it. Each value is drawn uniformly between its limits. The order of the changes: mirror,
    updown, shear, zoom, rotation and translation about the picture's centre in one bilinear interpolation, in
    which what comes in from outside is 0; blur; bias field; contrast, brightness, gamma; noise. After each
    group the picture is rounded and clipped to 0-255.

    Args:
        rotation: largest angle in degrees, 0-180: drawn from -rotation to +rotation; positive is
            counter-clockwise.
        brightness: largest addition as a share of 255, 0-1. 0.2 adds between -51 and +51 grey levels.
        contrast: largest deviation of the factor from 1, 0-1. 0.2 stretches the distance of every pixel from
            the picture's mean (before all changes) by a factor of 0.8 to 1.2.
        mirror: whether every second picture, at random, is mirrored left-right.
        translation: largest shift to any side as a share of the picture's side, 0-1. 0.1 shifts 224 pixels by
            up to 22.4 left or right, and independently up or down.
        zoom: largest deviation of the factor from 1, 0-0.9. 0.1 draws factors of 0.9 to 1.1.
        shear: largest angle in degrees, 0-45, by which vertical lines lean to either side.
        gamma: largest logarithm of the exponent, 0-2. 0.3 draws exponents of 0.74 to 1.35, each as likely as
            its inverse; above 1 darkens.
        noise: largest standard deviation of added Gaussian noise, in grey levels, 0-255: drawn from 0 to it.
        blur: largest standard deviation of a Gaussian blur, in pixels, 0-20: drawn from 0 to it.
        bias_field: largest deviation of the gain from 1 anywhere in the picture, 0-1. The gain is a random
            polynomial of degree 3, such as a receiver coil leaves; with 0.3 it stays within 0.7 to 1.3.
        updown: whether every second picture, at random, is mirrored upside down. Off, because heads do not
            come so.

    Raises:
        ArgumentError: a value is outside its range.

    >>> Augment(rotation=10, mirror=False).to_dict()
    {'rotation': 10.0, 'brightness': 0.2, 'contrast': 0.2, 'mirror': False}
    >>> sorted(Augment(blur=1.5).describe(seed=0, epoch=3, index=17))
    ['blur', 'brightness', 'contrast', 'mirror', 'rotation']
    """

    rotation: float = 15
    brightness: float = 0.2
    contrast: float = 0.2
    mirror: bool = True
    translation: float = 0
    zoom: float = 0
    shear: float = 0
    gamma: float = 0
    noise: float = 0
    blur: float = 0
    bias_field: float = 0
    updown: bool = False

    def __post_init__(self) -> None:
        for name, most in _MOST.items():
            # 15 and 15.0 are the same augmentation and must have the same digest.
            object.__setattr__(self, name, _in_range(name, getattr(self, name), most))
        for name in ("mirror", "updown"):
            if not isinstance(getattr(self, name), bool):
                raise ArgumentError(
                    f"{name} is {getattr(self, name)!r}", "True or False", f"pass {name}=True or {name}=False"
                )

    def __call__(self, images: Any, indices: Any, *, seed: int, epoch: int) -> Any:
        """Return the pictures as `epoch` of a run with this `seed` sees them.

        Works eagerly and inside a `tf.function` or `Dataset.map`. The same pictures come out of any batch and
        thread; another version of OpenCV may round the interpolation and the blur otherwise.

        Args:
            images: uint8 `(N, S, S, 1)`, 0-255.
            indices: each picture's position in its data set, whole numbers `(N,)`.
            seed: from 0.
            epoch: from 0.

        Returns:
            uint8 tensor `(N, S, S, 1)`.

        Raises:
            ArgumentError: a wrong type, shape, seed or epoch.
        """
        seed, epoch = check_whole("seed", seed, 0), check_whole("epoch", epoch, 0)

        def changed(pictures: NDArray[np.uint8], places: NDArray[Any]) -> list[NDArray[np.uint8]]:
            return [change(pictures, filled(len(places), drawn(self, seed, epoch, places)))]

        return run(changed, images, indices, specs=_specs)[0]

    def describe(self, seed: int, epoch: int, index: int) -> dict[str, Any]:
        """Return what is drawn for one picture; `apply(images, **described)` makes that picture again.

        Returns:
            Numbers, booleans and lists of numbers, in the units of `apply`: always `rotation` in degrees,
            `brightness` in grey levels to add, `contrast` as a factor, and `mirror`; the others if they are
            asked for. `noise` comes with its `noise_seed`.
        """
        found = drawn(self, seed, epoch, [check_whole("index", index, 0)])
        return {name: values[0].tolist() for name, values in found.items()}

    def to_dict(self) -> dict[str, Any]:
        """Return the arguments as a JSON object; what was added to the first four is there if it is on."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if name in _ALWAYS or value}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the augmentation that `to_dict` described.

        Raises:
            ArgumentError: a name is unknown or missing, or a value outside its range.
        """
        names = {field.name for field in fields(cls)}
        if not isinstance(values, Mapping) or not set(_ALWAYS) <= set(values) <= names:
            found = sorted(map(str, values)) if isinstance(values, Mapping) else type(values).__name__
            extra = sorted(names - set(_ALWAYS))
            raise ArgumentError(
                f"an augmentation of {found}",
                f"exactly {sorted(_ALWAYS)}, and any of {extra}",
                "use Augment.to_dict",
            )
        return cls(**values)

    @property
    def digest(self) -> str:
        """SHA-256 of `to_dict()`."""
        return digest_of(self.to_dict())


def _specs(images: Any, indices: Any) -> Specs:
    shape = check_images(images)
    check_indices(indices, shape)
    return [("uint8", shape)]


def _in_range(name: str, value: Any, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 <= value <= most:
        raise ArgumentError(
            f"{name} is {value!r}", f"a number from 0 to {most}", f"pass {name} within the range"
        )
    return float(value)


def check_augment(augment: Any) -> None:
    """Raise ArgumentError unless this is an Augment or None."""
    if augment is not None and not isinstance(augment, Augment):
        raise ArgumentError(f"augment is {augment!r:.60}", "an Augment or None", "pass augment=Augment()")

"""Augmentation: rotation, brightness, contrast and mirror; seeded, stateless, a batch at a time."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

import numpy as np

from mri_tumor.dataset.draws import check_whole, uniform, uniform_tensor
from mri_tumor.errors import ArgumentError
from mri_tumor.files import digest_of


@dataclass(frozen=True)
class Augment:
    """Random changes of training pictures: takes uint8 `(N, S, S, 1)`, 0-255, and returns the same form.

    What is drawn for a picture depends on (seed, epoch, index) only: not on its batch, the thread, or the
    pictures beside it. A picture is mirrored, turned, changed in contrast and brightness, then rounded and
    clipped to 0-255. It is never mirrored upside down, because heads do not come so.

    Args:
        rotation: largest angle in degrees, 0-180. Drawn uniformly from -rotation to +rotation; positive is
            counter-clockwise. Bilinear, about the picture's centre; what comes in from outside is 0.
        brightness: largest addition as a share of 255, 0-1. 0.2 adds between -51 and +51 grey levels.
        contrast: largest deviation of the factor from 1, 0-1. 0.2 stretches the distance of every pixel from
            the picture's mean (before it is turned) by a factor of 0.8 to 1.2.
        mirror: whether every second picture, at random, is mirrored left-right.

    Raises:
        ArgumentError: a value is outside its range.

    >>> Augment(rotation=10, mirror=False).to_dict()
    {'rotation': 10.0, 'brightness': 0.2, 'contrast': 0.2, 'mirror': False}
    >>> sorted(Augment().describe(seed=0, epoch=3, index=17))
    ['brightness', 'contrast', 'mirror', 'rotation']
    """

    rotation: float = 15
    brightness: float = 0.2
    contrast: float = 0.2
    mirror: bool = True

    def __post_init__(self) -> None:
        for name, most in (("rotation", 180), ("brightness", 1), ("contrast", 1)):
            # 15 and 15.0 are the same augmentation and must have the same digest.
            object.__setattr__(self, name, _in_range(name, getattr(self, name), most))
        if not isinstance(self.mirror, bool):
            raise ArgumentError(
                f"mirror is {self.mirror!r}", "True or False", "pass mirror=True or mirror=False"
            )

    def __call__(self, images: Any, indices: Any, *, seed: int, epoch: int) -> Any:
        """Return the pictures as `epoch` of a run with this `seed` sees them.

        Works eagerly and inside a `tf.function` or `Dataset.map`.

        Args:
            images: uint8 `(N, S, S, 1)`, 0-255.
            indices: each picture's position in its data set, whole numbers `(N,)`.
            seed: from 0.
            epoch: from 0.

        Raises:
            ArgumentError: a wrong type, shape, seed or epoch.
        """
        import tensorflow as tf

        images, indices = tf.convert_to_tensor(images), tf.convert_to_tensor(indices)
        if not indices.dtype.is_integer or not images.shape[:1].is_compatible_with(indices.shape):
            raise ArgumentError(
                f"indices are {indices.dtype.name} {tuple(indices.shape)} for images {tuple(images.shape)}",
                "one whole number a picture",
                "pass the 'index' of the same batch",
            )
        return apply(images, **self._drawn(uniform_tensor, seed, epoch, indices))

    def describe(self, seed: int, epoch: int, index: int) -> dict[str, Any]:
        """Return what is drawn for one picture; `apply(images, **described)` makes that picture again.

        Returns:
            `rotation` in degrees, `brightness` in grey levels to add, `contrast` as a factor, and `mirror`.
        """
        drawn = self._drawn(uniform, seed, epoch, [check_whole("index", index, 0)])
        return {name: values[0].item() for name, values in drawn.items()}

    def to_dict(self) -> dict[str, Any]:
        """Return the arguments as a JSON object."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the augmentation that `to_dict` described.

        Raises:
            ArgumentError: a name is unknown or missing, or a value outside its range.
        """
        names = {field.name for field in fields(cls)}
        if not isinstance(values, Mapping) or set(values) != names:
            found = sorted(map(str, values)) if isinstance(values, Mapping) else type(values).__name__
            raise ArgumentError(
                f"an augmentation of {found}", f"exactly {sorted(names)}", "use Augment.to_dict"
            )
        return cls(**values)

    @property
    def digest(self) -> str:
        """SHA-256 of `to_dict()`."""
        return digest_of(self.to_dict())

    def _drawn(self, draw: Any, seed: int, epoch: int, indices: Any) -> dict[str, Any]:
        def between(name: str, low: float, high: float) -> Any:
            return draw(name, seed, epoch, indices) * (high - low) + low

        return {
            "rotation": between("rotation", -self.rotation, self.rotation),
            "brightness": between("brightness", -self.brightness * 255, self.brightness * 255),
            "contrast": between("contrast", 1 - self.contrast, 1 + self.contrast),
            "mirror": draw("mirror", seed, epoch, indices) < (0.5 if self.mirror else 0.0),
        }


def apply(
    images: Any, *, rotation: Any = 0.0, brightness: Any = 0.0, contrast: Any = 1.0, mirror: Any = False
) -> Any:
    """Change pictures by fixed amounts, each one number for all or one a picture.

    Args:
        images: uint8 `(N, S, S, 1)`, 0-255.
        rotation: degrees, counter-clockwise positive; bilinear, filled with 0.
        brightness: grey levels to add.
        contrast: factor about the picture's mean.
        mirror: whether to mirror left-right, before the rotation.

    Returns:
        uint8 `(N, S, S, 1)`, rounded and clipped to 0-255.

    Raises:
        ArgumentError: the pictures are of another type or shape.
    """
    import tensorflow as tf

    images = _checked(tf.convert_to_tensor(images))
    # A GPU rounds otherwise: the same seed must give the same picture with and without one.
    with tf.device("CPU:0"):
        return _changed(images, rotation, brightness, contrast, mirror)


def _changed(images: Any, rotation: Any, brightness: Any, contrast: Any, mirror: Any) -> Any:
    import tensorflow as tf

    turned = _moved(tf.cast(images, tf.float32), rotation, mirror)
    factor = _column(contrast, tf.float64)
    # Sums of integers do not depend on the order of adding, so neither does the picture on its batch.
    total = tf.reduce_sum(tf.cast(images, tf.int64), axis=[1, 2, 3])
    mean = tf.cast(total, tf.float64) / tf.cast(tf.size(images[:1]), tf.float64)
    offset = mean * (1 - factor) + _column(brightness, tf.float64)
    changed = turned * _spread(factor) + _spread(offset)
    return tf.cast(tf.clip_by_value(tf.round(changed), 0, 255), tf.uint8)


def _moved(images: Any, rotation: Any, mirror: Any) -> Any:
    import tensorflow as tf

    size = images.shape[1]
    count = tf.shape(images)[0]
    turn = _column(rotation, tf.float64) * (math.pi / 180)
    cos, sin = tf.cos(turn), tf.sin(turn)
    centre = (size - 1) / 2
    # For the output pixel (x, y) the operation reads the input at (a x + b y + c, d x + e y + f).
    across = [cos, -sin, centre * (1 - cos + sin)]
    down = [sin, cos, centre * (1 - cos - sin)]
    flip = tf.reshape(tf.convert_to_tensor(mirror), [-1])
    across = [tf.where(flip, -value, value) for value in across]
    across[2] = tf.where(flip, size - 1 + across[2], across[2])
    rows = [tf.broadcast_to(tf.cast(value, tf.float32), [count]) for value in (*across, *down)]
    zeros = tf.zeros([count])
    return tf.ensure_shape(
        tf.raw_ops.ImageProjectiveTransformV3(
            images=images,
            transforms=tf.stack([*rows, zeros, zeros], axis=1),
            output_shape=[size, size],
            interpolation="BILINEAR",
            fill_mode="CONSTANT",
            fill_value=0.0,
        ),
        images.shape,
    )


def _checked(images: Any) -> Any:
    shape = images.shape
    if (
        images.dtype.name != "uint8"
        or shape.rank != 4
        or shape[1] != shape[2]
        or shape[1] is None
        or shape[3] != 1
    ):
        raise ArgumentError(
            f"images are {images.dtype.name} of shape {shape}",
            "uint8 (N, size, size, 1), 0-255",
            "pass a batch that Preprocess or load() made",
        )
    return images


def _column(values: Any, dtype: Any) -> Any:
    import tensorflow as tf

    return tf.reshape(tf.cast(tf.convert_to_tensor(values), dtype), [-1])


def _spread(values: Any) -> Any:
    import tensorflow as tf

    return tf.reshape(tf.cast(values, tf.float32), [-1, 1, 1, 1])


def _in_range(name: str, value: Any, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not 0 <= value <= most:
        raise ArgumentError(
            f"{name} is {value!r}", f"a number from 0 to {most}", f"pass {name} within the range"
        )
    return float(value)

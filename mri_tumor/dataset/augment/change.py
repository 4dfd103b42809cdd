"""The changes, one after the other, on a batch of pictures."""

from typing import Any, Unpack

import numpy as np
from numpy.typing import NDArray

from mri_tumor.dataset.augment import bias_field, blur, geometry, grey, noise
from mri_tumor.dataset.augment.values import Changes, Values, check_names, checked
from mri_tumor.dataset.tensors import Specs, aligned, check_images, run

_PLANS = (geometry.plan, blur.plan, bias_field.plan, grey.plan, noise.plan)


def apply(images: Any, **changes: Unpack[Changes]) -> Any:
    """Change pictures by fixed amounts, each one value for all or one a picture.

    In this order: `mirror`, `updown`, `shear`, `zoom`, `rotation`, `translation` (one interpolation for all
    of them); `blur`; `bias_field`; `contrast`, `brightness`, `gamma`; `noise`. After each group the picture
    is rounded and clipped to 0-255. Works eagerly and inside a `tf.function` or `Dataset.map`.

    Args:
        images: uint8 `(N, S, S, 1)`, 0-255.
        **changes: any of the following.
        rotation: degrees about the centre, counter-clockwise positive; bilinear, filled with 0.
        brightness: grey levels to add.
        contrast: factor about the picture's mean, as it was before all changes.
        mirror: whether to mirror left-right.
        translation: `(right, down)` as shares of the side; 0.25 of 224 pixels are 56. Filled with 0.
        zoom: factor about the centre; above 1 the head grows. 0.01 to 100.
        shear: degrees by which a vertical line leans; with a positive value its upper end goes to the right.
        gamma: exponent of the grey level on the scale from 0 to 1; above 1 darkens. 0.01 to 100.
        noise: standard deviation of added Gaussian noise, in grey levels, from 0.
        noise_seed: what the noise is made from: a whole number from 0.
        blur: standard deviation of a Gaussian blur, in pixels, 0 to 100; the border is reflected.
        bias_field: nine coefficients of the gain `1 + sum(c L_i(x) L_j(y))`, where x and y run from -1 to 1
            to the right and downwards, L are Legendre's polynomials, and (i, j) is in turn (1, 0), (0, 1),
            (2, 0), (1, 1), (0, 2), (3, 0), (2, 1), (1, 2), (0, 3).
        updown: whether to mirror upside down.

    Returns:
        uint8 tensor `(N, S, S, 1)`.

    Raises:
        ArgumentError: the pictures are of another type or shape, a name is unknown, or a value is of another
            form or outside its range. Inside a graph a value's form and range are met late, as a
            `tf.errors.OpError` whose text holds ours, and the rest may come as an error of AutoGraph's.

    >>> apply(np.array([[[[10], [20]], [[30], [40]]]], np.uint8), updown=True, brightness=5).numpy().tolist()
    [[[[35], [45]], [[15], [25]]]]
    """
    check_names(changes)
    names: Any = tuple(changes)

    def changed(pictures: NDArray[np.uint8], *values: Any) -> list[NDArray[np.uint8]]:
        return [change(pictures, checked(len(pictures), **dict(zip(names, values, strict=True))))]

    return run(changed, images, *changes.values(), specs=_specs)[0]


def _specs(images: Any, *_values: Any) -> Specs:
    return [("uint8", check_images(images))]


def change(images: NDArray[np.uint8], values: Values) -> NDArray[np.uint8]:
    """Return the changed pictures, uint8 `(N, S, S, 1)`; `values` as `values.checked` makes them."""
    pictures = np.ascontiguousarray(images)[..., 0]
    steps = [step for plan in _PLANS if (step := plan(pictures, values)) is not None]
    result = aligned(images.shape)
    for place, (picture, into) in enumerate(zip(pictures, result[..., 0], strict=True)):
        for step in steps:
            picture = step(place, picture, into)
        if picture is not into:
            into[...] = picture
    return result

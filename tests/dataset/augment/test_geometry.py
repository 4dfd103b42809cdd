import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mri_tumor.dataset.augment import apply
from mri_tumor.dataset.augment.geometry import inverse
from mri_tumor.dataset.augment.values import checked

NUMBERED = [[1, 2, 3], [4, 5, 6], [7, 8, 9]]
STRIPES = [[0, 100, 200, 40]] * 4


def changed(rows: list[list[int]], **how: object) -> list[list[int]]:
    return apply(np.array(rows, np.uint8)[None, :, :, None], **how).numpy()[0, :, :, 0].tolist()


def smooth(size: int = 48) -> np.ndarray:
    noise = np.random.default_rng(0).integers(0, 256, (size, size)).astype(np.uint8)
    return cv2.GaussianBlur(noise, (0, 0), 3)[None, :, :, None]


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        ((1 / 3, 0), [[0, 1, 2], [0, 4, 5], [0, 7, 8]]),
        ((-1 / 3, 0), [[2, 3, 0], [5, 6, 0], [8, 9, 0]]),
        ((0, 1 / 3), [[0, 0, 0], [1, 2, 3], [4, 5, 6]]),
        ((0, -1 / 3), [[4, 5, 6], [7, 8, 9], [0, 0, 0]]),
        ((1 / 3, -1 / 3), [[0, 4, 5], [0, 7, 8], [0, 0, 0]]),
    ],
)
def test_translation_goes_right_and_down(share: tuple[float, float], expected: list[list[int]]) -> None:
    assert changed(NUMBERED, translation=share) == expected


def test_translation_by_half_a_pixel_averages_neighbours() -> None:
    assert changed([[20, 100, 200, 40]] * 4, translation=(0.125, 0)) == [[10, 60, 150, 120]] * 4


def test_zoom_above_one_enlarges_about_the_centre() -> None:
    # The columns are read at .75, 1.25, 1.75 and 2.25.
    assert changed(STRIPES, zoom=2.0) == [[75, 125, 175, 160]] * 4


def test_zoom_below_one_shrinks_and_fills_with_black() -> None:
    # They are read at -1.5, .5, 2.5 and 4.5, the rows too.
    assert changed(STRIPES, zoom=0.5) == [[0] * 4, [0, 50, 120, 0], [0, 50, 120, 0], [0] * 4]


def test_positive_shear_moves_the_upper_end_to_the_right() -> None:
    assert changed(NUMBERED, shear=45) == [[0, 1, 2], [4, 5, 6], [8, 9, 0]]
    assert changed(NUMBERED, shear=-45) == [[2, 3, 0], [4, 5, 6], [0, 7, 8]]


def test_updown_swaps_above_and_below_only() -> None:
    assert changed(NUMBERED, updown=True) == NUMBERED[::-1]
    assert changed(NUMBERED, updown=True, mirror=True) == [[9, 8, 7], [6, 5, 4], [3, 2, 1]]


def test_a_mirrored_picture_that_is_warped_too_is_the_same_mirror_image() -> None:
    for size in (7, 8):
        images = smooth(size)
        for how, flipped in (({"mirror": True}, images[:, :, ::-1]), ({"updown": True}, images[:, ::-1])):
            np.testing.assert_array_equal(apply(images, **how, rotation=1e-12), flipped)
            np.testing.assert_array_equal(apply(images, **how), flipped)


@pytest.mark.parametrize("size", [3, 8, 225])
def test_a_full_turn_is_identity(size: int) -> None:
    np.testing.assert_array_equal(apply(smooth(size), rotation=360), smooth(size))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"mirror": True}, {"shear": 45}),
        ({"updown": True}, {"shear": 45}),
        ({"shear": 45}, {"rotation": 90}),
        ({"zoom": 0.5}, {"translation": (4 / 17, 2 / 17)}),
        ({"rotation": 90}, {"translation": (4 / 17, 2 / 17)}),
        ({"mirror": True}, {"translation": (4 / 17, 2 / 17)}),
    ],
)
def test_order(first: dict[str, object], second: dict[str, object]) -> None:
    picture = np.zeros((1, 17, 17, 1), np.uint8)
    picture[:, 6:9, 6:10] = np.arange(1, 13, dtype=np.uint8).reshape(3, 4, 1) * 20
    together = apply(picture, **first, **second).numpy().astype(int)
    ordered = apply(apply(picture, **first), **second).numpy().astype(int)
    reversed_ = apply(apply(picture, **second), **first).numpy().astype(int)
    assert np.abs(together - ordered).max() <= 2
    assert np.abs(together - reversed_).max() > 2


def test_all_moves_are_one_matrix() -> None:
    how = {"mirror": True, "updown": True, "shear": 20.0, "zoom": 1.3, "rotation": 35.0}
    size, shift = 10, np.array([0.2, -0.1])
    turn, lean = math.radians(35), math.tan(math.radians(20))
    # The y axis points down, so counter-clockwise has the minus below.
    rotate = np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
    forward = rotate @ (1.3 * np.eye(2)) @ np.array([[1, -lean], [0, 1]]) @ np.diag([-1, -1])
    found = inverse(checked(1, **how, translation=shift), size)[0]
    for point in ([0.0, 0.0], [3.0, 7.5], [9.0, 2.0]):
        moved = forward @ (np.array(point) - 4.5) + 4.5 + shift * size
        np.testing.assert_allclose(found @ [*moved, 1], point, atol=1e-12)


def test_all_moves_take_one_interpolation() -> None:
    images = np.random.default_rng(1).integers(0, 256, (1, 33, 33, 1), dtype=np.uint8)
    angle = math.degrees(math.atan(0.5))
    # Two interpolations would blur more than one; a quarter turn and whole pixels need none at all.
    expected = np.roll(np.rot90(images, axes=(1, 2)), 3, axis=2)
    expected[:, :, :3] = 0
    np.testing.assert_array_equal(apply(images, rotation=90, translation=(3 / 33, 0)), expected)
    once, twice = apply(images, rotation=2 * angle), apply(apply(images, rotation=angle), rotation=angle)
    assert once.numpy()[:, 10:23, 10:23].std() > twice.numpy()[:, 10:23, 10:23].std() + 5


@given(
    rotation=st.floats(-180, 180),
    zoom=st.floats(0.5, 2),
    shear=st.floats(-45, 45),
    right=st.floats(-0.5, 0.5),
    down=st.floats(-0.5, 0.5),
    mirror=st.booleans(),
)
def test_pixels_are_those_of_exact_bilinear_interpolation(
    rotation: float, zoom: float, shear: float, right: float, down: float, mirror: bool
) -> None:
    images = smooth()
    how = {"rotation": rotation, "zoom": zoom, "shear": shear, "mirror": mirror, "translation": (right, down)}
    matrix = inverse(checked(1, **how), 48)[0]
    found = apply(images, **how).numpy()[0, :, :, 0]
    # OpenCV 4 rounds places to 1/32 pixel.
    assert np.abs(found - bilinear(images[0, :, :, 0], matrix)).max() <= 6


def bilinear(picture: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    size = len(picture)
    down, right = np.mgrid[:size, :size]
    x, y = np.einsum("ij,jkl->ikl", matrix, np.stack([right, down, np.ones_like(down)]))
    padded = np.pad(picture.astype(float), 1)
    total = np.zeros_like(x)
    for dx in (0, 1):
        for dy in (0, 1):
            column, row = np.floor(x) + dx, np.floor(y) + dy
            weight = (1 - abs(x - column)) * (1 - abs(y - row))
            places = (np.clip(value + 1, 0, size + 1).astype(int) for value in (row, column))
            total += weight * padded[tuple(places)]
    return total

"""The second look: copies lie over each other in their details, other pictures do not."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from mri_tumor.dataset.copies.aligned import SIDE, UNLIKE, Aligned, box_to_box, compare, lay_over

Detailed = Callable[..., np.ndarray]

WHOLE = (0.0, 1.0, 0.0, 1.0)
SAME = np.eye(2, 3, dtype=np.float32)


def small(image: np.ndarray) -> np.ndarray:
    return cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def laid(first: np.ndarray, second: np.ndarray, start: np.ndarray = SAME) -> Aligned:
    """How alike two pictures are once one is moved over the other."""
    shift = lay_over(small(first), small(second), start)
    return UNLIKE if shift is None else compare(small(first), small(second), shift)


def test_a_picture_is_itself(detailed: Detailed) -> None:
    found = compare(small(detailed(0)), small(detailed(0)), SAME)
    assert found.same
    assert found.correlation == pytest.approx(1)
    assert found.detail == pytest.approx(1)


@pytest.mark.parametrize(
    ("top", "left", "part"), [(0, 0, 0.95), (20, 20, 0.95), (10, 6, 0.95), (16, 16, 0.92)]
)
def test_a_crop_is_laid_over_its_picture(detailed: Detailed, top: int, left: int, part: float) -> None:
    image = detailed(1)
    side = round(len(image) * part)
    crop = image[top : top + side, left : left + side]
    assert not compare(small(crop), small(image), SAME).same
    assert laid(crop, image).same


def test_a_copy_with_other_proportions_is_laid_over_its_picture(detailed: Detailed) -> None:
    image = detailed(2)
    wide = cv2.resize(image, None, fx=1.3, fy=0.8)
    assert laid(wide, image).same


def test_brighter_and_stored_anew_is_the_same(detailed: Detailed) -> None:
    image = detailed(3)
    changed = np.clip(image * 0.7 + 20, 0, 255).astype(np.uint8)
    stored = cv2.imdecode(
        cv2.imencode(".jpg", changed, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], cv2.IMREAD_GRAYSCALE
    )
    assert compare(small(stored), small(image), SAME).same


@pytest.mark.parametrize("seed", range(1, 6))
def test_the_same_outline_with_other_details_is_another_picture(detailed: Detailed, seed: int) -> None:
    assert not compare(small(detailed(0)), small(detailed(seed)), SAME).same
    assert not laid(detailed(0), detailed(seed)).same


def test_a_picture_that_shows_half_of_another_is_no_copy(detailed: Detailed) -> None:
    image = detailed(0)
    part = image[60:340, 60:340]
    start = box_to_box((0.15, 0.85, 0.15, 0.85), WHOLE)
    assert laid(part, image, start).same
    assert laid(image, part, box_to_box(WHOLE, (0.15, 0.85, 0.15, 0.85))) == UNLIKE


def test_flat_pictures_are_unlike(detailed: Detailed) -> None:
    flat = np.full((SIDE, SIDE), 7, np.uint8)
    assert compare(flat, flat, SAME) == UNLIKE
    assert laid(flat, flat) == laid(flat, detailed(0)) == UNLIKE


def test_a_box_inside_another_is_where_it_says() -> None:
    image = np.zeros((SIDE, SIDE), np.uint8)
    image[24:72, 48:96] = 200
    inner = cv2.resize(image[24:72, 48:96], (SIDE, SIDE))
    shift = box_to_box((0.25, 0.75, 0.5, 1.0), WHOLE)
    moved = cv2.warpAffine(image, shift, (SIDE, SIDE), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    assert np.array_equal(moved[2:-2, 2:-2], inner[2:-2, 2:-2])
    assert np.allclose(box_to_box(WHOLE, WHOLE), SAME)

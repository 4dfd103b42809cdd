"""The second look: copies lie over each other in their details, other pictures do not."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest

from mri_tumor.dataset.aligned import SIDE, UNLIKE, align, box_to_box

Detailed = Callable[..., np.ndarray]

WHOLE = (0.0, 1.0, 0.0, 1.0)
SAME = np.eye(2, 3, dtype=np.float32)


def small(image: np.ndarray) -> np.ndarray:
    return cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)


def test_a_picture_is_itself(detailed: Detailed) -> None:
    found = align(small(detailed(0)), small(detailed(0)), SAME, close=True)
    assert found.same
    assert found.correlation == pytest.approx(1)
    assert found.detail == pytest.approx(1)


@pytest.mark.parametrize("close", [True, False])
@pytest.mark.parametrize(
    ("top", "left", "part"), [(0, 0, 0.95), (20, 20, 0.95), (10, 6, 0.95), (16, 16, 0.92)]
)
def test_a_crop_is_laid_over_its_detailed(
    detailed: Detailed, top: int, left: int, part: float, close: bool
) -> None:
    image = detailed(1)
    side = round(len(image) * part)
    crop = image[top : top + side, left : left + side]
    assert align(small(crop), small(image), SAME, close=close).same


def test_a_copy_with_other_proportions_is_laid_over_its_detailed(detailed: Detailed) -> None:
    image = detailed(2)
    wide = cv2.resize(image, None, fx=1.3, fy=0.8)
    assert align(small(wide), small(image), SAME).same


def test_brighter_and_stored_anew_is_the_same(detailed: Detailed) -> None:
    image = detailed(3)
    changed = np.clip(image * 0.7 + 20, 0, 255).astype(np.uint8)
    stored = cv2.imdecode(
        cv2.imencode(".jpg", changed, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], cv2.IMREAD_GRAYSCALE
    )
    assert align(small(stored), small(image), SAME, close=True).same


@pytest.mark.parametrize("seed", range(1, 6))
def test_the_same_outline_with_other_details_is_another_detailed(detailed: Detailed, seed: int) -> None:
    found = align(small(detailed(0)), small(detailed(seed)), SAME, close=True)
    assert not found.same


def test_a_picture_that_shows_half_of_another_is_no_copy(detailed: Detailed) -> None:
    image = detailed(0)
    part = image[60:340, 60:340]
    start = box_to_box((0.15, 0.85, 0.15, 0.85), WHOLE)
    assert align(small(part), small(image), start).same
    assert align(small(image), small(part), box_to_box(WHOLE, (0.15, 0.85, 0.15, 0.85))) == UNLIKE


def test_flat_pictures_are_unlike(detailed: Detailed) -> None:
    flat = np.full((SIDE, SIDE), 7, np.uint8)
    assert align(flat, flat, SAME, close=True) == UNLIKE
    assert align(flat, small(detailed(0)), SAME) == UNLIKE


def test_a_box_inside_another_is_where_it_says() -> None:
    image = np.zeros((SIDE, SIDE), np.uint8)
    image[24:72, 48:96] = 200
    inner = cv2.resize(image[24:72, 48:96], (SIDE, SIDE))
    shift = box_to_box((0.25, 0.75, 0.5, 1.0), WHOLE)
    laid = cv2.warpAffine(image, shift, (SIDE, SIDE), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP)
    assert np.array_equal(laid[2:-2, 2:-2], inner[2:-2, 2:-2])
    assert np.allclose(box_to_box(WHOLE, WHOLE), SAME)

from dataclasses import replace

import cv2
import numpy as np
import pytest

from mri_tumor.errors import ArgumentError
from mri_tumor.labels import NOTICE
from mri_tumor.models.explaining.explain import brought_to_one
from mri_tumor.models.explaining.explanation import Explanation
from mri_tumor.models.explaining.occlusion import blur, patches
from mri_tumor.models.explaining.overlay import overlaid
from mri_tumor.models.prediction import Prediction


@pytest.fixture
def one() -> Explanation:
    said = Prediction("p/a.png", None, "none", {"glioma": 0.25, "none": 0.75}, abstained=True, reason="novel")
    heat = np.zeros((8, 8), np.float32)
    heat[2:5, 3:7] = 0.6
    heat[3, 6] = 1
    return Explanation(said, "glioma", "layercam", heat, np.full((8, 8), 90, np.uint8))


def test_what_it_says(one: Explanation) -> None:
    assert (one.id, one.probability, one.notice) == ("p/a.png", 0.25, NOTICE)
    assert one.peak == (3, 6)
    assert one.box() == (2, 5, 3, 7)
    assert one.box(0.9) == one.box(1) == (3, 4, 6, 7)


def test_without_heat_there_is_no_place(one: Explanation) -> None:
    cold = replace(one, heat=np.zeros((8, 8), np.float32))
    assert cold.peak is None
    assert cold.box() is None
    np.testing.assert_array_equal(cold.overlay(), np.full((8, 8, 3), 90))


@pytest.mark.parametrize("level", [0, -1, 1.5, True, "0.5", None])
def test_a_level_out_of_range_is_refused(one: Explanation, level: object) -> None:
    with pytest.raises(ArgumentError, match="level is"):
        one.box(level)


def test_an_overlay_changes_the_picture_where_there_is_heat_only(one: Explanation) -> None:
    drawn = one.overlay()
    assert drawn.dtype == np.uint8
    assert drawn.shape == (8, 8, 3)
    changed = (drawn != 90).any(axis=2)
    np.testing.assert_array_equal(changed, one.heat > 0)


def test_the_picture_shows_through_the_greatest_heat() -> None:
    grey = np.arange(256, dtype=np.uint8)[None]
    drawn = overlaid(grey, np.ones((1, 256), np.float32)).astype(int)
    assert (np.diff(drawn[0], axis=0) >= 0).all()
    assert (drawn[0, -1] - drawn[0, 0] > 80).all()


def test_evidence_becomes_heat_from_0_to_1() -> None:
    picture = np.arange(4, dtype=np.uint8)[None]
    evidence = np.array([[-3.0, np.nan, 5.0, 10.0]], np.float32)
    assert brought_to_one(evidence, picture).tolist() == [[0, 0, 0.5, 1]]
    assert brought_to_one(np.array([[np.inf, -1, 0, 2]], np.float32), picture).tolist() == [[0, 0, 0, 1]]
    assert not brought_to_one(-np.ones((1, 4), np.float32), picture).any()
    assert not brought_to_one(np.ones((1, 4), np.float32), np.full((1, 4), 7, np.uint8)).any()


@pytest.mark.parametrize("size", [32, 45, 75, 224])
def test_every_pixel_lies_in_several_patches(size: int) -> None:
    times = np.zeros((size, size), int)
    for patch in patches(size):
        times[patch] += 1
    assert times.min() >= 4
    assert times[size // 4 : -size // 4, size // 4 : -size // 4].max() <= 9


def test_a_blurred_picture_keeps_its_brightness_and_loses_its_structure() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (64, 64)).astype(np.uint8)
    gone = blur(picture)
    assert abs(gone.mean() - picture.mean()) < 3
    assert gone.std() < picture.std() / 5
    assert cv2.Laplacian(gone, cv2.CV_64F).std() < 3

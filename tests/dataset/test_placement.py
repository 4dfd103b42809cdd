import cv2
import numpy as np
import pytest

from mri_tumor.dataset.placement import Placement
from mri_tumor.dataset.preprocess import Preprocess
from mri_tumor.errors import ArgumentError


def framed(height: int = 90, width: int = 70) -> np.ndarray:
    """Return a picture with a grey head in wide black margins."""
    picture = np.zeros((height, width), np.uint8)
    cv2.ellipse(picture, (30, 45), (18, 26), 0, 0, 360, 120, -1)
    return picture


@pytest.mark.parametrize("fit", ["stretch", "letterbox"])
@pytest.mark.parametrize("crop", [True, False])
@pytest.mark.parametrize("size", [40, 160])
def test_a_mask_goes_where_its_pixels_go(fit: str, crop: bool, size: int) -> None:
    picture, mask = framed(), np.zeros((90, 70), bool)
    mask[40:56, 22:36] = True
    spec = Preprocess(size=size, crop=crop, fit=fit, window=None)
    placement = spec.placement(picture)
    # The marked part drawn into the picture and preprocessed with it, without moving the head's box.
    seen = spec(np.where(mask, 255, picture).astype(np.uint8))[..., 0]
    assert spec.placement(np.where(mask, 255, picture).astype(np.uint8)) == placement
    drawn, carried = seen > 187, placement.carry(mask)
    assert (drawn & carried).sum() > 0.9 * (drawn | carried).sum()


@pytest.mark.parametrize("fit", ["stretch", "letterbox"])
def test_heat_comes_back_to_where_its_picture_was(fit: str) -> None:
    picture = framed()
    placement = Preprocess(size=64, fit=fit).placement(picture)
    spot = np.zeros((90, 70), bool)
    spot[30:36, 24:34] = True
    back = placement.back(placement.carry(spot).astype(np.float32))
    assert back.shape == picture.shape
    assert (back[spot] > 0.4).mean() > 0.9
    assert back[~cv2.dilate(spot.astype(np.uint8), np.ones((5, 5))).astype(bool)].max() < 0.1
    whole = placement.back(np.ones((64, 64)))
    top, bottom, left, right = placement.box
    np.testing.assert_allclose(whole[top:bottom, left:right], 1, atol=1e-6)
    assert whole.sum() == pytest.approx((bottom - top) * (right - left))


def test_what_does_not_belong_together_is_refused() -> None:
    placement = Placement((4, 6), (0, 4, 0, 6), (0, 8, 0, 8), 8)
    with pytest.raises(ArgumentError, match=r"an array \(6, 4\).*\(4, 6\)"):
        placement.carry(np.zeros((6, 4), bool))
    with pytest.raises(ArgumentError, match=r"an array \(4, 6\).*\(8, 8\)"):
        placement.back(np.zeros((4, 6)))
    with pytest.raises(ArgumentError, match="the picture is"):
        Preprocess().placement(np.zeros((4, 4), np.float32))


def test_a_mask_must_be_bool() -> None:
    image = np.zeros((40, 30), np.uint8)
    with pytest.raises(ArgumentError, match=r"a mask of uint8.*pass mask > 0"):
        Preprocess(size=32).placement(image).carry(np.full(image.shape, 255, np.uint8))

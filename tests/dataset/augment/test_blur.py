import numpy as np
import pytest

from mri_tumor.dataset.augment import apply
from mri_tumor.dataset.augment.blur import kernel


def blurred(picture: np.ndarray, sigma: float) -> np.ndarray:
    return apply(picture[None, :, :, None], blur=sigma).numpy()[0, :, :, 0]


def test_a_single_bright_pixel_by_hand() -> None:
    # exp(-2) and exp(-8) beside 1 make weights of .7866, .1065 and .0003.
    picture = np.zeros((5, 5), np.uint8)
    picture[2, 2] = 255
    assert blurred(picture, 0.5).tolist() == [
        [0, 0, 0, 0, 0],
        [0, 3, 21, 3, 0],
        [0, 21, 158, 21, 0],
        [0, 3, 21, 3, 0],
        [0, 0, 0, 0, 0],
    ]


@pytest.mark.parametrize("sigma", [0.01, 0.7, 2.0, 20.0])
def test_weights_add_up_to_one_and_even_pictures_stay(sigma: float) -> None:
    assert kernel(sigma).sum() == pytest.approx(1, abs=1e-12)
    for size in (1, 2, 9):
        assert (blurred(np.full((size, size), 201, np.uint8), sigma) == 201).all()


@pytest.mark.parametrize("sigma", [1.0, 2.5])
def test_sigma_is_in_pixels(sigma: float) -> None:
    picture = np.zeros((41, 41), np.uint8)
    picture[:, 20:] = 255
    # The blurred edge is the Gaussian's integral; its steps have the Gaussian's spread.
    steps = np.diff(blurred(picture, sigma)[20].astype(float)) / 255
    middle = np.arange(40) - 19
    assert np.sqrt((steps * middle**2).sum()) == pytest.approx(sigma, rel=0.03)


def test_the_border_is_reflected() -> None:
    ramp = np.tile(np.array([0, 100, 200, 250], np.uint8), (4, 1))
    weight = kernel(0.4).ravel()
    # Left of the first column comes the second again.
    assert blurred(ramp, 0.4)[0, 0] == round(2 * weight[1] * 100 + 2 * weight[0] * 200)


def test_no_blur_is_identity() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (9, 9), dtype=np.uint8)
    np.testing.assert_array_equal(blurred(picture, 0), picture)


def test_blur_comes_after_the_moves_and_before_the_grey_levels() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (1, 9, 9, 1), dtype=np.uint8)
    moved = apply(apply(picture, translation=(0.2, 0)), blur=1.0)
    np.testing.assert_array_equal(apply(picture, translation=(0.2, 0), blur=1.0), moved)
    np.testing.assert_array_equal(
        apply(picture, gamma=2.0, blur=1.0), apply(apply(picture, blur=1.0), gamma=2.0)
    )
    reversed_ = apply(apply(picture, gamma=2.0), blur=1.0).numpy()
    assert (reversed_ != apply(picture, gamma=2.0, blur=1.0).numpy()).any()

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mri_tumor.dataset.augment import apply

LEVELS = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)


def changed(rows: list[list[int]], **how: object) -> list[list[int]]:
    return apply(np.array(rows, np.uint8)[None, :, :, None], **how).numpy()[0, :, :, 0].tolist()


def test_gamma_by_hand() -> None:
    # 255 (128 / 255) ** 2 = 64.3; 255 (64 / 255) ** 0.5 = 127.7
    assert changed([[0, 128], [64, 255]], gamma=2.0) == [[0, 64], [16, 255]]
    assert changed([[0, 128], [64, 255]], gamma=0.5) == [[0, 181], [128, 255]]


def test_gamma_above_one_darkens() -> None:
    assert (apply(LEVELS, gamma=1.3).numpy() <= LEVELS).all()
    assert (apply(LEVELS, gamma=1 / 1.3).numpy() >= LEVELS).all()


def test_gamma_comes_after_contrast_and_brightness() -> None:
    assert changed([[100, 0], [227, 255]], brightness=28.0, gamma=2.0) == [[64, 3], [255, 255]]
    # The mean is 100; twice the distance from it is 0, 100 and 200.
    assert changed([[50, 100], [100, 150]], contrast=2.0, gamma=2.0) == [[0, 39], [39, 157]]


def test_grey_levels_change_after_the_moves_and_the_bias_field() -> None:
    # What comes in from outside is black before brightness is added.
    assert changed([[10, 20], [30, 40]], translation=(0.5, 0), brightness=7.0) == [[7, 17], [7, 37]]
    assert changed([[10, 20], [30, 40]], bias_field=[0.5] + [0.0] * 8, brightness=7.0) == [[12, 37], [22, 67]]


def test_contrast_takes_the_mean_from_before_the_moves() -> None:
    assert changed([[10, 20], [30, 40]], translation=(0.5, 0), contrast=0.0) == [[25, 25], [25, 25]]


@given(contrast=st.floats(0, 2), brightness=st.floats(-255, 255), mean=st.integers(0, 255))
def test_every_grey_level_is_within_rounding_of_the_formula(
    contrast: float, brightness: float, mean: int
) -> None:
    images = np.concatenate([LEVELS, np.full_like(LEVELS, mean)])
    found = apply(images, contrast=contrast, brightness=brightness).numpy()
    for picture, made in zip(images.astype(float), found, strict=True):
        exact = np.clip((picture - picture.mean()) * contrast + picture.mean() + brightness, 0, 255)
        assert np.abs(made - exact).max() <= 0.5 + 1e-3


@given(gamma=st.floats(0.1, 10), contrast=st.floats(0, 2), brightness=st.floats(-50, 50))
def test_gamma_too_is_within_rounding_of_the_formula(
    gamma: float, contrast: float, brightness: float
) -> None:
    found = apply(LEVELS, gamma=gamma, contrast=contrast, brightness=brightness).numpy()
    exact = np.clip((LEVELS - 127.5) * contrast + 127.5 + brightness, 0, 255) / 255
    assert np.abs(found - 255 * exact**gamma).max() <= 0.5 + 1e-9
    order = np.argsort(LEVELS.ravel())
    assert (np.diff(found.ravel()[order].astype(int)) >= 0).all()

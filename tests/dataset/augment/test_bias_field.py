import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mri_tumor.dataset.augment import apply
from mri_tumor.dataset.augment.bias_field import gain

PLACES = {"right": 0, "down": 1, "right2": 2, "right down": 3, "down2": 4, "right3": 5}


def lit(**coefficients: float) -> list[list[int]]:
    values = [0.0] * 9
    for name, value in coefficients.items():
        values[PLACES[name.replace("_", " ")]] = value
    return apply(np.full((1, 3, 3, 1), 100, np.uint8), bias_field=values).numpy()[0, :, :, 0].tolist()


def test_the_first_terms_by_hand() -> None:
    assert lit(right=0.5) == [[50, 100, 150]] * 3
    assert lit(down=0.5) == [[50] * 3, [100] * 3, [150] * 3]
    # (3 x x - 1) / 2 is 1, -1/2 and 1 at the left, in the middle and at the right.
    assert lit(right2=0.5) == [[150, 75, 150]] * 3
    assert lit(down2=0.5) == [[150] * 3, [75] * 3, [150] * 3]
    assert lit(right_down=0.5) == [[150, 100, 50], [100, 100, 100], [50, 100, 150]]
    assert lit(right=0.25, down=0.25) == [[50, 75, 100], [75, 100, 125], [100, 125, 150]]


def test_the_third_degree_by_hand() -> None:
    # (5 x x x - 3 x) / 2 at -1, -1/2, 0, 1/2 and 1.
    factors = gain(np.array([0, 0, 0, 0, 0, 1.0, 0, 0, 0]), 5)
    np.testing.assert_allclose(factors, [[0, 1.4375, 1, 0.5625, 2]] * 5, atol=1e-6)


def test_it_multiplies_and_clips() -> None:
    picture = np.array([[[[0], [255]], [[10], [200]]]], np.uint8)
    made = apply(picture, bias_field=[0.5] + [0.0] * 8).numpy()[0, :, :, 0]
    assert made.tolist() == [[0, 255], [5, 255]]


@given(arrays(float, 9, elements=st.floats(-0.11, 0.11)), st.integers(1, 40))
def test_the_coefficients_bound_the_gain(coefficients: np.ndarray, size: int) -> None:
    factors = gain(coefficients, size)
    assert factors.shape == (size, size)
    assert np.abs(factors - 1).max() <= np.abs(coefficients).sum() + 1e-6


def test_no_field_is_identity() -> None:
    picture = np.random.default_rng(0).integers(0, 256, (1, 9, 9, 1), dtype=np.uint8)
    np.testing.assert_array_equal(apply(picture, bias_field=[0.0] * 9), picture)
    both = apply(np.repeat(picture, 2, axis=0), bias_field=[[0.0] * 9, [0.3] + [0.0] * 8]).numpy()
    np.testing.assert_array_equal(both[0], picture[0])
    assert (both[1] != picture[0]).any()

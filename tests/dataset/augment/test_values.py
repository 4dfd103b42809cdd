import numpy as np
import pytest

from mri_tumor.dataset.augment import apply
from mri_tumor.dataset.augment.values import checked
from mri_tumor.errors import ArgumentError

IMAGES = np.zeros((3, 8, 8, 1), np.uint8)


@pytest.mark.parametrize(
    "wrong",
    [
        {"rotation": "15"},
        {"rotation": float("nan")},
        {"rotation": [1.0, 2.0]},
        {"brightness": None},
        {"contrast": float("inf")},
        {"mirror": 1},
        {"updown": [True, False]},
        {"translation": 0.1},
        {"translation": (0.1, 0.2, 0.3)},
        {"translation": [[0.1, 0.2]] * 2},
        {"zoom": 0},
        {"zoom": -1.0},
        {"shear": [[1.0, 2.0]]},
        {"gamma": 0.0},
        {"noise": -1.0},
        {"noise_seed": -1},
        {"noise_seed": 1.5},
        {"noise_seed": 2**64},
        {"blur": -0.1},
        {"blur": 1e9},
        {"bias_field": 0.3},
        {"bias_field": [0.1] * 8},
        {"bias_field": [float("nan")] * 9},
    ],
)
def test_bad_values_are_named(wrong: dict[str, object]) -> None:
    name = next(iter(wrong))
    with pytest.raises(ArgumentError, match=f"{name} is"):
        apply(IMAGES, **wrong)


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(ArgumentError, match=r"a change by \['sepia'\]"):
        apply(IMAGES, sepia=1)


def test_one_for_all_or_one_a_picture() -> None:
    assert checked(3, zoom=2)["zoom"].tolist() == [2.0] * 3
    assert checked(3, zoom=[1, 2, 3])["zoom"].tolist() == [1.0, 2.0, 3.0]
    assert checked(2, translation=[[1, 2], [3, 4]])["translation"].tolist() == [[1.0, 2.0], [3.0, 4.0]]
    assert checked(2, translation=(1, 2))["translation"].tolist() == [[1.0, 2.0]] * 2
    assert checked(1, noise_seed=np.uint8(3))["noise_seed"].tolist() == [3]


def test_an_empty_batch_stays_one() -> None:
    assert apply(IMAGES[:0], rotation=10, contrast=2.0, noise=3.0, blur=1.0).shape == (0, 8, 8, 1)

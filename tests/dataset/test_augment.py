import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from mri_tumor.dataset.augment import Augment, apply
from mri_tumor.errors import ArgumentError

NOTHING = Augment(rotation=0, brightness=0, contrast=0, mirror=False)


def pictures(count: int = 5, size: int = 24, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 1), dtype=np.uint8)


def one(rows: list[list[int]]) -> np.ndarray:
    return np.array(rows, np.uint8)[None, :, :, None]


def changed(rows: list[list[int]], **how: object) -> list[list[int]]:
    return apply(one(rows), **how).numpy()[0, :, :, 0].tolist()


@pytest.mark.parametrize("size", [4, 5, 224])
def test_positive_angles_turn_counter_clockwise(size: int) -> None:
    images = pictures(2, size)
    for quarter, angle in ((1, 90), (2, 180), (3, -90)):
        np.testing.assert_array_equal(apply(images, rotation=angle), np.rot90(images, quarter, axes=(1, 2)))


def test_a_quarter_turn_by_hand() -> None:
    assert changed([[1, 2], [3, 4]], rotation=90) == [[2, 4], [1, 3]]


def test_rotation_interpolates_and_fills_with_black() -> None:
    turned = apply(np.full((1, 9, 9, 1), 200, np.uint8), rotation=45).numpy()[0, :, :, 0]
    assert turned[4, 4] == 200
    assert turned[0, 0] == turned[0, 8] == turned[8, 0] == turned[8, 8] == 0
    assert set(np.unique(turned)) - {0, 200}


def test_brightness_adds_grey_levels_and_clips() -> None:
    assert changed([[0, 100], [210, 255]], brightness=51.0) == [[51, 151], [255, 255]]
    assert changed([[0, 100], [210, 255]], brightness=-51.0) == [[0, 49], [159, 204]]


def test_contrast_stretches_about_the_mean() -> None:
    assert changed([[40, 80], [120, 160]], contrast=1.2) == [[28, 76], [124, 172]]
    assert changed([[40, 80], [120, 160]], contrast=0.5) == [[70, 90], [110, 130]]
    assert changed([[0, 0], [0, 200]], contrast=1.5) == [[0, 0], [0, 255]]


def test_contrast_uses_each_pictures_own_mean() -> None:
    images = np.concatenate([one([[10, 10], [30, 30]]), one([[100, 100], [200, 200]])])
    together = apply(images, contrast=0.5).numpy()[:, :, 0, 0]
    assert together.tolist() == [[15, 25], [125, 175]]


def test_mirror_swaps_left_and_right_only() -> None:
    assert changed([[1, 2, 3], [4, 5, 6], [7, 8, 9]], mirror=True) == [[3, 2, 1], [6, 5, 4], [9, 8, 7]]


def test_mirror_comes_before_rotation() -> None:
    images = pictures(1, 6)
    np.testing.assert_array_equal(
        apply(images, mirror=True, rotation=90), np.rot90(images[:, :, ::-1], axes=(1, 2))
    )


def test_parameters_may_differ_by_picture() -> None:
    images = pictures(2)
    result = apply(images, mirror=[True, False], brightness=[0.0, 10.0]).numpy()
    np.testing.assert_array_equal(result[0], images[0][:, ::-1])
    np.testing.assert_array_equal(result[1], np.clip(images[1].astype(int) + 10, 0, 255))


def test_nothing_asked_is_identity() -> None:
    images = pictures(64, 17)
    np.testing.assert_array_equal(NOTHING(images, np.arange(64), seed=1, epoch=2), images)


def test_a_picture_alone_equals_itself_in_any_batch() -> None:
    images, augment = pictures(33, 32), Augment(rotation=40, brightness=0.3, contrast=0.5)
    whole = augment(images, np.arange(33), seed=3, epoch=5).numpy()
    backwards = augment(images[::-1], np.arange(33)[::-1], seed=3, epoch=5).numpy()[::-1]
    np.testing.assert_array_equal(whole, backwards)
    for place in range(33):
        alone = augment(images[place : place + 1], [place], seed=3, epoch=5)
        np.testing.assert_array_equal(alone[0], whole[place])


def test_inside_a_dataset_it_gives_the_same() -> None:
    images, augment = pictures(16, 32), Augment()
    data = tf.data.Dataset.from_tensor_slices((images, np.arange(16, dtype=np.int64))).batch(5)
    data = data.map(lambda x, i: augment(x, i, seed=9, epoch=1), num_parallel_calls=4)
    assert data.element_spec.shape.as_list() == [None, 32, 32, 1]
    inside = np.concatenate(list(data.as_numpy_iterator()))
    np.testing.assert_array_equal(inside, augment(images, np.arange(16), seed=9, epoch=1))


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**70), epoch=st.integers(0, 10_000), index=st.integers(0, 2**40))
def test_describe_makes_the_picture_again(seed: int, epoch: int, index: int) -> None:
    augment, images = Augment(rotation=30), pictures(1, 16)
    made = augment(images, [index], seed=seed, epoch=epoch)
    described = augment.describe(seed=seed, epoch=epoch, index=index)
    np.testing.assert_array_equal(made, apply(images, **described))
    assert abs(described["rotation"]) <= 30
    assert abs(described["brightness"]) <= 51
    assert 0.8 <= described["contrast"] <= 1.2
    assert isinstance(described["mirror"], bool)


def test_draws_fill_their_range() -> None:
    augment = Augment(rotation=20, brightness=0.1, contrast=0.4)
    drawn = [augment.describe(0, 0, index) for index in range(2000)]
    for name, low, high in (("rotation", -20, 20), ("brightness", -25.5, 25.5), ("contrast", 0.6, 1.4)):
        values = np.array([row[name] for row in drawn])
        assert np.allclose(
            np.quantile(values, [0, 0.25, 0.5, 0.75, 1]), np.linspace(low, high, 5), atol=0.04 * high
        )
    assert 0.46 < np.mean([row["mirror"] for row in drawn]) < 0.54


def test_another_seed_epoch_or_index_draws_anew() -> None:
    draws = [Augment().describe(*where)["rotation"] for where in ((0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1))]
    assert len(set(draws)) == 4


def test_parameters_are_independent_of_each_other() -> None:
    rows = [Augment().describe(0, 0, index) for index in range(2000)]
    table = np.array([[row["rotation"], row["brightness"], row["contrast"], row["mirror"]] for row in rows])
    assert np.abs(np.corrcoef(table.T) - np.eye(4)).max() < 0.08


def test_draws_are_the_same_for_ever() -> None:
    drawn = Augment().describe(seed=7, epoch=2, index=11)
    assert drawn == pytest.approx(
        {"rotation": 1.645144194590987, "brightness": 29.395297111627883, "contrast": 0.9579635415547835}
        | {"mirror": True}
    )


def test_mirror_false_never_mirrors() -> None:
    assert not any(Augment(mirror=False).describe(0, 0, index)["mirror"] for index in range(50))


def test_dictionary_round_trip_and_digest() -> None:
    augment = Augment(rotation=7, mirror=False)
    assert Augment.from_dict(augment.to_dict()) == augment
    assert augment.digest == Augment(rotation=7.0, mirror=False).digest != Augment().digest


@pytest.mark.parametrize(
    "wrong",
    [
        {"rotation": -1},
        {"rotation": 181},
        {"rotation": "15"},
        {"rotation": True},
        {"rotation": float("nan")},
        {"brightness": 1.5},
        {"brightness": None},
        {"contrast": -0.1},
        {"mirror": 1},
    ],
)
def test_bad_arguments_are_named(wrong: dict[str, object]) -> None:
    with pytest.raises(ArgumentError, match=next(iter(wrong))):
        Augment(**wrong)


@pytest.mark.parametrize("wrong", [{}, {"rotation": 1}, {**Augment().to_dict(), "blur": 1}, [1], None])
def test_another_dictionary_is_refused(wrong: object) -> None:
    with pytest.raises(ArgumentError, match="exactly"):
        Augment.from_dict(wrong)


@pytest.mark.parametrize(
    "images",
    [
        np.zeros((2, 8, 8, 1), np.float32),
        np.zeros((2, 8, 8), np.uint8),
        np.zeros((2, 8, 9, 1), np.uint8),
        np.zeros((2, 8, 8, 3), np.uint8),
    ],
)
def test_other_pictures_are_refused(images: np.ndarray) -> None:
    with pytest.raises(ArgumentError, match="images are"):
        Augment()(images, [0, 1], seed=0, epoch=0)


def test_other_indices_seeds_and_epochs_are_refused() -> None:
    images = pictures(2)
    for indices in ([0], [0.0, 1.0], [[0, 1]]):
        with pytest.raises(ArgumentError, match="indices are"):
            Augment()(images, indices, seed=0, epoch=0)
    with pytest.raises(ArgumentError, match="seed is -1"):
        Augment()(images, [0, 1], seed=-1, epoch=0)
    with pytest.raises(ArgumentError, match=r"epoch is 1\.5"):
        Augment().describe(0, 1.5, 0)
    with pytest.raises(ArgumentError, match="index is -1"):
        Augment().describe(0, 0, -1)

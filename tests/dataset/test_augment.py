import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from mri_tumor.dataset.augment import Augment, apply
from mri_tumor.errors import ArgumentError

NOTHING = Augment(rotation=0, brightness=0, contrast=0, mirror=False)
ADDED = {
    "translation": 0.1,
    "zoom": 0.2,
    "shear": 10,
    "gamma": 0.4,
    "noise": 12,
    "blur": 1.5,
    "bias_field": 0.4,
    "updown": True,
}
EVERYTHING = Augment(**ADDED)
OLD = {"rotation": 15.0, "brightness": 0.2, "contrast": 0.2, "mirror": True}
OLD_DIGEST = "326ad42ecd3b71248155c5d65078b5c443c13fe46044fbcc4bfbee2c60c17dc6"


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


@pytest.mark.parametrize("augment", [Augment(rotation=40, brightness=0.3, contrast=0.5), EVERYTHING])
def test_a_picture_alone_equals_itself_in_any_batch(augment: Augment) -> None:
    images = pictures(33, 32)
    whole = augment(images, np.arange(33), seed=3, epoch=5).numpy()
    backwards = augment(images[::-1], np.arange(33)[::-1], seed=3, epoch=5).numpy()[::-1]
    np.testing.assert_array_equal(whole, backwards)
    for place in range(33):
        alone = augment(images[place : place + 1], [place], seed=3, epoch=5)
        np.testing.assert_array_equal(alone[0], whole[place])


def test_any_number_of_threads_gives_the_same() -> None:
    images, indices = pictures(64, 40), np.arange(64, dtype=np.int64)
    expected = EVERYTHING(images, indices, seed=4, epoch=2).numpy()
    data = tf.data.Dataset.from_tensor_slices((images, indices)).batch(3)
    for threads in (1, 8):
        made = data.map(lambda x, i: EVERYTHING(x, i, seed=4, epoch=2), num_parallel_calls=threads)
        np.testing.assert_array_equal(np.concatenate(list(made.as_numpy_iterator())), expected)
    with ThreadPoolExecutor(8) as pool:
        many = pool.map(lambda place: EVERYTHING(images, indices, seed=4, epoch=2).numpy(), range(16))
    assert all((made == expected).all() for made in many)


def test_the_same_seed_epoch_and_index_give_the_same_bytes_again() -> None:
    images = pictures(4, 40)
    once, again, other = (
        EVERYTHING(images, [9, 5, 7, 3], seed=4, epoch=epoch).numpy() for epoch in (2, 2, 3)
    )
    assert once.tobytes() == again.tobytes() != other.tobytes()


def test_inside_a_function_it_gives_the_same() -> None:
    images, augment = pictures(4), EVERYTHING
    inside = tf.function(lambda x, i: augment(x, i, seed=1, epoch=1))(images, tf.range(4))
    np.testing.assert_array_equal(inside, augment(images, np.arange(4), seed=1, epoch=1))
    how = {"rotation": 0.1, "noise": 3.3, "noise_seed": 2**53 - 1, "translation": (0.1, 0.2), "mirror": True}
    inside = tf.function(lambda x, angle: apply(x, **{**how, "rotation": angle}))
    np.testing.assert_array_equal(inside(images, tf.constant(0.1, tf.float64)), apply(images, **how))


def test_what_is_wrong_in_a_graph() -> None:
    images = pictures(2)
    with pytest.raises(ArgumentError, match="a change by"):
        tf.function(lambda x: apply(x, rotated=3.0), autograph=False)(images)  # type: ignore[call-arg]
    with pytest.raises(tf.errors.OpError, match="zoom is"):
        tf.function(lambda x: apply(x, zoom=-1.0))(images)


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


@given(seed=st.integers(0, 2**70), epoch=st.integers(0, 10_000), index=st.integers(0, 2**40))
def test_describe_makes_every_operation_again(seed: int, epoch: int, index: int) -> None:
    images = pictures(2, 16)[1:]
    described = json.loads(json.dumps(EVERYTHING.describe(seed, epoch, index)))
    assert set(described) == {*OLD, *ADDED, "noise_seed"}
    made = EVERYTHING(images, [index], seed=seed, epoch=epoch)
    np.testing.assert_array_equal(made, apply(images, **described))
    assert max(map(abs, described["translation"])) <= 0.1
    assert 0.8 <= described["zoom"] <= 1.2
    assert abs(described["shear"]) <= 10
    assert np.exp(-0.4) - 1e-9 <= described["gamma"] <= np.exp(0.4) + 1e-9
    assert 0 <= described["noise"] <= 12
    assert 0 <= described["blur"] <= 1.5
    assert sum(map(abs, described["bias_field"])) <= 0.4 + 1e-9
    assert isinstance(described["updown"], bool)


def test_each_operation_changes_pictures_and_draws_alone() -> None:
    images, indices = pictures(8), np.arange(8)
    everything = EVERYTHING.describe(2, 1, 5)
    for name, amount in ADDED.items():
        augment = Augment(rotation=0, brightness=0, contrast=0, mirror=False, **{name: amount})
        assert (augment(images, indices, seed=0, epoch=0).numpy() != images).any(axis=(1, 2, 3)).sum() >= 2
        described = augment.describe(2, 1, 5)
        assert described[name] == everything[name]
        assert set(described) - set(OLD) == {name} | ({"noise_seed"} if name == "noise" else set())


def test_added_draws_fill_their_range() -> None:
    drawn = [EVERYTHING.describe(0, 0, index) for index in range(2000)]
    ranges = {"zoom": (0.8, 1.2), "shear": (-10, 10), "noise": (0, 12), "blur": (0, 1.5)}
    columns = {name: [row[name] for row in drawn] for name in ranges}
    columns |= {"log": [np.log(row["gamma"]) for row in drawn]}
    columns |= {f"shift {way}": [row["translation"][way] for row in drawn] for way in (0, 1)}
    columns |= {"field": [sum(map(abs, row["bias_field"])) for row in drawn]}
    ranges |= {"log": (-0.4, 0.4), "shift 0": (-0.1, 0.1), "shift 1": (-0.1, 0.1), "field": (0, 0.4)}
    for name, (low, high) in ranges.items():
        found = np.quantile(columns[name], [0, 0.25, 0.5, 0.75, 1])
        assert np.allclose(found, np.linspace(low, high, 5), atol=0.04 * (high - low)), name
    assert np.abs(np.corrcoef(list(columns.values())) - np.eye(len(columns))).max() < 0.08
    assert 0.46 < np.mean([row["updown"] for row in drawn]) < 0.54
    assert len({row["noise_seed"] for row in drawn}) == 2000


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


def test_added_draws_are_the_same_for_ever() -> None:
    drawn = EVERYTHING.describe(seed=7, epoch=2, index=11)
    assert {name: drawn[name] for name in OLD} == Augment().describe(seed=7, epoch=2, index=11)
    assert drawn["translation"] == pytest.approx([0.04586247258996362, -0.008745225164518214])
    assert drawn["bias_field"][:3] == pytest.approx([-0.0544695327774, -0.0660901461021, 0.0338119764110])
    assert {name: drawn[name] for name in ("zoom", "shear", "gamma", "noise", "blur")} == pytest.approx(
        {"zoom": 1.0958858921747592, "shear": 8.205931254297038, "gamma": 1.1474140248391245}
        | {"noise": 7.828801515689587, "blur": 1.398264679090186}
    )
    assert (drawn["noise_seed"], drawn["updown"]) == (4539675986672064, True)


def test_updown_false_never_turns_heads_over() -> None:
    assert "updown" not in Augment().describe(0, 0, 0)
    described = [Augment(**{**ADDED, "updown": False}).describe(0, 0, index) for index in range(50)]
    assert not any("updown" in row for row in described)


def test_mirror_false_never_mirrors() -> None:
    assert not any(Augment(mirror=False).describe(0, 0, index)["mirror"] for index in range(50))


def test_dictionary_round_trip_and_digest() -> None:
    augment = Augment(rotation=7, mirror=False)
    assert Augment.from_dict(augment.to_dict()) == augment
    assert augment.digest == Augment(rotation=7.0, mirror=False).digest != Augment().digest


def test_what_was_written_before_the_added_ones_loads_and_keeps_its_digest() -> None:
    assert Augment.from_dict(OLD) == Augment()
    assert Augment().to_dict() == OLD
    assert list(Augment().to_dict()) == list(OLD)
    assert Augment.from_dict(OLD).digest == OLD_DIGEST
    assert {**NOTHING.to_dict()} == {"rotation": 0.0, "brightness": 0.0, "contrast": 0.0, "mirror": False}


@pytest.mark.parametrize("name", ADDED)
def test_added_operations_are_written_when_they_are_on(name: str) -> None:
    augment = Augment(**{name: ADDED[name]})
    assert set(augment.to_dict()) == {*OLD, name}
    assert Augment.from_dict(json.loads(json.dumps(augment.to_dict()))) == augment
    assert augment.digest not in (OLD_DIGEST, EVERYTHING.digest)
    assert Augment.from_dict({**OLD, name: 0 if name != "updown" else False}).digest == OLD_DIGEST


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
        {"translation": 1.1},
        {"translation": (0.1, 0.1)},
        {"zoom": 0.95},
        {"shear": 46},
        {"gamma": -0.1},
        {"noise": 256},
        {"blur": float("inf")},
        {"bias_field": 2},
        {"updown": 0},
    ],
)
def test_bad_arguments_are_named(wrong: dict[str, object]) -> None:
    with pytest.raises(ArgumentError, match=next(iter(wrong))):
        Augment(**wrong)


@pytest.mark.parametrize("wrong", [{}, {"rotation": 1}, {**Augment().to_dict(), "sepia": 1}, [1], None])
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

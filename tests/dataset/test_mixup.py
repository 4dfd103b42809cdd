import json
import math

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from mri_tumor.dataset.draws import uniform
from mri_tumor.dataset.mixup import MixUp
from mri_tumor.errors import ArgumentError


def pictures(count: int, size: int = 12) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 1), dtype=np.uint8)


def even(*levels: int) -> np.ndarray:
    return np.repeat(np.array(levels, np.uint8), 4).reshape(-1, 2, 2, 1)


def test_two_pictures_by_hand() -> None:
    # Beta(1, 1) is uniform, so a share is what was drawn.
    shares = uniform("mixup share", 3, 1, [7, 8])
    mixed, rows = MixUp(alpha=1, classes=2)(even(40, 200), [0, 1], [7, 8], seed=3, epoch=1)
    expected = [
        round(shares[0] * 40 + (1 - shares[0]) * 200),
        round(shares[1] * 200 + (1 - shares[1]) * 40),
    ]
    assert mixed.numpy()[:, 0, 0, 0].tolist() == expected
    expected_rows = [[shares[0], 1 - shares[0]], [1 - shares[1], shares[1]]]
    np.testing.assert_allclose(rows, expected_rows, atol=1e-7)
    assert (mixed.dtype, rows.dtype) == (tf.uint8, tf.float32)


def test_the_same_for_ever() -> None:
    found = MixUp(alpha=1).describe([0, 1, 2, 3], seed=5, epoch=2)
    assert found["partner"] == [3, 2, 0, 1]
    assert found["share"] == pytest.approx(
        [0.007771164084407145, 0.23712896457683064, 0.9175758378873572, 0.36154747919596797]
    )
    mixed, _ = MixUp(alpha=1, classes=2)(even(0, 100), [0, 1], [0, 1], seed=5, epoch=2)
    assert mixed.numpy()[:, 0, 0, 0].tolist() == [99, 24]


def test_the_shares_are_beta_distributed() -> None:
    indices = np.arange(4000)
    for alpha in (0.2, 0.5, 1.0, 3.0):
        shares = np.array(MixUp(alpha=alpha).describe(indices, seed=0, epoch=0)["share"])
        # The variance of Beta(a, a) is 1 / (4 (2 a + 1)).
        assert abs(shares.mean() - 0.5) < 0.02
        assert shares.var() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.04)
    # Beta(1/2, 1/2) is the arcsine distribution.
    drawn = uniform("mixup share", 0, 0, indices[:50])
    expected = [math.sin(math.pi / 2 * value) ** 2 for value in drawn]
    np.testing.assert_allclose(
        MixUp(alpha=0.5).describe(indices[:50], seed=0, epoch=0)["share"], expected, atol=1e-9
    )


@given(
    indices=st.lists(st.integers(0, 2**40), min_size=1, max_size=40, unique=True),
    seed=st.integers(0, 2**70),
    epoch=st.integers(0, 1000),
)
def test_every_picture_is_a_partner_once_and_none_its_own(indices: list[int], seed: int, epoch: int) -> None:
    found = MixUp().describe(indices, seed=seed, epoch=epoch)
    assert sorted(found["partner"]) == sorted(indices)
    assert len(indices) == 1 or all(a != b for a, b in zip(indices, found["partner"], strict=True))
    assert all(0 <= share <= 1 for share in found["share"])
    backwards = MixUp().describe(indices[::-1], seed=seed, epoch=epoch)
    assert backwards == {name: values[::-1] for name, values in found.items()}


def test_partner_and_share_depend_on_seed_and_epoch() -> None:
    draws = [
        MixUp().describe(range(20), seed=seed, epoch=epoch)
        for seed, epoch in ((0, 0), (1, 0), (0, 1), (0, 0))
    ]
    assert draws[0] == draws[3]
    for other in draws[1:3]:
        assert other["partner"] != draws[0]["partner"]
        assert other["share"] != draws[0]["share"]


def test_the_share_does_not_depend_on_the_batch() -> None:
    whole = MixUp().describe(range(20), seed=0, epoch=0)["share"]
    assert MixUp().describe([7], seed=0, epoch=0)["share"] == [whole[7]]


def test_describe_says_what_was_mixed() -> None:
    images, indices, labels = pictures(9), np.arange(20, 29), np.arange(9) % 4
    mixed, rows = MixUp(alpha=1)(images, labels, indices, seed=2, epoch=4)
    drawn = json.loads(json.dumps(MixUp(alpha=1).describe(indices, seed=2, epoch=4)))
    for place, (partner, share) in enumerate(zip(drawn["partner"], drawn["share"], strict=True)):
        exact = share * images[place] + (1 - share) * images[partner - 20].astype(float)
        assert np.abs(mixed[place].numpy() - exact).max() <= 0.5 + 1e-3
        expected = np.zeros(4)
        expected[labels[place]] += share
        expected[labels[partner - 20]] += 1 - share
        np.testing.assert_allclose(rows[place], expected, atol=1e-6)


def test_one_hot_and_soft_rows_are_taken() -> None:
    images, labels, indices = pictures(6), np.array([0, 3, 1, 1, 2, 0]), np.arange(6)
    mixup = MixUp()
    images_of_numbers, by_numbers = mixup(images, labels, indices, seed=0, epoch=0)
    for kind in (np.float32, np.int64):
        made, rows = mixup(images, np.eye(4, dtype=kind)[labels], indices, seed=0, epoch=0)
        np.testing.assert_array_equal(made, images_of_numbers)
        np.testing.assert_array_equal(rows, by_numbers)
    soft = np.full((6, 4), 0.25, np.float32)
    np.testing.assert_allclose(mixup(images, soft, indices, seed=0, epoch=0)[1], soft)


def test_rows_add_up_to_one() -> None:
    rows = MixUp(alpha=0.7)(pictures(64), np.arange(64) % 4, np.arange(64), seed=0, epoch=0)[1].numpy()
    np.testing.assert_allclose(rows.sum(axis=1), 1, atol=1e-6)
    assert (rows >= 0).all()
    assert ((rows > 0).sum(axis=1) <= 2).all()


def test_a_picture_alone_stays_as_it_is() -> None:
    images = pictures(1)
    mixed, rows = MixUp(alpha=1)(images, [2], [5], seed=0, epoch=0)
    np.testing.assert_array_equal(mixed, images)
    assert rows.numpy().tolist() == [[0, 0, 1, 0]]


def test_inside_a_dataset_it_gives_the_same() -> None:
    images, labels, indices = pictures(24), np.arange(24) % 4, np.arange(24, dtype=np.int64)
    mixup = MixUp(alpha=0.5)
    data = tf.data.Dataset.from_tensor_slices((images, labels, indices)).batch(8)
    made = data.map(lambda *batch: mixup(*batch, seed=1, epoch=2), num_parallel_calls=4)
    assert [spec.shape.as_list() for spec in made.element_spec] == [[None, 12, 12, 1], [None, 4]]
    for (inside, rows), batch in zip(made, data, strict=True):
        expected, expected_rows = mixup(*batch, seed=1, epoch=2)
        np.testing.assert_array_equal(inside, expected)
        np.testing.assert_array_equal(rows, expected_rows)


def test_dictionary_round_trip_and_digest() -> None:
    mixup = MixUp(alpha=1, classes=3)
    assert mixup.to_dict() == {"alpha": 1.0, "classes": 3}
    assert MixUp.from_dict(json.loads(json.dumps(mixup.to_dict()))) == mixup
    assert mixup.digest == MixUp(alpha=1.0, classes=3).digest != MixUp().digest


@pytest.mark.parametrize("wrong", [{}, {"alpha": 0.2}, {"alpha": 0.2, "classes": 4, "x": 1}, [1], None])
def test_another_dictionary_is_refused(wrong: object) -> None:
    with pytest.raises(ArgumentError, match="exactly alpha and classes"):
        MixUp.from_dict(wrong)


@pytest.mark.parametrize(
    "wrong",
    [
        {"alpha": 0},
        {"alpha": -1},
        {"alpha": 101},
        {"alpha": float("nan")},
        {"alpha": "0.2"},
        {"alpha": True},
        {"classes": 0},
        {"classes": 2.0},
    ],
)
def test_bad_arguments_are_named(wrong: dict[str, object]) -> None:
    with pytest.raises(ArgumentError, match=next(iter(wrong))):
        MixUp(**wrong)


@pytest.mark.parametrize(
    ("labels", "match"),
    [
        ([0, 4], "labels from 0 to 4"),
        ([-1, 0], "labels from -1 to 0"),
        ([0.0, 1.0], "labels are float64"),
        ([0, 1, 2], "labels are"),
        ([[1, 0, 0]] * 2, "labels are"),
        ([[1, 1, 0, 0]] * 2, "add up to 1"),
        ([[2.0, -1.0, 0, 0]] * 2, "add up to 1"),
        ([[True, False, False, False]] * 2, "labels are bool"),
        ([["a"]], "labels are"),
    ],
)
def test_other_labels_are_refused(labels: object, match: str) -> None:
    with pytest.raises(ArgumentError, match=match):
        MixUp()(pictures(2), labels, [0, 1], seed=0, epoch=0)


def test_other_pictures_indices_and_seeds_are_refused() -> None:
    with pytest.raises(ArgumentError, match="images are float32"):
        MixUp()(pictures(2).astype(np.float32), [0, 1], [0, 1], seed=0, epoch=0)
    with pytest.raises(ArgumentError, match="indices are"):
        MixUp()(pictures(2), [0, 1], [0], seed=0, epoch=0)
    with pytest.raises(ArgumentError, match="seed is -1"):
        MixUp()(pictures(2), [0, 1], [0, 1], seed=-1, epoch=0)
    with pytest.raises(ArgumentError, match="indices are"):
        MixUp().describe([0.5], seed=0, epoch=0)

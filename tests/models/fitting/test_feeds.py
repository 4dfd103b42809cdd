import numpy as np
import pytest
import tensorflow as tf

from mri_tumor.dataset.augment import Augment
from mri_tumor.dataset.mixup import MixUp
from mri_tumor.dataset.preprocess import Preprocess
from mri_tumor.models.fitting import feeds
from mri_tumor.models.fitting.feature_table import FeatureTable
from mri_tumor.models.fitting.feeds import class_weights, feature_feed, picture_feed, uses_features
from mri_tumor.models.fitting.sources import PlainSource
from mri_tumor.models.recipe import Recipe
from mri_tumor.models.steps.devices import Devices

RECIPE = Recipe(batch_size=8, augment=None, seed=2)
WEIGHTS = np.array([0.5, 1.0, 1.5, 3.0], np.float32)
NONE = np.arange(0)


@pytest.fixture(scope="module")
def network(make_network):
    return make_network(frozen=True)


@pytest.fixture(scope="module")
def pictures(pool) -> tuple[np.ndarray, np.ndarray]:
    """Return all pictures of the pool and their classes, in its order."""
    batches = pool.batches(np.arange(pool.count), batch_size=64, augment=None, seed=0, epoch=0)
    return next((batch["image"].numpy(), batch["label"].numpy()) for batch in batches)


def joined(batches) -> list[np.ndarray]:
    return [np.concatenate(column) for column in zip(*batches, strict=True)]


def test_features_serve_where_the_backbone_is_frozen_and_the_pictures_are_known(make_network, network, pool):
    sources = list(pool.sources.values())
    data = tf.data.Dataset.from_tensor_slices((np.zeros((2, 32, 32, 1), np.uint8), [0, 1]))
    plain = PlainSource(data, "train", Preprocess(size=32), 4)
    assert uses_features(network, sources, RECIPE)
    assert not uses_features(network, [sources[0], plain], RECIPE)
    assert not uses_features(network, sources, RECIPE.replace(cache_features=False))
    assert not uses_features(make_network(), sources, RECIPE)


def test_balanced_weights_count_every_class_the_same_and_are_1_in_the_mean(pool):
    labels = pool.label_indices[pool.places("train")]
    weights = class_weights(labels, 4, RECIPE)
    assert weights[labels].mean() == pytest.approx(1)
    np.testing.assert_allclose(weights * np.bincount(labels), len(labels) / 4, rtol=1e-6)
    for other in ("none", "sampling"):
        assert class_weights(labels, 4, RECIPE.replace(class_weights=other)).tolist() == [1] * 4


def test_pictures_come_once_an_epoch_in_another_order_with_their_weights(network, pool, pictures):
    images, labels = pictures
    places = np.array([0, 1, 5, 9, 13, 17, 20, 22, 23, 26, 29])  # of both sources
    feed = picture_feed(network, pool, places, NONE, RECIPE, WEIGHTS)
    assert (feed.model, feed.steps, feed.validation) == (network, 2, None)
    orders = []
    for epoch in (0, 0, 1):
        found, classes, weights = joined(feed.data(epoch))
        same = (found[:, None] == images[None, places]).all(axis=(2, 3, 4))
        orders.append(same.argmax(axis=1).tolist())
        assert same.any(axis=1).all()
        assert classes.tolist() == labels[places][orders[-1]].tolist()
        assert weights.tolist() == WEIGHTS[classes].tolist()
        assert sorted(orders[-1]) == list(range(len(places)))
    assert orders[0] == orders[1] != orders[2]


def test_pictures_are_varied_in_training_and_not_in_validation(network, pool, pictures):
    images, labels = pictures
    recipe = RECIPE.replace(augment=Augment(rotation=20))
    train, validation = pool.places("train"), np.array([23, 22, 4])
    feed = picture_feed(network, pool, train, validation, recipe, WEIGHTS)
    epochs = [joined(feed.data(epoch))[0] for epoch in (0, 1)]
    seen = [(epoch[:, None] == images[None]).all(axis=(2, 3, 4)).any(axis=1).mean() for epoch in epochs]
    assert max(seen) < 0.5
    assert not np.array_equal(np.sort(epochs[0], axis=0), np.sort(epochs[1], axis=0))
    for _ in range(2):
        judged, classes = joined(feed.validation)
        np.testing.assert_array_equal(judged, images[validation])
        assert classes.tolist() == labels[validation].tolist()


def test_with_sampling_every_class_comes_equally_often_and_repeats_are_varied_anew(network, pool):
    recipe = RECIPE.replace(class_weights="sampling", augment=Augment(rotation=20))
    labels = pool.label_indices
    few = np.concatenate([np.flatnonzero(labels == 0)[:6], np.flatnonzero(labels == 1)[:2]])
    feed = picture_feed(network, pool, few, NONE, recipe, np.ones(4, np.float32))
    images, classes, weights = joined(feed.data(0))
    assert np.bincount(classes).tolist() == [4, 4]
    assert feed.steps == 1
    assert weights.tolist() == [1] * 8
    repeated = images[classes == 1]
    assert len(np.unique(repeated.reshape(4, -1), axis=0)) == 4
    again = images[classes == 0]
    assert len(np.unique(again.reshape(4, -1), axis=0)) == 4


def test_mixup_blends_pictures_labels_and_weights(network, pool, pictures):
    images, labels = pictures
    recipe = RECIPE.replace(mixup=0.4, batch_size=10)
    places = np.arange(10)
    feed = picture_feed(network, pool, places, NONE, recipe, WEIGHTS)
    found, rows, weights = next(iter(feed.data(3)))
    plain = picture_feed(network, pool, places, NONE, RECIPE.replace(batch_size=10), WEIGHTS)
    order = (next(iter(plain.data(3)))[0].numpy()[:, None] == images[None, places]).all(axis=(2, 3, 4))
    order = order.argmax(axis=1)
    expected = MixUp(0.4, 4)(images[order], labels[order], order, seed=RECIPE.seed, epoch=3)
    np.testing.assert_array_equal(found, expected[0])
    np.testing.assert_allclose(rows, expected[1], atol=1e-6)
    np.testing.assert_allclose(np.sum(rows, axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(weights, np.asarray(rows) @ WEIGHTS, rtol=1e-5)
    assert (np.max(rows, axis=1) < 1).any()


def test_a_head_is_fed_every_class_equally_often_too(network, pool, tmp_path):
    recipe = RECIPE.replace(class_weights="sampling", augment=Augment(rotation=5), copies=1)
    table = FeatureTable(network, pool, recipe, tmp_path)
    places = np.concatenate([np.arange(6), np.flatnonzero(pool.label_indices == 3)[:2]])
    feed = feature_feed(network, table, places, pool.places("validation"), recipe, np.ones(4, np.float32))
    assert feed.steps == 2
    values, classes, _ = joined(feed.data(0))
    assert np.bincount(classes).tolist() == [8, 0, 0, 8]
    # Standardised as one: the pictures of the large class come less often than they are.
    assert len(np.unique(values[classes == 3], axis=0)) == 4
    assert len(np.unique(values[classes == 0], axis=0)) == 8
    judged, labels = joined(feed.validation)
    assert (judged.shape, len(labels)) == ((8, 8), 8)


@pytest.mark.parametrize("count", [11, 17], ids=["of one source", "of both"])
@pytest.mark.parametrize("mixup", [0.0, 0.4])
def test_workers_share_every_batch(network, pool, monkeypatch, mixup, count):
    recipe = RECIPE.replace(mixup=mixup, augment=Augment(rotation=20))
    places = np.arange(count) if count == 11 else np.arange(pool.count)[-count:]
    whole = picture_feed(network, pool, places, places, recipe, WEIGHTS)
    parts = []
    for worker in range(2):
        monkeypatch.setattr(feeds, "devices_of", lambda recipe, worker=worker: Devices(None, worker, 2))
        parts.append(picture_feed(network, pool, places, places, recipe, WEIGHTS))
        assert parts[-1].steps == whole.steps
    for name in ("data", "validation"):
        batches = [list(one.data(1) if name == "data" else one.validation) for one in (whole, *parts)]
        assert len(batches[0]) == len(batches[1]) == len(batches[2])
        for batch, *shares in zip(*batches, strict=True):
            assert len(shares[1][0]) - len(shares[0][0]) in (0, 1)  # of one picture the first one gets none
            for expected, *found in zip(batch, *shares, strict=True):
                np.testing.assert_array_equal(np.concatenate(found), expected)


def test_workers_share_the_batches_of_a_plain_dataset():
    data = tf.data.Dataset.from_tensor_slices((np.zeros((9, 32, 32, 1), np.uint8), np.arange(9) % 4))
    plain = PlainSource(data, "train", Preprocess(size=32), 4)
    options = {"batch_size": 8, "augment": Augment(rotation=20), "seed": 0, "epoch": 0, "order": np.arange(9)}
    found = [[len(batch["image"]) for batch in plain.batches(**options, worker=w, workers=2)] for w in (0, 1)]
    assert found == [[4, 0], [4, 1]]

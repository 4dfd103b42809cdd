import sys

import keras
import numpy as np
import pytest

from mri_tumor.dataset.augment import Augment
from mri_tumor.dataset.catalog import scan
from mri_tumor.dataset.pipeline import Examples, load
from mri_tumor.dataset.preprocess import Preprocess
from mri_tumor.errors import TrainingError
from mri_tumor.models.builders import backbone, build, head
from mri_tumor.models.engines.looks import Look, tensorflow_look
from mri_tumor.models.engines.tensorflow_engine import pictures_a_call
from mri_tumor.models.fitting import features as module
from mri_tumor.models.fitting.feature_table import FeatureTable
from mri_tumor.models.fitting.features import (
    FeatureCache,
    Features,
    Scaling,
    compute_features,
    foldable,
    head_batches,
)
from mri_tumor.models.fitting.feeds import feature_feed
from mri_tumor.models.fitting.pool import Pool
from mri_tumor.models.loop import run_epochs
from mri_tumor.models.recipe import Recipe

SPEC = Preprocess(size=32)
AUGMENT = Augment(rotation=10)


@pytest.fixture(scope="module")
def network() -> keras.Model:
    keras.utils.set_random_seed(2)
    return build("small_cnn", size=32, width=2, dropout=0.3, frozen=True)


@pytest.fixture
def examples(make_folder) -> Examples:
    # 34 pictures: the last batch must be filled up.
    return Examples(scan(make_folder(per_class=9))[:-2], SPEC)


def test_features_are_what_the_backbone_gives_in_order(network, examples):
    part = backbone(network)
    found = compute_features(
        tensorflow_look(part, pictures_a_call()),
        examples.batches(pictures_a_call()),
        total=34,
        doing="features",
    )
    images = np.concatenate([batch["image"] for batch in examples.batches(5)])
    np.testing.assert_allclose(found.values, part.predict(images, verbose=0), atol=1e-5)
    assert found.labels.tolist() == examples.label_indices.tolist()


def test_pictures_that_are_missing_are_an_error(network, examples):
    with pytest.raises(TrainingError, match="34 pictures came"):
        compute_features(
            tensorflow_look(backbone(network), pictures_a_call()),
            examples.batches(pictures_a_call()),
            total=37,
            doing="features",
        )


def test_a_copy_is_what_that_epoch_draws(network, examples, tmp_path):
    cache = FeatureCache(tmp_path, backbone(network))
    found = cache.copy(examples, "train", augment=AUGMENT, seed=4, copy=2)
    batches = examples.batches(pictures_a_call(), augment=AUGMENT, seed=4, epoch=2)
    look = tensorflow_look(backbone(network), pictures_a_call())
    expected = compute_features(look, batches, total=34, doing="features")
    np.testing.assert_allclose(found.values, expected.values, atol=1e-5)
    for other in ({"seed": 5, "copy": 2}, {"seed": 4, "copy": 1}):
        assert not np.allclose(cache.copy(examples, "train", augment=AUGMENT, **other).values, found.values)


def test_files_are_used_again_only_when_everything_fits(network, examples, tmp_path, monkeypatch):
    calls = []
    compute = compute_features
    monkeypatch.setattr(
        module, "compute_features", lambda *args, **options: calls.append(1) or compute(*args, **options)
    )
    cache = FeatureCache(tmp_path, backbone(network))
    first = cache.originals(examples, "train")
    again = FeatureCache(tmp_path, backbone(network)).originals(examples, "train")
    assert len(calls) == 1
    np.testing.assert_array_equal(first.values, again.values)
    for augment, seed in ((AUGMENT, 0), (AUGMENT, 1), (Augment(rotation=11), 0)):
        cache.copy(examples, "train", augment=augment, seed=seed, copy=1)
    assert len(calls) == 4
    keras.utils.set_random_seed(3)
    FeatureCache(tmp_path, backbone(build("small_cnn", size=32, width=2))).originals(examples, "train")
    assert len(calls) == 5


def test_a_damaged_file_is_made_again(network, examples, tmp_path, caplog):
    cache = FeatureCache(tmp_path, backbone(network))
    first = cache.originals(examples, "train")
    path = next(tmp_path.glob("train-originals-*.npz"))
    path.write_bytes(path.read_bytes()[:200])
    np.testing.assert_array_equal(cache.originals(examples, "train").values, first.values)
    assert path.name in caplog.text
    with np.load(path) as arrays:
        assert len(arrays["labels"]) == 34


def test_scaling_standardises_and_leaves_constants_alone():
    values = np.random.default_rng(0).normal(5, 3, (50, 4)).astype(np.float32)
    values[:, 2] = 7
    scaled = Scaling.of(values)(values)
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.std(axis=0), [1, 1, 0, 1], atol=1e-5)


def test_a_folded_layer_takes_plain_features():
    values = np.random.default_rng(0).normal(5, 3, (50, 4)).astype(np.float32)
    scaling = Scaling.of(values)
    layer = keras.layers.Dense(3)
    expected = np.asarray(layer(scaling(values)))
    scaling.fold(layer)
    np.testing.assert_allclose(np.asarray(layer(values)), expected, atol=1e-5)


def test_only_one_dense_layer_is_folded(network):
    assert foldable(head(network))
    inputs = keras.Input((4,))
    deep = keras.layers.Dense(3)(keras.layers.Dense(5, activation="relu")(inputs))
    assert not foldable(keras.Model(inputs, deep))
    assert not foldable(keras.Model(inputs, keras.layers.Dense(3, use_bias=False)(inputs)))


def test_head_batches_follow_the_order_and_weigh_by_class():
    features = Features(np.arange(10, dtype=np.float32).reshape(5, 2), np.array([0, 1, 1, 0, 1]))
    weights = np.array([0.5, 2.0], np.float32)
    found = list(head_batches(features, weights, np.array([4, 0, 2, 1, 3]), 2))
    assert [len(batch[0]) for batch in found] == [2, 2, 1]
    assert np.concatenate([batch[0] for batch in found])[:, 0].tolist() == [8, 0, 4, 2, 6]
    assert np.concatenate([batch[1] for batch in found]).tolist() == [1, 0, 1, 1, 0]
    assert np.concatenate([batch[2] for batch in found]).tolist() == [2, 0.5, 2, 2, 0.5]


def test_the_whole_network_gives_the_logits_of_the_trained_head(examples, tmp_path):
    keras.utils.set_random_seed(2)
    network = build("small_cnn", size=32, width=2, dropout=0.3, frozen=True)
    recipe = Recipe(epochs=3, copies=1, augment=AUGMENT, learning_rate=0.01)
    table = FeatureTable(network, Pool({"train": examples}), recipe, tmp_path)
    feed = feature_feed(network, table, np.arange(34), np.arange(34), recipe, np.ones(4, "f"))
    # The originals and one copy, 32 a batch.
    assert feed.steps == 3
    before = [weight.copy() for weight in backbone(network).get_weights()]
    options = {"steps": feed.steps, "recipe": recipe, "directory": tmp_path / "run"}
    run_epochs(feed.model, feed.data, validation=feed.validation, **options)
    expected = feed.model.predict(feed.validation, verbose=0)
    feed.finish()
    found = network.predict(load_images(examples), verbose=0)
    np.testing.assert_allclose(found, expected, atol=1e-4)
    assert all(map(np.array_equal, before, backbone(network).get_weights()))


def load_images(examples: Examples) -> np.ndarray:
    return np.concatenate([batch["image"] for batch in examples.batches(32)])


def test_copies_of_the_run_can_be_loaded_alone(make_folder):
    catalog = scan(make_folder(per_class=2))
    examples = Examples(catalog, SPEC)
    copy = np.concatenate([batch["image"] for batch in examples.batches(3, augment=AUGMENT, seed=4, epoch=1)])
    alone = load(catalog, SPEC, augment=AUGMENT, seed=4, epoch=1)
    np.testing.assert_array_equal(copy, np.concatenate([batch["image"] for batch in alone]))


def test_mirrored_features_are_those_of_the_mirror_images(network, examples, tmp_path):
    cache = FeatureCache(tmp_path, backbone(network))
    images = np.concatenate([batch["image"] for batch in examples.batches(5)])[:, :, ::-1]
    expected = backbone(network).predict(np.ascontiguousarray(images), verbose=0)
    found = cache.originals(examples, "train", mirrored=True)
    np.testing.assert_allclose(found.values, expected, atol=1e-5)
    assert not np.allclose(cache.originals(examples, "train").values, found.values)


@pytest.mark.needs("openvino")
def test_features_of_two_engines_are_not_mixed(network, examples, tmp_path, monkeypatch):
    by_openvino = FeatureCache(tmp_path, backbone(network))
    first = by_openvino.originals(examples, "train")
    assert by_openvino.engine.startswith("openvino")
    monkeypatch.setitem(sys.modules, "openvino", None)
    by_tensorflow = FeatureCache(tmp_path, backbone(network))
    second = by_tensorflow.originals(examples, "train")
    assert by_tensorflow.engine == "tensorflow"
    assert len(list(tmp_path.glob("train-originals-*.npz"))) == 2
    np.testing.assert_allclose(first.values, second.values, atol=1e-5)


def test_an_engine_that_sees_something_else_leaves_the_cache_to_tensorflow(
    network, examples, tmp_path, monkeypatch
):
    monkeypatch.setattr(module, "look_by", lambda part, images: tensorflow_look(part, len(images)))
    monkeypatch.setattr(module, "expected_engine", lambda: "openvino 1")
    cache = FeatureCache(tmp_path, backbone(network))
    found = cache.originals(examples, "train")
    assert cache.engine == "tensorflow"
    monkeypatch.setattr(module, "expected_engine", lambda: "tensorflow")
    monkeypatch.setattr(module, "compute_features", None)  # what was kept is used
    again = FeatureCache(tmp_path, backbone(network)).originals(examples, "train")
    np.testing.assert_array_equal(found.values, again.values)


def test_when_the_engine_changes_everything_is_made_again(network, examples, tmp_path, monkeypatch):
    """A run that was killed between two sets of features goes on where the other engine fails."""

    def other(part, images):
        plain = tensorflow_look(part, len(images))
        return Look("openvino 1", lambda images: plain(images) + 1)

    monkeypatch.setattr(module, "expected_engine", lambda: "openvino 1")
    monkeypatch.setattr(module, "look_by", other)
    before = FeatureCache(tmp_path, backbone(network)).originals(examples, "train")
    monkeypatch.setattr(module, "look_by", lambda part, images: tensorflow_look(part, len(images)))
    cache = FeatureCache(tmp_path, backbone(network))
    found = cache.originals(examples, "train")
    mirrored = cache.originals(examples, "train", mirrored=True)
    np.testing.assert_allclose(found.values, before.values - 1, atol=1e-4)
    assert cache.engine == "tensorflow"
    monkeypatch.setattr(module, "look_by", other)
    again = FeatureCache(tmp_path, backbone(network))
    np.testing.assert_array_equal(again.originals(examples, "train").values, before.values)
    np.testing.assert_allclose(
        again.originals(examples, "train", mirrored=True).values, mirrored.values + 1, atol=1e-4
    )


def test_what_looks_is_chosen_once_and_by_the_pictures_as_they_are(network, examples, tmp_path, monkeypatch):
    seen = []

    def chosen(part, images):
        seen.append(images)
        return tensorflow_look(part, len(images))

    monkeypatch.setattr(module, "look_by", chosen)
    cache = FeatureCache(tmp_path, backbone(network))
    cache.copy(examples, "train", augment=AUGMENT, seed=4, copy=1)
    cache.originals(examples, "train")
    assert len(seen) == 1
    np.testing.assert_array_equal(seen[0], load_images(examples)[: pictures_a_call()])

"""Copies say what the network says, also where a layer computes with more than its weights."""

from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from mri_tumor.dataset.augment import Augment
from mri_tumor.dataset.catalog import Catalog
from mri_tumor.models import Classifier, Recipe, train
from mri_tumor.models.builders import backbone, build, set_frozen
from mri_tumor.models.networks.copies import copy_of, leaves, put_weights
from mri_tumor.models.networks.ensemble import merge
from mri_tumor.models.steps.precision import synchronised, with_precision

IMAGES = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 1), np.uint8)
MEAN, VARIANCE = np.float32([0.485, 0.456, 0.406]), np.float32([0.0524, 0.0502, 0.0506])


def efficient(seed: int = 0) -> keras.Model:
    """Return an EfficientNetB0 as training leaves it: its normalisations fit what comes."""
    keras.utils.set_random_seed(seed)
    network = build("efficientnet_b0", size=32, depths=1)
    for layer in network.layers:
        if isinstance(layer, keras.layers.Normalization):
            layer.set_weights([MEAN, VARIANCE, layer.get_weights()[2]])
            layer.finalize_state()
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0
    network(np.random.default_rng(seed).integers(0, 256, (8, 32, 32, 1), np.uint8), training=True)
    set_frozen(network, True)
    return network


def tiny(seed: int = 0) -> keras.Model:
    """Return a network with a normalisation whose values are not the initial ones; it trains in a second."""
    keras.utils.set_random_seed(seed)
    image = keras.Input((32, 32, 1), dtype="uint8", name="image")
    x = keras.layers.Normalization(name="normal")(keras.layers.Rescaling(1 / 255)(image))
    x = keras.layers.Conv2D(8, 5, strides=4, activation="tanh")(x)
    x = keras.layers.GlobalAveragePooling2D(name="features")(x)
    network = keras.Model(image, keras.layers.Dense(4, name="logits")(x), name="tiny")
    network.get_layer("normal").set_weights([MEAN[:1], VARIANCE[:1], np.int32(0)])
    network.get_layer("normal").finalize_state()
    set_frozen(network, True)
    return network


MAKERS = [tiny, pytest.param(efficient, marks=pytest.mark.slow)]


def said(network: keras.Model) -> np.ndarray:
    return np.asarray(network(IMAGES, training=False))


@pytest.fixture(scope="module")
def network() -> keras.Model:
    return efficient()


@pytest.mark.parametrize(
    "copied",
    [
        copy_of,
        lambda network: merge([network]),
        lambda network: with_precision(network, "float32"),
        synchronised,
    ],
    ids=["copy", "merged", "precision", "synchronised"],
)
def test_a_copy_of_efficientnet_says_the_same(
    network: keras.Model, copied: Callable[..., keras.Model]
) -> None:
    expected = said(network)
    assert np.ptp(expected, axis=0).max() > 0.1  # pictures matter
    np.testing.assert_allclose(said(copied(network)), expected, atol=1e-4)


@pytest.mark.parametrize("make", MAKERS)
def test_two_networks_are_merged_to_their_mean(make: Callable[..., keras.Model]) -> None:
    pair = [make(seed) for seed in range(2)]
    merged = merge(pair)
    assert backbone(merged).output.shape[1] == 2 * backbone(pair[0]).output.shape[1]
    np.testing.assert_allclose(said(merged), np.mean([said(one) for one in pair], axis=0), atol=1e-4)


@pytest.mark.parametrize("frozen", [True, False])
@pytest.mark.parametrize("make", MAKERS)
def test_what_was_trained_says_what_is_loaded(
    make: Callable[..., keras.Model], frozen: bool, sides: tuple[Catalog, Catalog], tmp_path: Path
) -> None:
    network = make()
    set_frozen(network, frozen)
    recipe = Recipe(epochs=1, batch_size=8, copies=1, augment=Augment(rotation=5))
    trained = train(network, *sides, recipe=recipe, run_dir=tmp_path / "run")
    found, expected = (one.observe(sides[1]) for one in (trained, Classifier.load(tmp_path / "run")))
    np.testing.assert_allclose(found.features, expected.features, atol=1e-4)
    np.testing.assert_allclose(found.logits, expected.logits, atol=1e-4)
    if frozen:  # what it learned from is what its classifier sees
        (cached,) = (tmp_path / "run" / "features").glob("validation-originals-*.npz")
        with np.load(cached) as arrays:
            scale = np.abs(found.features).max()
            np.testing.assert_allclose(arrays["values"], found.features, atol=1e-4 * scale)


def test_a_copy_is_as_frozen_and_stands_by_itself(make_network: Callable[..., keras.Model]) -> None:
    network = make_network()
    network.get_layer("first").trainable = False
    copy = copy_of(network)
    assert [layer.trainable for layer in copy.layers] == [layer.trainable for layer in network.layers]
    expected = said(copy)
    put_weights(network, [0 * weight for weight in network.get_weights()])
    np.testing.assert_array_equal(said(copy), expected)
    assert not said(network).any()


def test_a_copy_takes_other_weights(make_network: Callable[..., keras.Model]) -> None:
    one, other = make_network(seed=0), make_network(seed=1)
    np.testing.assert_array_equal(said(copy_of(one, other.get_weights())), said(other))


def test_networks_inside_are_given_their_normalisation_too() -> None:
    def nested() -> keras.Model:
        inputs = keras.Input((3,))
        inner = keras.Sequential([inputs, keras.layers.Normalization()])
        outer = keras.Input((3,))
        return keras.Model(outer, inner(outer))

    network = nested()
    put_weights(network, [MEAN, VARIANCE, np.int32(0)])
    values = np.float32([[1, 2, 3]])
    np.testing.assert_allclose(network(values), (values - MEAN) / np.sqrt(VARIANCE), rtol=1e-5)
    np.testing.assert_allclose(copy_of(network)(values), network(values))
    assert [type(layer).__name__ for layer in leaves(network)][-1] == "Normalization"

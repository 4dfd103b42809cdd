import keras
import numpy as np
import pytest

from mri_tumor.errors import ArgumentError
from mri_tumor.models.builders import backbone, build, describe, head
from mri_tumor.models.classifier import Classifier
from mri_tumor.models.networks.ensemble import merge

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 1), np.uint8)


def one_backbone(make_network, count: int = 3) -> list[keras.Model]:
    """Return networks that differ in their heads alone."""
    networks = [make_network(frozen=True) for _ in range(count)]
    rng = np.random.default_rng(1)
    for network in networks:
        network.get_layer("logits").set_weights([rng.normal(size=(8, 4)), rng.normal(size=4)])
    return networks


def several_backbones(make_network, count: int = 3) -> list[keras.Model]:
    return [make_network(seed=seed) for seed in range(count)]


def built(make_network, count: int = 2) -> list[keras.Model]:
    """Return networks of the library, with batch normalisation whose statistics are not the initial ones."""
    networks = []
    for seed in range(count):
        keras.utils.set_random_seed(seed)
        networks.append(build("small_cnn", size=32, width=2))
        networks[-1](IMAGES, training=True)
        kernel, bias = networks[-1].get_layer("logits").get_weights()
        networks[-1].get_layer("logits").set_weights([100 * kernel, bias + seed])
    return networks


def mobile(make_network) -> list[keras.Model]:
    networks = []
    for seed in range(2):
        keras.utils.set_random_seed(seed)
        networks.append(build("mobilenet_v2", size=32, alpha=0.35, depths=2))
        networks[-1].get_layer("logits").bias.assign([1, 2, 3, seed])
    return networks


@pytest.mark.parametrize(
    "make", [one_backbone, several_backbones, built, pytest.param(mobile, marks=pytest.mark.slow)]
)
def test_the_logits_are_the_mean_of_the_networks(make_network, make):
    networks = make(make_network)
    before = [network.get_weights() for network in networks]
    merged = merge(networks)
    expected = np.mean([network(IMAGES, training=False) for network in networks], axis=0)
    np.testing.assert_allclose(merged(IMAGES, training=False), expected, atol=1e-5)
    assert np.abs(expected - networks[0](IMAGES, training=False)).max() > 1e-3
    for network, weights in zip(networks, before, strict=True):
        assert all(map(np.array_equal, network.get_weights(), weights))


def test_networks_of_one_backbone_become_one_of_the_same_size(make_network):
    networks = one_backbone(make_network)
    merged = merge(networks)
    assert merged.count_params() == networks[0].count_params()
    assert describe(merged) == describe(networks[0])
    # It stands by itself: what becomes of a member does not change it.
    said = np.asarray(merged(IMAGES))
    networks[0].set_weights([weight * 0 for weight in networks[0].get_weights()])
    np.testing.assert_array_equal(merged(IMAGES), said)


def test_networks_of_several_backbones_stand_side_by_side(make_network):
    networks = several_backbones(make_network)
    merged = merge(networks)
    features = np.concatenate([backbone(network)(IMAGES) for network in networks], axis=1)
    np.testing.assert_allclose(backbone(merged)(IMAGES), features, atol=1e-6)
    np.testing.assert_allclose(head(merged)(features), merged(IMAGES), atol=1e-5)
    assert merged.name == "tiny-members-3"
    assert describe(merged)["frozen"]
    assert merged.count_params() > 2.9 * networks[0].count_params()


def test_one_changed_weight_makes_another_backbone(make_network):
    one, other = one_backbone(make_network, 2)
    weights = other.get_weights()
    weights[0][0, 0, 0, 0] += 0.5
    other.set_weights(weights)
    assert backbone(merge([one, other])).output.shape == (None, 16)


def test_a_merged_network_says_what_it_was_built_from(make_network):
    found = describe(merge(built(make_network)))
    assert (found["name"], found["size"], found["classes"]) == ("small_cnn", 32, 4)
    assert found["options"] == {"width": 2, "members": 2}


@pytest.mark.parametrize("make", [one_backbone, built])
def test_a_merged_network_is_saved_and_loaded(make_network, make_manifest, make, tmp_path):
    classifier = Classifier(merge(make(make_network)), make_manifest())
    classifier.save(tmp_path / "classifier")
    loaded = Classifier.load(tmp_path / "classifier")
    assert loaded.predict(IMAGES) == classifier.predict(IMAGES)
    assert describe(loaded.model) == describe(classifier.model)


def test_a_head_of_several_layers_is_refused(make_network):
    with pytest.raises(ArgumentError, match="an ensemble of tiny, whose head has several layers"):
        merge([make_network(), make_network(hidden=3)])

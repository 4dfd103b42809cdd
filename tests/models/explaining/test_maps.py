from collections.abc import Callable

import keras
import pytest
from keras import layers

from mri_tumor.errors import ArgumentError
from mri_tumor.models.builders import available, build
from mri_tumor.models.explaining.maps import functional, layer_map, pooled_maps
from mri_tumor.models.networks.ensemble import merge

QUICK = ("small_cnn", "squeeze_excite_cnn")


def every_builder() -> list:
    return [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in available()]


def small(name: str, *, size: int = 96, **options: object) -> keras.Model:
    width = {"width": 2} if name.endswith("cnn") else {}
    return build(name, size=size, **width, **options)


@pytest.mark.parametrize("name", every_builder())
def test_the_maps_are_all_that_the_features_are_pooled_from(name: str) -> None:
    model = small(name, size=128)  # at 96 the last maps of inception_resnet_v2 are of one pixel
    maps = pooled_maps(model)
    assert all(len(one.shape) == 4 for one in maps)
    widths = sum(one.shape[-1] for one in maps)
    pools = 2 if name.endswith("cnn") else 1  # the mean and the maximum of one map
    assert pools * widths == model.get_layer("features").output.shape[-1]


def test_maps_of_one_pixel_show_no_place_and_are_left_out() -> None:
    model = small("mobilenet_v2")
    assert len(pooled_maps(model)) == 5
    tiny = build("mobilenet_v2", size=32)
    assert [tuple(one.shape[1:3]) for one in pooled_maps(tiny)] == [(4, 4), (2, 2), (2, 2)]


def test_fewer_depths_have_fewer_maps() -> None:
    assert len(pooled_maps(small("mobilenet_v2", depths=1))) == 1


def test_an_ensemble_has_the_maps_of_all_its_members() -> None:
    merged = merge([small("small_cnn") for _ in range(3)])
    assert len(pooled_maps(merged)) == 3


def test_a_pool_that_keeps_its_axes_is_seen_through() -> None:
    image = keras.Input((32, 32, 1), dtype="uint8")
    x = layers.Conv2D(3, 3, strides=2, padding="same")(layers.Rescaling(1.0)(image))
    pooled = layers.Flatten()(layers.GlobalMaxPooling2D(keepdims=True)(x))
    features = layers.Identity(name="features")(layers.LayerNormalization()(pooled))
    model = keras.Model(image, layers.Dense(2, name="logits")(features))
    assert [tuple(one.shape) for one in pooled_maps(model)] == [(None, 16, 16, 3)]


def test_features_without_a_map_are_refused() -> None:
    image = keras.Input((32, 32, 1), dtype="uint8")
    x = layers.Conv2D(3, 32, name="whole")(layers.Rescaling(1.0, name="scale")(image))
    features = layers.Flatten(name="features")(x)
    model = keras.Model(image, layers.Dense(2, name="logits")(features))
    with pytest.raises(ArgumentError, match=r"no map with more than one pixel.*'scale'"):
        pooled_maps(model)


@pytest.fixture(scope="module")
def squeezed() -> keras.Model:
    return small("squeeze_excite_cnn")


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        ("conv7", "has no layer 'conv7'.*such as 'last_relu', 'last_norm', 'last'"),
        ("logits", "has no map of its own"),
        ("features", "has no map of its own"),
        ("step1_squeeze", "has no map of its own"),
        ("image", "has no map of its own"),
        (7, "has no layer 7"),
    ],
)
def test_a_layer_without_a_map_is_refused_and_those_with_one_are_named(
    squeezed: keras.Model, layer: object, message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        layer_map(squeezed, layer)


def test_a_layer_is_found_by_its_name(squeezed: keras.Model, region_network: Callable) -> None:
    assert layer_map(squeezed, "step1_relu") is squeezed.get_layer("step1_relu").output
    assert layer_map(squeezed, "last") is squeezed.get_layer("last_relu").output
    assert layer_map(small("mobilenet_v2"), "last").shape[-1] == 1280
    assert tuple(layer_map(region_network(), "cells").shape) == (None, 8, 8, 1)


def test_a_sequential_network_has_maps_too() -> None:
    model = keras.Sequential(
        [
            keras.Input((32, 32, 1), dtype="uint8"),
            layers.Rescaling(1 / 255),
            layers.Conv2D(3, 3, strides=4, name="conv"),
            layers.GlobalAveragePooling2D(name="features"),
            layers.Dense(2, name="logits"),
        ]
    )
    (found,) = pooled_maps(functional(model))
    assert found is model.get_layer("conv").output


def test_a_network_as_a_layer_is_not_recommended() -> None:
    image = keras.Input((32, 32, 1), dtype="uint8")
    x = layers.Conv2D(3, 3, strides=2, name="conv")(layers.Rescaling(1 / 255)(image))
    inner = keras.Sequential([keras.Input((15, 15, 3)), layers.Conv2D(4, 3)], name="inner")
    features = layers.GlobalAveragePooling2D(name="features")(inner(x))
    model = keras.Model(image, layers.Dense(2, name="logits")(features))
    with pytest.raises(ArgumentError, match="such as 'conv'"):
        layer_map(model, "inner")

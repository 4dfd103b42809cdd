"""The networks of `keras.applications`: scaled as they were trained, pooled at several depths."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from mri_tumor.errors import ArgumentError
from mri_tumor.models.builders import backbone, build, describe, last_convolution
from mri_tumor.models.networks.applications import APPLICATIONS

QUICK = "mobilenet_v2"
ALL = [name if name == QUICK else pytest.param(name, marks=pytest.mark.slow) for name in APPLICATIONS]
SIZE = 96

# Keras' own functions, by the module that each network's makers put them in.
MODULES = {
    "mobilenet_v2": keras.applications.mobilenet_v2,
    "mobilenet_v3_small": keras.applications.mobilenet_v3,
    "mobilenet_v3_large": keras.applications.mobilenet_v3,
    "efficientnet_b0": keras.applications.efficientnet,
    "efficientnet_v2_b0": keras.applications.efficientnet_v2,
    "densenet121": keras.applications.densenet,
    "resnet50_v2": keras.applications.resnet_v2,
    "inception_resnet_v2": keras.applications.inception_resnet_v2,
    "xception": keras.applications.xception,
    "vgg16": keras.applications.vgg16,
    "convnext_tiny": keras.applications.convnext,
}

LAST = {
    "mobilenet_v2": "Conv_1",
    "mobilenet_v3_small": "conv_1",
    "mobilenet_v3_large": "conv_1",
    "efficientnet_b0": "top_conv",
    "efficientnet_v2_b0": "top_conv",
    "densenet121": "conv5_block16_2_conv",
    "resnet50_v2": "conv5_block3_3_conv",
    "inception_resnet_v2": "conv_7b",
    "xception": "block14_sepconv2",
    "vgg16": "block5_conv3",
    "convnext_tiny": "convnext_tiny_stage_3_block_2_depthwise_conv",
}


def pictures(size: int = SIZE) -> np.ndarray:
    """Return pictures that have little in common."""
    rng = np.random.default_rng(0)
    light = np.linspace(0, 255, size)[None, :, None, None] * np.ones((2, 1, size, 1))
    light[1] = 255 - light[1].transpose(1, 0, 2) / 2
    return np.clip(light + rng.normal(0, 30, light.shape), 0, 255).astype(np.uint8)


def trained(name: str, path: Path) -> None:
    """Write weights as training leaves them: normalisation that fits what comes, with gains of its own."""
    keras.utils.set_random_seed(3)
    rng = np.random.default_rng(3)
    network = APPLICATIONS[name].make(
        weights=None, include_top=False, input_shape=(SIZE, SIZE, 3), pooling="avg"
    )
    norms = [one for one in network.layers if isinstance(one, keras.layers.BatchNormalization)]
    for layer in norms:
        layer.momentum = 0.0
    network(rng.normal(0, 1, (8, SIZE, SIZE, 3)).astype("float32"), training=True)
    for layer in norms:
        gain, shift, *seen = layer.get_weights()
        layer.set_weights([rng.uniform(0.5, 1.5, gain.shape), rng.normal(0, 0.3, shift.shape), *seen])
    for layer in network.layers:
        if isinstance(layer, keras.layers.Normalization) and layer.get_weights():
            count = layer.get_weights()[2]
            layer.set_weights([np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225]), count])
    network.save_weights(path)


@pytest.mark.filterwarnings("ignore:`input_shape` is undefined or non-square")
@pytest.mark.parametrize("name", ALL)
def test_features_are_those_of_keras_own_network(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "trained.weights.h5"
    trained(name, file)
    # The very call that people make, answered with our file: some networks scale otherwise when it is made.
    monkeypatch.setattr("keras.src.utils.file_utils.get_file", lambda *_, **__: str(file))
    reference = APPLICATIONS[name].make(
        weights="imagenet", include_top=False, input_shape=(SIZE, SIZE, 3), pooling="avg"
    )
    colour = np.repeat(pictures(), 3, axis=-1).astype("float32")
    expected = np.asarray(reference(MODULES[name].preprocess_input(colour)))
    scale = np.abs(expected).max()
    assert np.abs(expected[0] - expected[1]).max() > 0.01 * scale  # they tell the pictures apart
    for weights in (file, "imagenet"):
        found = backbone(build(name, weights, size=SIZE, depths=1))(pictures())
        np.testing.assert_allclose(found / scale, expected / scale, atol=1e-4)
    deeper = np.asarray(backbone(build(name, file, size=SIZE))(pictures()))
    np.testing.assert_allclose(deeper[:, -expected.shape[1] :] / scale, expected / scale, atol=1e-4)
    assert deeper.shape[1] > expected.shape[1]


@pytest.mark.parametrize("name", ALL)
def test_the_last_convolution_stays_reachable(name: str) -> None:
    found = last_convolution(build(name, size=SIZE))
    assert found.name == LAST[name]


@pytest.mark.parametrize("name", ALL)
def test_five_maps_of_different_depth_are_pooled(name: str) -> None:
    model = build(name, size=SIZE)
    pooled = [layer for layer in model.layers if layer.name.startswith("mean_")]
    sides = [layer.input.shape[1] for layer in pooled]
    assert len(pooled) == 4
    assert sides == sorted(sides, reverse=True)
    assert sides[0] > sides[-1]


@pytest.mark.parametrize("name", ALL)
def test_a_saved_network_is_read_back(name: str, tmp_path: Path) -> None:
    from mri_tumor.models.networks.file import load_network, save_network

    model = build(name, size=SIZE)
    save_network(model, tmp_path / "model.keras")
    back = load_network(tmp_path / "model.keras")
    np.testing.assert_array_equal(back(pictures()), model(pictures()))
    assert describe(back) == describe(model)


@pytest.mark.parametrize("depths", [1, 2, 3, 4, 5])
def test_features_are_the_means_over_the_last_maps(depths: int) -> None:
    model = build("mobilenet_v2", size=64, alpha=0.35, depths=depths)
    names = (*APPLICATIONS["mobilenet_v2"].maps, "out_relu")[-depths:]
    maps: Any = keras.Model(model.inputs[0], [model.get_layer(name).output for name in names])(pictures(64))
    maps = [maps] if depths == 1 else maps
    expected = np.concatenate([np.mean(one, axis=(1, 2)) for one in maps], axis=1)
    np.testing.assert_allclose(backbone(model)(pictures(64)), expected, atol=1e-5)
    assert describe(model)["options"] == {"alpha": 0.35, "depths": depths}


def test_five_depths_are_the_default() -> None:
    full = build("mobilenet_v2", size=64)
    assert backbone(full).output.shape == (None, 192 + 96 + 576 + 960 + 1280)
    assert backbone(build("mobilenet_v2", size=64, depths=1)).output.shape == (None, 1280)


@pytest.mark.parametrize("depths", [0, 6, -1, 2.0, True, "all", None])
def test_other_depths_are_refused(depths: Any) -> None:
    with pytest.raises(ArgumentError, match=r"depths is .*a whole number from 1 to 5"):
        build("mobilenet_v2", size=64, alpha=0.35, depths=depths)


def test_an_own_efficientnet_that_never_saw_imagenet_is_scaled_as_it_was(tmp_path: Path) -> None:
    own = keras.applications.EfficientNetB0(
        weights=None, include_top=False, input_shape=(32, 32, 3), pooling="avg"
    )
    own.save_weights(tmp_path / "own.weights.h5")
    found = backbone(build("efficientnet_b0", tmp_path / "own.weights.h5", size=32, depths=1))(pictures(32))
    expected = np.asarray(own(np.repeat(pictures(32), 3, axis=-1).astype("float32")))
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())

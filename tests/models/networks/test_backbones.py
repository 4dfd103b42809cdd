"""At how many depths of a network features are taken; the rest of `build` is tested with the builders."""

import keras
import numpy as np
import pytest

from mri_tumor.errors import ArgumentError
from mri_tumor.models.builders import backbone, build, describe, last_convolution

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 64, 64, 1), np.uint8)
LAYERS = (
    "block_6_expand_relu",
    "block_10_project_BN",
    "block_13_expand_relu",
    "block_16_expand_relu",
    "out_relu",
)


@pytest.mark.parametrize("depths", [1, 2, 3, 4, 5])
def test_features_are_the_means_over_the_last_maps(depths):
    model = build("mobilenet_v2", size=64, alpha=0.35, depths=depths)
    outputs = [model.get_layer(name).output for name in LAYERS[-depths:]]
    maps = keras.Model(model.inputs[0], outputs)(IMAGES)
    maps = [maps] if depths == 1 else maps
    expected = np.concatenate([np.mean(one, axis=(1, 2)) for one in maps], axis=1)
    np.testing.assert_allclose(backbone(model)(IMAGES), expected, atol=1e-5)
    assert describe(model)["options"] == {"alpha": 0.35, "depths": depths}
    assert last_convolution(model).name == "Conv_1"


def test_five_depths_are_the_default():
    full = build("mobilenet_v2", size=64)
    assert backbone(full).output.shape == (None, 192 + 96 + 576 + 960 + 1280)
    assert backbone(build("mobilenet_v2", size=64, depths=1)).output.shape == (None, 1280)


@pytest.mark.parametrize("depths", [0, 6, -1, 2.0, True, "all", None])
def test_other_depths_are_refused(depths):
    with pytest.raises(ArgumentError, match=r"depths is .*a whole number from 1 to 5"):
        build("mobilenet_v2", size=64, alpha=0.35, depths=depths)

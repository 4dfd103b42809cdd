"""Networks that are trained from scratch: their sizes, and that they learn."""

import keras
import numpy as np
import pytest

from mri_tumor.models.builders import backbone, build, last_convolution

NAMES = ["small_cnn", "residual_cnn", "squeeze_excite_cnn"]


@pytest.mark.parametrize("name", NAMES)
def test_width_and_depth_say_how_large_it_is(name: str) -> None:
    for width, depth in ((2, 2), (3, 4), (4, 5)):
        model = build(name, size=32, width=width, depth=depth)
        channels = width * 2 ** (depth - 1)
        assert backbone(model).output.shape == (None, 2 * channels)
        side = last_convolution(model).output.shape[1]
        assert side == 32 // 2**depth


@pytest.mark.parametrize("name", NAMES)
def test_the_last_convolution_is_one_that_all_evidence_goes_through(name: str) -> None:
    assert last_convolution(build(name, size=32, width=2)).name == "last"


def test_squeeze_and_excitation_weighs_whole_maps() -> None:
    plain = build("residual_cnn", size=32, width=4)
    weighed = build("squeeze_excite_cnn", size=32, width=4)
    names = {layer.name for layer in weighed.layers} - {layer.name for layer in plain.layers}
    assert {name.split("_")[-1] for name in names} == {"squeeze", "narrow", "excite", "weigh"}
    assert weighed.get_layer("step1_excite").output.shape == (None, 1, 1, 8)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_learns_four_patterns(name: str) -> None:
    keras.utils.set_random_seed(1)
    rng = np.random.default_rng(0)
    labels = np.arange(128) % 4
    images = rng.integers(60, 120, (128, 32, 32, 1), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        row, column = (label // 2) * 16 + 4, (label % 2) * 16 + 4
        image[row : row + 6, column : column + 6] += np.uint8(80)
    model = build(name, size=32, width=4, dropout=0.0)
    model.compile(keras.optimizers.Adam(0.01), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(images[:64], labels[:64], batch_size=16, epochs=25, verbose=0)
    found = np.argmax(model.predict(images[64:], verbose=0), axis=1)
    assert (found == labels[64:]).mean() > 0.9

"""Networks whose evidence is known, because they were made by hand."""

from collections.abc import Callable

import keras
import numpy as np
import pytest
from keras import layers

from mri_tumor.labels import LABELS
from mri_tumor.models.classifier import Classifier

SIZE = 32


@pytest.fixture(scope="session")
def region_network() -> Callable[..., keras.Model]:
    """Return a function that makes a network which reads brightness in a box, and brightness outside it.

    The box is (top, bottom, left, right) in cells of 4 pixels. The first class goes by the inside only, the
    second by the outside only.
    """

    def make(box: tuple[int, int, int, int] = (1, 3, 4, 7)) -> keras.Model:
        inside = np.zeros((8, 8), np.float32)
        inside[box[0] : box[1], box[2] : box[3]] = 1
        image = keras.Input((SIZE, SIZE, 1), dtype="uint8", name="image")
        x = layers.Rescaling(1 / 255, name="scale")(image)
        x = layers.AveragePooling2D(4, name="cells")(x)
        x = layers.Conv2D(2, 1, use_bias=False, name="copies")(x)
        x = keras.ops.multiply(x, np.stack([inside, 1 - inside], axis=-1)[np.newaxis])
        x = layers.Activation("linear", name="seen")(x)
        features = layers.Identity(name="features")(layers.GlobalAveragePooling2D(name="mean")(x))
        model = keras.Model(image, layers.Dense(4, dtype="float32", name="logits")(features))
        model.get_layer("copies").set_weights([np.ones((1, 1, 1, 2))])
        model.get_layer("logits").set_weights([10 * np.eye(2, 4), np.zeros(4)])
        return model

    return make


@pytest.fixture(scope="session")
def region_classifier(region_network: Callable, make_manifest: Callable) -> Classifier:
    return Classifier(region_network(), make_manifest(LABELS, size=SIZE))


@pytest.fixture(scope="session")
def spot_classifier(make_manifest: Callable) -> Classifier:
    """Return a classifier of 64 pixels: two steps to cells of 4; bright things speak for its first class."""
    rng = np.random.default_rng(0)
    image = keras.Input((64, 64, 1), dtype="uint8", name="image")
    x = layers.Rescaling(1 / 255, name="scale")(image)
    for step, channels in enumerate((4, 6)):
        x = layers.Conv2D(channels, 3, strides=2, padding="same", activation="relu", name=f"step{step}")(x)
    features = layers.Identity(name="features")(layers.GlobalAveragePooling2D(name="mean")(x))
    model = keras.Model(image, layers.Dense(4, dtype="float32", name="logits")(features))
    for layer in model.layers:
        layer.set_weights([rng.uniform(0.1, 1, one.shape) for one in layer.get_weights()])
    model.get_layer("logits").set_weights([np.eye(1, 4) * rng.uniform(1, 2, (6, 1)), np.zeros(4)])
    return Classifier(model, make_manifest(LABELS, size=64))

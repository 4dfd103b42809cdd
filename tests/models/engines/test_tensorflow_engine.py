"""The compiled network says what the network says, and notices that it was trained on."""

import keras
import numpy as np
import pytest

from mri_tumor.models import build
from mri_tumor.models.deciding.settings import Settings
from mri_tumor.models.decision import answer
from mri_tumor.models.engines import tensorflow_engine
from mri_tumor.models.engines.tensorflow_engine import TensorFlowEngine


def pictures(count: int) -> np.ndarray:
    return np.random.default_rng(count).integers(0, 256, (count, 32, 32, 1), np.uint8)


@pytest.mark.parametrize("name", ["small_cnn", "mobilenet_v2"])
@pytest.mark.parametrize("tta", ["none", "mirror"])
def test_says_what_the_network_says(name: str, tta: str) -> None:
    keras.utils.set_random_seed(1)
    network = build(name, size=32)
    settings = Settings(tta=tta)
    found = TensorFlowEngine(network, settings)(pictures(7))
    expected = answer(network, pictures(7), settings)
    assert set(found) == {*expected, "logits", "features"}
    np.testing.assert_allclose(found["probabilities"], expected["probabilities"], atol=1e-5)
    np.testing.assert_array_equal(found["top"], expected["top"])
    assert found["features"].dtype == found["logits"].dtype == np.float32
    assert found["features"].shape == (7, network.get_layer("features").output.shape[1])


@pytest.mark.parametrize("constant", [True, False])
def test_training_the_first_or_the_last_layer_counts(constant: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tensorflow_engine, "_CONSTANT", 6_500_000 if constant else 0)
    network = build("small_cnn", size=32, width=2)
    engine = TensorFlowEngine(network, Settings())
    before = engine(pictures(2))["logits"]
    for name in ("logits", "step0", *(() if constant else ("step2",))):
        layer = network.get_layer(name)
        layer.kernel.assign(np.array(layer.kernel) * 2)
        after = engine(pictures(2))["logits"]
        assert np.abs(after - before).max() > 0.01
        before = after


@pytest.mark.parametrize("name", ["small_cnn", "mobilenet_v2"])
def test_the_weights_of_large_networks_are_no_constants(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    network = build(name, size=32)
    found = TensorFlowEngine(network, Settings())(pictures(7))
    monkeypatch.setattr(tensorflow_engine, "_CONSTANT", 0)
    again = TensorFlowEngine(network, Settings())(pictures(7))
    for key, values in found.items():
        np.testing.assert_allclose(again[key], values, rtol=1e-4, atol=1e-5)


def test_weights_that_are_no_numbers_are_compiled_once() -> None:
    network = build("small_cnn", size=32, width=2)
    kernel = network.get_layer("logits").kernel
    kernel.assign(np.full(kernel.shape, np.nan))
    engine = TensorFlowEngine(network, Settings())
    engine(pictures(1))
    engine(pictures(2))
    assert engine.shapes == 2


def test_a_half_precision_network_gives_float32() -> None:
    from mri_tumor.models.steps.precision import with_precision

    network = with_precision(build("small_cnn", size=32, width=2), "mixed_bfloat16")
    found = TensorFlowEngine(network, Settings())(pictures(3))
    assert found["features"].dtype == np.float32


def test_many_shapes_and_classifiers_are_no_reason_to_warn(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(4):
        engine = TensorFlowEngine(build("small_cnn", size=32, width=2), Settings())
        for count in (1, 2, 4):
            engine(pictures(count))
    assert engine.shapes == 3
    assert not caplog.records

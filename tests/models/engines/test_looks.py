"""Features by OpenVINO are those of TensorFlow, and TensorFlow's are taken where they are not."""

import sys

import keras
import numpy as np
import pytest

from mri_tumor.models.builders import backbone, build
from mri_tumor.models.engines import looks
from mri_tumor.models.engines.looks import expected_engine, look_by, tensorflow_look
from mri_tumor.models.engines.parity import feature_difference

from .conftest import light


@pytest.fixture(scope="module", params=["small_cnn", "mobilenet_v2"])
def part(request: pytest.FixtureRequest) -> keras.Model:
    keras.utils.set_random_seed(0)
    return backbone(build(request.param, size=32))


@pytest.mark.needs("openvino")
def test_openvino_sees_what_tensorflow_sees(part: keras.Model) -> None:
    found, plain = look_by(part, light(4)), tensorflow_look(part, 4)
    assert found.engine == expected_engine()
    assert found.engine.startswith("openvino 20")
    others = light(4, seed=1)
    assert feature_difference(plain(others), found(others)) < 1e-5
    assert found(others).dtype == plain(others).dtype == np.float32
    np.testing.assert_array_equal(found(others), found(others))


def test_without_openvino_it_is_tensorflow(part: keras.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    assert expected_engine() == look_by(part, light(4)).engine == "tensorflow"


@pytest.mark.needs("openvino")
@pytest.mark.parametrize("fault", ["far", "fails"])
def test_what_sees_something_else_is_not_taken(
    part: keras.Model, fault: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def other(plain: looks.Look) -> looks.Look:
        if fault == "fails":
            raise RuntimeError("no conversion rule")
        return looks.Look(expected_engine(), lambda images: plain(images) * 1.01)

    monkeypatch.setattr(looks, "_openvino_look", other)
    with caplog.at_level("INFO", logger="mri_tumor"):
        assert look_by(part, light(4)).engine == "tensorflow"
    assert "features come from TensorFlow" in caplog.text

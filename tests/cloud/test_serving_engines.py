"""The local server by another engine: the same answers to the same requests, and its refusals."""

import logging
import sys
from pathlib import Path

import numpy as np
import pytest

from mri_tumor import cloud, models
from mri_tumor.cloud.container.bodies import RequestError
from mri_tumor.cloud.container.inference import Infer
from mri_tumor.cloud.serving.model import load_model
from mri_tumor.errors import ArgumentError, MissingExtra

from .conftest import SIZE, encoded

pytestmark = pytest.mark.needs("openvino")
FILES = [encoded(1), encoded(2, ".png"), encoded(3)]


@pytest.fixture(scope="module")
def plain(unpacked: Path) -> Infer:
    return load_model(unpacked)


@pytest.fixture(
    scope="module", params=["openvino", "auto", pytest.param("onnx", marks=pytest.mark.needs("tf2onnx"))]
)
def other(request: pytest.FixtureRequest, unpacked: Path) -> Infer:
    return load_model(unpacked, request.param)


def test_both_signatures_give_the_same(plain: Infer, other: Infer) -> None:
    batch = np.random.default_rng(1).integers(0, 256, (5, SIZE, SIZE, 1)).astype(np.uint8)
    for signature, inputs in (("preprocessed", batch), ("serving_default", FILES)):
        found, expected = other(signature, inputs), plain(signature, inputs)
        assert found.keys() == expected.keys()
        for name, values in expected.items():
            assert found[name].dtype == values.dtype
            np.testing.assert_allclose(found[name], values, atol=1e-5)


@pytest.mark.parametrize("bad", [b"", b"text", FILES[0][:200]])
def test_bytes_that_are_no_picture_are_refused_alike(plain: Infer, other: Infer, bad: bytes) -> None:
    said = []
    for infer in (plain, other):
        with pytest.raises(RequestError) as caught:
            infer("serving_default", [FILES[0], bad])
        said.append((caught.value.code, str(caught.value).partition("(")[0]))
    assert said[0] == said[1]


def test_which_engine_it_is_says_one_line(unpacked: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="mri_tumor"):
        load_model(unpacked, "auto")
    assert caplog.messages == ["engine: openvino, float32"]


def test_engines_that_there_are_not(unpacked: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ArgumentError, match="no engine 'tensorrt'"):
        load_model(unpacked, "tensorrt")
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(MissingExtra, match="pip install"):
        load_model(unpacked, "openvino")


def test_deploy_serves_by_an_engine(archive: Path, classifier: models.Classifier) -> None:
    with cloud.deploy(archive, engine="openvino") as predictor:
        (found,), (expected,) = (one.predict([FILES[0]]) for one in (predictor, classifier))
        assert found.probabilities == pytest.approx(expected.probabilities, abs=1e-4)
        assert found.label == expected.label


def test_an_engine_means_nothing_on_sagemaker_and_an_unknown_one_is_said_here(archive: Path) -> None:
    with pytest.raises(ArgumentError, match=r"engine='openvino' with ml\.c5\.large"):
        cloud.deploy(archive, instance_type="ml.c5.large", engine="openvino")
    with pytest.raises(ArgumentError, match="no engine 'tensorrt'"):
        cloud.deploy(archive, engine="tensorrt")

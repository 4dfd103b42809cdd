"""Every format says what the classifier says, of any number of pictures, and its report tells the truth."""

import json
import logging
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from mri_tumor.dataset.preprocess import Preprocess
from mri_tumor.errors import ArgumentError, EngineError, MissingExtra
from mri_tumor.labels import LABELS
from mri_tumor.manifest import Manifest
from mri_tumor.models import available, build
from mri_tumor.models.classifier import Classifier
from mri_tumor.models.engines import libraries
from mri_tumor.models.engines.formats import FORMATS

from .conftest import light

pytestmark = pytest.mark.needs("openvino", "onnxruntime", "tf2onnx", "ai_edge_litert")
PREPROCESSED = ("onnx", "litert", "openvino")
SAID = {"probabilities", "top", "label", "abstained", "reason", "prediction_set", "novelty"}


@pytest.mark.usefixtures("timed_briefly")
@pytest.mark.parametrize("form", FORMATS)
def test_float32_is_the_classifier(deciding: Classifier, form: str, tmp_path: Path) -> None:
    pictures = light(60)
    report = deciding.export(tmp_path / "out", form, pictures=pictures)
    assert report.agree
    assert report.parity.same
    assert report.parity.pictures == 60
    found = FORMATS[form].engine(tmp_path / "out", "float32")
    expected = deciding.engine(pictures)
    assert set(found(pictures)) == (set(expected) if form in PREPROCESSED else SAID)
    assert len(set(expected["reason"].tolist())) >= 2  # so that agreement means something
    for count in (1, 5, 33):
        for name, values in found(pictures[:count]).items():
            assert values.dtype == expected[name].dtype
            np.testing.assert_allclose(values, expected[name][:count], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("form", PREPROCESSED)
def test_what_lies_beside_it(small: Classifier, form: str, tmp_path: Path) -> None:
    report = small.export(tmp_path / "out", form, pictures=light(4))
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names == {*report.files, "manifest.json", "parity.json", "parity.txt"}
    assert json.loads((tmp_path / "out" / "parity.json").read_bytes()) == report.to_dict()
    assert (tmp_path / "out" / "parity.txt").read_text(encoding="utf-8") == report.summary() + "\n"
    manifest = Manifest.load(tmp_path / "out", kind="model")
    assert manifest.sections["export"]["classifier"] == small.manifest.digest
    assert "decodes no picture" in manifest.sections["export"]["input"]
    written = b"".join((tmp_path / "out" / name).read_bytes() for name in names)
    assert str(tmp_path).encode() not in written
    assert str(Path(keras.__file__).parents[1]).encode() not in written
    assert report.milliseconds["exported"].keys() == {"1", "32"}


@pytest.mark.usefixtures("timed_briefly")
@pytest.mark.parametrize("form", PREPROCESSED)
def test_float16_is_half_as_large(
    make_deciding: Callable[..., Classifier], form: str, tmp_path: Path
) -> None:
    classifier = make_deciding(width=16)
    whole, half = (
        classifier.export(tmp_path / precision, form, precision=precision, pictures=light(40))
        for precision in ("float32", "float16")
    )
    assert half.bytes < 0.75 * whole.bytes
    assert half.parity.probabilities < 0.05


@pytest.mark.needs("nncf")
@pytest.mark.usefixtures("timed_briefly")
@pytest.mark.parametrize("form", PREPROCESSED)
def test_int8_is_calibrated_by_other_pictures(
    make_deciding: Callable[..., Classifier], form: str, tmp_path: Path
) -> None:
    classifier = make_deciding(width=16)
    whole = classifier.export(tmp_path / "whole", form, pictures=light(4))
    report = classifier.export(tmp_path / "out", form, precision="int8", pictures=light(60))
    assert report.bytes < 0.6 * whole.bytes
    assert report.calibrated_on == "30 pictures, none of those that it was measured on"
    assert report.parity.pictures == 30
    assert report.parity.labels == 30
    assert report.parity.probabilities < 0.15
    # The decision is not made of whole numbers: probabilities sum to 1.
    found = FORMATS[form].engine(tmp_path / "out", "int8")(light(8))["probabilities"]
    np.testing.assert_allclose(found.sum(axis=1), 1, atol=1e-5)


@pytest.mark.needs("nncf")
def test_few_pictures_are_not_divided(small: Classifier, tmp_path: Path) -> None:
    report = small.export(tmp_path / "out", "openvino", precision="int8", pictures=light(5))
    assert report.calibrated_on == "5 pictures, those that it was measured on"
    assert "those that it was measured on" in report.summary()


@pytest.mark.parametrize("form", PREPROCESSED)
def test_int8_asks_for_pictures(small: Classifier, form: str, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="int8 without pictures"):
        small.export(tmp_path / "out", form, precision="int8")
    assert not list(tmp_path.iterdir())


def test_phantoms_are_named(small: Classifier, tmp_path: Path) -> None:
    assert "phantoms" in small.export(tmp_path / "out").measured_on
    assert (tmp_path / "out" / "assets.extra" / "parity.txt").is_file()


@pytest.mark.parametrize(
    ("form", "precision"), [("saved_model", "int8"), ("onnx", "bfloat16"), ("litert", "float64")]
)
def test_precisions_that_a_format_has_not(
    small: Classifier, form: str, precision: str, tmp_path: Path
) -> None:
    with pytest.raises(ArgumentError, match=f"{form} in '{precision}'"):
        small.export(tmp_path / "out", form, precision=precision)
    assert not list(tmp_path.iterdir())


class Odd(keras.layers.Layer):
    """A layer of one's own that no other engine knows."""

    def call(self, images: object) -> object:
        import tensorflow as tf

        return images + 0 * tf.cast(tf.math.bessel_i0e(images), images.dtype)


@pytest.mark.parametrize("form", PREPROCESSED)
def test_a_layer_that_the_format_does_not_know(
    make_manifest: Callable[..., Manifest], form: str, tmp_path: Path
) -> None:
    image = keras.Input((32, 32, 1), dtype="uint8", name="image")
    x = keras.layers.GlobalAveragePooling2D(name="features")(Odd()(keras.layers.Rescaling(1 / 255)(image)))
    network = keras.Model(image, keras.layers.Dense(4, name="logits")(x), name="odd")
    classifier = Classifier(network, make_manifest())
    level = logging.getLogger().level
    with pytest.raises(EngineError, match=f"odd cannot be had as {form}"):
        classifier.export(tmp_path / "out", form, pictures=light(4))
    assert not list(tmp_path.iterdir())
    assert logging.getLogger().level == level


@pytest.mark.parametrize(
    ("form", "missing"),
    [("onnx", "tf2onnx"), ("litert", "ai_edge_litert.interpreter"), ("openvino", "openvino")],
)
def test_missing_tools_are_named(
    small: Classifier, form: str, missing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, missing, None)
    precision = "int8" if form == "litert" else "float32"
    with pytest.raises(MissingExtra, match=r"pip install \"mri-tumor\[(export|fast)\]\""):
        small.export(tmp_path / "out", form, precision=precision, pictures=light(4))
    assert not list(tmp_path.iterdir())


@pytest.mark.needs("nncf")
def test_int8_leaves_the_programs_handlers_as_they_are(small: Classifier, tmp_path: Path) -> None:
    tool, handler = logging.getLogger("nncf"), logging.NullHandler()
    libraries.nncf()  # it says at which level it logs when it is imported
    level = tool.level
    tool.addHandler(handler)
    try:
        small.export(tmp_path / "out", "openvino", precision="int8", pictures=light(4))
        assert handler.level == logging.NOTSET
        assert tool.level == level
    finally:
        tool.removeHandler(handler)


@pytest.mark.needs("nncf")
def test_nothing_is_reported_to_anybody_and_loggers_stay_what_they_are() -> None:
    code = (
        "import logging, sys; from mri_tumor.models.engines.libraries import nncf, openvino;"
        "openvino(); nncf(); print('openvino_telemetry' in sys.modules);"
        "print(logging.getLoggerClass() is logging.Logger)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]
    assert libraries.openvino().__name__ == "openvino"
    assert "openvino_telemetry" not in sys.modules  # the tests report nothing either


@pytest.mark.slow
@pytest.mark.usefixtures("timed_briefly")
@pytest.mark.parametrize("name", available())
@pytest.mark.parametrize("form", PREPROCESSED)
def test_every_network_is_known_to_every_format(
    name: str, form: str, make_manifest: Callable[..., Manifest], tmp_path: Path
) -> None:
    keras.utils.set_random_seed(0)
    network = build(name, size=96, classes=len(LABELS))
    classifier = Classifier(network, make_manifest(size=96))
    assert classifier.preprocess == Preprocess(size=96)
    assert classifier.export(tmp_path / "out", form, pictures=light(4, size=96)).parity.same

"""Ready weights: from Keras or from a file, the very same; files that cannot be used say what to do."""

from pathlib import Path

import keras
import numpy as np
import pytest

from mri_tumor.errors import ArgumentError
from mri_tumor.models.builders import backbone, build, describe


@pytest.fixture
def narrow(tmp_path: Path) -> Path:
    """Return a file of weights as Keras would fetch it."""
    path = tmp_path / "narrow.weights.h5"
    keras.applications.MobileNetV2(
        weights=None, include_top=False, input_shape=(32, 32, 3), alpha=0.35
    ).save_weights(path)
    return path


def test_weights_files_that_cannot_be_used(tmp_path: Path, narrow: Path) -> None:
    text = tmp_path / "text.weights.h5"
    text.write_text("no weights")
    other = tmp_path / "other.weights.h5"
    build("small_cnn", size=32, width=2).save_weights(other)
    for file, alpha in ((text, 0.35), (other, 0.35), (narrow, 0.5)):
        with pytest.raises(ArgumentError, match=rf"{file.name} does not fit mobilenet_v2.*alpha"):
            build("mobilenet_v2", file, size=32, alpha=alpha)
    (tmp_path / "weights.txt").write_text("")
    with pytest.raises(ArgumentError, match=r"ends in '\.txt'"):
        build("mobilenet_v2", tmp_path / "weights.txt", size=32)


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("mobilenet_v2", "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.0_224_no_top.h5"),
        ("mobilenet_v3_small", "weights_mobilenet_v3_small_224_1.0_float_no_top_v2.h5"),
        ("mobilenet_v3_large", "weights_mobilenet_v3_large_224_1.0_float_no_top_v2.h5"),
        ("vgg16", "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"),
    ],
)
def test_imagenet_without_a_network_says_what_to_do(
    name: str, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise Exception("URL fetch failure on https://storage...")  # what Keras raises

    monkeypatch.setattr("keras.src.utils.file_utils.get_file", fail)
    with pytest.raises(ArgumentError, match=rf"{file} .* pass weights=its path"):
        build(name, "imagenet", size=32)


def test_imagenet_weights_are_those_that_keras_fetches(narrow: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("keras.src.utils.file_utils.get_file", lambda *_, **__: str(narrow))
    fetched = build("mobilenet_v2", "imagenet", size=32, alpha=0.35)
    read = build("mobilenet_v2", narrow, size=32, alpha=0.35)
    assert describe(fetched)["weights"] == "imagenet"
    assert describe(read)["weights"].startswith("sha256.")
    for one, other in zip(backbone(fetched).weights, backbone(read).weights, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.realdata
@pytest.mark.parametrize(("alpha", "size"), [(1.0, 224), (1.0, 96), (0.35, 224)])
def test_imagenet_features_are_those_of_keras(shared: Path, alpha: float, size: int) -> None:
    file = shared / "weights" / f"mobilenet_v2_{alpha}_224_notop.weights.h5"
    grey = np.random.default_rng(0).integers(0, 256, (2, size, size, 1), dtype=np.uint8)
    reference = keras.applications.MobileNetV2(
        weights=None, include_top=False, pooling="avg", input_shape=(size, size, 3), alpha=alpha
    )
    reference.load_weights(file)
    colour = np.repeat(grey, 3, axis=-1).astype("float32")
    expected = reference(keras.applications.mobilenet_v2.preprocess_input(colour))
    found = backbone(build("mobilenet_v2", file, size=size, alpha=alpha, depths=1))(grey)
    assert np.abs(np.asarray(expected)).max() > 0.1
    np.testing.assert_allclose(found, expected, atol=1e-4)

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf

from mri_tumor.dataset.preprocess import Preprocess
from mri_tumor.errors import ArgumentError
from mri_tumor.manifest import Manifest
from mri_tumor.models.classifier import Classifier
from mri_tumor.models.export import EXTRA
from mri_tumor.models.prediction import Prediction, predictions

Make = Callable[..., Classifier]


def pictures(count: int = 5, size: int = 32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 1), dtype=np.uint8)


def rows(found: list[Prediction]) -> np.ndarray:
    return np.array([list(one.probabilities.values()) for one in found])


def encoded(suffix: str, size: tuple[int, int], seed: int) -> bytes:
    """Return a smooth picture's file, brighter inside than at its border."""
    noise = np.random.default_rng(seed).normal(120, 60, size).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 2) * np.outer(np.hanning(size[0]), np.hanning(size[1])) * 1.6
    return cv2.imencode(suffix, np.clip(smooth, 0, 255).astype(np.uint8))[1].tobytes()


FILES = [
    encoded(".png", (50, 40), 1),
    encoded(".jpg", (33, 61), 2),
    encoded(".png", (20, 20), 3),
    encoded(".jpg", (120, 90), 4),
]


@pytest.fixture(scope="module")
def classifier(make_classifier: Make) -> Classifier:
    return make_classifier()


@pytest.fixture(scope="module")
def folder(classifier: Classifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("export") / "1"
    classifier.export(target)
    return target


@pytest.fixture(scope="module")
def loaded(folder: Path) -> tf.Module:
    return tf.saved_model.load(folder)


def test_signatures(loaded: tf.Module) -> None:
    assert set(loaded.signatures) == {"serving_default", "preprocessed"}
    for name, wanted in (
        ("serving_default", tf.TensorSpec((None,), tf.string, name="image")),
        ("preprocessed", tf.TensorSpec((None, 32, 32, 1), tf.uint8, name="image")),
    ):
        signature = loaded.signatures[name]
        assert signature.structured_input_signature[1] == {"image": wanted}
        outputs = {
            key: (tuple(value.shape), value.dtype) for key, value in signature.structured_outputs.items()
        }
        assert outputs == PLAIN


PLAIN = {
    "probabilities": ((None, 4), tf.float32),
    "top": ((None,), tf.int32),
    "label": ((None,), tf.int32),
    "abstained": ((None,), tf.bool),
    "reason": ((None,), tf.int32),
}
CALIBRATED = {"prediction_set": ((None, 4), tf.bool), "novelty": ((None,), tf.float32)}


@pytest.mark.parametrize("count", [1, 5])
def test_preprocessed_is_the_classifier(loaded: tf.Module, classifier: Classifier, count: int) -> None:
    found = loaded.signatures["preprocessed"](image=tf.constant(pictures(count)))
    expected = classifier.predict(pictures(count))
    np.testing.assert_allclose(found["probabilities"], rows(expected), atol=1e-5)
    assert [classifier.labels[top] for top in found["top"].numpy()] == [one.label for one in expected]


def test_serving_default_takes_files_of_mixed_sizes_and_types(
    loaded: tf.Module, classifier: Classifier
) -> None:
    found = loaded.signatures["serving_default"](image=tf.constant(FILES))
    graph = classifier.preprocess.graph()
    ready = np.stack([graph(tf.constant(file)).numpy() for file in FILES])
    np.testing.assert_allclose(found["probabilities"], rows(classifier.predict(ready)), atol=1e-5)
    ours = np.stack([classifier.preprocess(cv2.imdecode(np.frombuffer(file, np.uint8), 0)) for file in FILES])
    assert np.abs(ready.astype(int) - ours).max() <= 2
    assert rows(classifier.predict(ready)).std(axis=0).max() > 0.01


def test_a_calibrated_classifier_is_the_same_in_both_signatures(make_deciding: Make, tmp_path: Path) -> None:
    classifier = make_deciding()
    classifier.export(tmp_path / "1")
    loaded = tf.saved_model.load(tmp_path / "1")
    rng = np.random.default_rng(7)
    light = (rng.uniform(0, 255, (60, 1, 1, 1)) * rng.random((60, 32, 32, 1))).astype(np.uint8)
    files = [cv2.imencode(".png", picture)[1].tobytes() for picture in light]
    graph = classifier.preprocess.graph()
    ready = np.stack([graph(tf.constant(file)).numpy() for file in files])
    for name, given, pictures in (("preprocessed", light, light), ("serving_default", files, ready)):
        signature = loaded.signatures[name]
        outputs = {
            key: (tuple(value.shape), value.dtype) for key, value in signature.structured_outputs.items()
        }
        assert outputs == PLAIN | CALIBRATED
        answer = {key: value.numpy() for key, value in signature(image=tf.constant(given)).items()}
        expected = classifier.predict(pictures)
        found = predictions([one.id for one in expected], answer, classifier.labels)
        np.testing.assert_allclose(rows(found), rows(expected), atol=1e-5)
        np.testing.assert_allclose(
            [one.novelty for one in found], [one.novelty for one in expected], rtol=1e-5, atol=1e-5
        )
        said = [[(one.label, one.prediction_set, one.reason) for one in some] for some in (found, expected)]
        assert said[0] == said[1]
        assert len({reason for _, _, reason in said[0]}) >= 3


@pytest.mark.parametrize("bad", [b"", b"text", FILES[0][:60], FILES[1][:40]])
def test_bytes_that_are_no_picture_are_the_callers_mistake(loaded: tf.Module, bad: bytes) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError):
        loaded.signatures["serving_default"](image=tf.constant([FILES[0], bad]))


def test_the_message_says_what_is_wrong(loaded: tf.Module) -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match="not a JPEG or PNG"):
        loaded.signatures["serving_default"](image=tf.constant([b"text"]))


def test_manifest_lies_beside_it(folder: Path, classifier: Classifier) -> None:
    assert Manifest.load(folder / EXTRA, kind="model").digest == classifier.manifest.digest
    assert [path.name for path in folder.parent.iterdir()] == ["1"]


def test_each_weight_is_written_once_and_nothing_else(folder: Path, classifier: Classifier) -> None:
    reader = tf.train.load_checkpoint(str(folder / "variables" / "variables"))
    shapes = reader.get_variable_to_shape_map()
    written = [tuple(shape) for name, shape in shapes.items() if name.endswith("VARIABLE_VALUE")]
    assert sorted(written) == sorted(tuple(weight.shape) for weight in classifier.model.weights)


def test_it_runs_where_mri_tumor_is_not_installed(folder: Path, classifier: Classifier) -> None:
    code = f"""
import sys
class Refuse:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("mri_tumor", "cv2"):
            raise ImportError(name + " is not there")
sys.meta_path.insert(0, Refuse())
import json
import tensorflow as tf
model = tf.saved_model.load({str(folder)!r})
found = model.signatures["serving_default"](image=tf.constant([bytes.fromhex({FILES[0].hex()!r})]))
assert not {{"mri_tumor", "cv2"}} & set(sys.modules)
print(json.dumps(found["probabilities"].numpy().tolist()))
"""
    done = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    ready = classifier.preprocess.graph()(tf.constant(FILES[0]))
    np.testing.assert_allclose(json.loads(done.stdout), rows(classifier.predict(ready)), atol=1e-5)


def test_dropout_is_off_and_statistics_stay(make_classifier: Make, tmp_path: Path) -> None:
    classifier = make_classifier(dropout=0.9)
    before = [np.array(weight) for weight in classifier.model.weights]
    classifier.export(tmp_path / "1")
    signature = tf.saved_model.load(tmp_path / "1").signatures["preprocessed"]
    first, second = (signature(image=tf.constant(pictures()))["probabilities"].numpy() for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(first, rows(classifier.predict(pictures())), atol=1e-5)
    assert all(np.array_equal(a, np.array(b)) for a, b in zip(before, classifier.model.weights, strict=True))


def test_an_export_is_replaced_and_nothing_else(
    classifier: Classifier, make_classifier: Make, tmp_path: Path
) -> None:
    make_classifier(["none", "tumour"]).export(tmp_path / "1")
    classifier.export(tmp_path / "1")
    assert Manifest.load(tmp_path / "1" / EXTRA, kind="model").digest == classifier.manifest.digest
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "dog.png").write_bytes(b"dog")
    with pytest.raises(ArgumentError, match="holds something else"):
        classifier.export(tmp_path / "photos")
    assert (tmp_path / "photos" / "dog.png").read_bytes() == b"dog"
    (tmp_path / "1" / "notes.txt").write_text("mine")
    with pytest.raises(ArgumentError, match=r"also holds notes\.txt"):
        classifier.export(tmp_path / "1")
    assert (tmp_path / "1" / "notes.txt").read_text() == "mine"


@pytest.mark.parametrize(("form", "file"), [("onnx", "model.onnx"), ("saved_model", "saved_model.pb")])
def test_a_folder_with_a_file_of_that_name_is_no_export(
    classifier: Classifier, form: str, file: str, tmp_path: Path
) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / file).write_bytes(b"of another program")
    with pytest.raises(ArgumentError, match="holds something else"):
        classifier.export(tmp_path / "mine", form)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == [file]


@pytest.mark.needs("tf2onnx")
def test_a_classifier_is_not_saved_over_an_export(classifier: Classifier, tmp_path: Path) -> None:
    classifier.export(tmp_path / "out", "onnx")
    classifier.export(tmp_path / "out", "onnx")
    with pytest.raises(ArgumentError, match="holds something else"):
        classifier.save(tmp_path / "out")
    assert (tmp_path / "out" / "model.onnx").is_file()


def test_unknown_format(classifier: Classifier, tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match=r"no format 'pickle'.*saved_model"):
        classifier.export(tmp_path / "1", format="pickle")
    assert not list(tmp_path.iterdir())


def test_nothing_is_left_when_it_fails(
    classifier: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: object, folder: str, **__: object) -> None:
        Path(folder, "saved_model.pb").write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tf.saved_model, "save", full)
    with pytest.raises(OSError, match="No space"):
        classifier.export(tmp_path / "1")
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.realdata
def test_mobilenet_on_real_pictures(
    shared: Path, make_manifest: Callable[..., Manifest], tmp_path: Path
) -> None:
    from mri_tumor.models.builders import build

    keras.utils.set_random_seed(0)
    model = build("mobilenet_v2", shared / "weights" / "mobilenet_v2_1.0_224_notop.weights.h5")
    classifier = Classifier(model, make_manifest(size=224))
    classifier.export(tmp_path / "1")
    loaded = tf.saved_model.load(tmp_path / "1")
    files = sorted((shared / "data" / "sartaj" / "Testing").glob("*/*.jpg"))[::25]
    ready = np.stack([Preprocess(size=224)(cv2.imread(str(path), 0)) for path in files])
    expected = classifier.predict(files)
    found = loaded.signatures["preprocessed"](image=tf.constant(ready))
    np.testing.assert_allclose(found["probabilities"], rows(expected), atol=1e-5)
    raw = loaded.signatures["serving_default"](image=tf.constant([path.read_bytes() for path in files]))
    assert np.abs(raw["probabilities"] - rows(expected)).max() < 0.05

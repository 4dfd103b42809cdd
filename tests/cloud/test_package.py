import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from mri_tumor import cloud, models
from mri_tumor.cloud.archive import pack
from mri_tumor.cloud.package import classifier_of, layout
from mri_tumor.errors import ArgumentError, ManifestMismatch, PackageError
from mri_tumor.manifest import Manifest

Alter = Callable[[Callable[[Path], None]], Path]


def test_a_package_holds_model_handler_and_classifier(archive: Path, unpacked: Path) -> None:
    names = {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()}
    assert {
        "1/saved_model.pb",
        "1/variables/variables.index",
        "1/assets.extra/manifest.json",
        "code/inference.py",
        "code/bodies.py",
        "code/prediction.py",
        "code/manifest.json",
        "classifier/model.keras",
        "classifier/manifest.json",
    } <= names


def test_a_valid_package_gives_its_manifest(archive: Path, classifier: models.Classifier) -> None:
    assert cloud.validate_package(archive).digest == classifier.manifest.digest


def test_a_saved_classifier_keeps_its_digest(classifier: models.Classifier, tmp_path: Path) -> None:
    run = tmp_path / "run"
    classifier.save(run / "classifier")
    digest = Manifest.load(run / "classifier", kind="model").digest
    for source in (run / "classifier", run):
        path = cloud.package(source, tmp_path / "model.tar.gz")
        assert cloud.validate_package(path).digest == digest


def test_the_same_layout_gives_the_same_bytes(classifier: models.Classifier, tmp_path: Path) -> None:
    folder = layout(classifier, tmp_path / "layout")
    first = pack(folder, tmp_path / "a.tar.gz").read_bytes()
    shutil.copytree(folder, tmp_path / "copy")
    assert pack(tmp_path / "copy", tmp_path / "b.tar.gz").read_bytes() == first


def test_the_classifier_comes_back(archive: Path, classifier: models.Classifier) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 1)).astype(np.uint8)
    again = classifier_of(archive)
    assert [one.probabilities for one in again.predict(pictures)] == [
        one.probabilities for one in classifier.predict(pictures)
    ]


def test_other_arguments_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="int"):
        cloud.package(3, tmp_path / "a.tar.gz")  # type: ignore[arg-type]
    with pytest.raises(ManifestMismatch):
        cloud.package(tmp_path, tmp_path / "a.tar.gz")
    with pytest.raises(ArgumentError, match="None"):
        cloud.validate_package(None)  # type: ignore[arg-type]
    assert not (tmp_path / "a.tar.gz").exists()


def edit(path: Path, change: Callable[[dict], None]) -> None:
    card = json.loads(path.read_text())
    change(card)
    path.write_text(json.dumps(card))


def rewrite(folder: Path, **data: object) -> None:
    """Write all manifests of a package anew, with another data section and true digests."""
    for path in folder.rglob("manifest.json"):
        manifest = Manifest.load(path.parent, kind="model")
        sections = {**manifest.sections, "data": {**manifest.sections["data"], **data}}
        Manifest("model", sections).save(path.parent)


def no_handler(folder: Path) -> None:
    (folder / "code" / "inference.py").unlink()


def no_companion(folder: Path) -> None:
    (folder / "code" / "bodies.py").unlink()


def empty_handler(folder: Path) -> None:
    (folder / "code" / "inference.py").write_text("")


def no_manifest(folder: Path) -> None:
    (folder / "code" / "manifest.json").unlink()


def altered_manifest(folder: Path) -> None:
    edit(folder / "code" / "manifest.json", lambda card: card["sections"]["data"]["labels"].reverse())


def of_another_kind(folder: Path) -> None:
    Manifest("shards", {"data": {}}).save(folder / "code")


def of_another_classifier(folder: Path) -> None:
    manifest = Manifest.load(folder / "classifier", kind="model")
    Manifest("model", manifest.sections | {"training": {"epochs": 9}}).save(folder / "classifier")


def no_version(folder: Path) -> None:
    shutil.rmtree(folder / "1")


def two_versions(folder: Path) -> None:
    shutil.copytree(folder / "1", folder / "2")


def unnumbered(folder: Path) -> None:
    (folder / "1").rename(folder / "export")


def damaged_graph(folder: Path) -> None:
    (folder / "1" / "saved_model.pb").write_bytes(b"\xff" * 100)


def no_variables(folder: Path) -> None:
    shutil.rmtree(folder / "1" / "variables")


def other_labels(folder: Path) -> None:
    rewrite(folder, labels=["glioma", "none"])


def repeated_labels(folder: Path) -> None:
    rewrite(folder, labels=["none", "none"])


def no_preprocess(folder: Path) -> None:
    rewrite(folder, preprocess=None)


def wrong_digest(folder: Path) -> None:
    rewrite(folder, preprocess_digest="0" * 64)


def other_size(folder: Path) -> None:
    spec = models.Classifier.load(folder / "classifier").preprocess.__class__(size=48)
    rewrite(folder, preprocess=spec.to_dict(), preprocess_digest=spec.digest)


def other_signatures(folder: Path) -> None:
    class Bare(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None, 32, 32, 1), tf.float32, name="image")])
        def call(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"probabilities": tf.reduce_mean(image, (1, 2))}

    bare = Bare()
    bare.weight = tf.Variable(1.0)
    kept = (folder / "1" / "assets.extra" / "manifest.json").read_bytes()
    shutil.rmtree(folder / "1")
    tf.saved_model.save(bare, str(folder / "1"), signatures={"preprocessed": bare.call})
    (folder / "1" / "assets.extra").mkdir()
    (folder / "1" / "assets.extra" / "manifest.json").write_bytes(kept)


def reaching_out(folder: Path) -> None:
    class Spy(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec((None,), tf.string, name="image")])
        def call(self, image: tf.Tensor) -> dict[str, tf.Tensor]:
            return {"top": tf.map_fn(tf.io.read_file, image)}

    spy = Spy()
    spy.weight = tf.Variable(1.0)
    kept = (folder / "1" / "assets.extra" / "manifest.json").read_bytes()
    shutil.rmtree(folder / "1")
    tf.saved_model.save(spy, str(folder / "1"), signatures={"serving_default": spy.call})
    (folder / "1" / "assets.extra").mkdir()
    (folder / "1" / "assets.extra" / "manifest.json").write_bytes(kept)


def two_graphs(folder: Path) -> None:
    """Who loads them decides which one runs: that need not be the one that was checked."""
    path = folder / "1" / "saved_model.pb"
    path.write_bytes(path.read_bytes() * 2)  # of repeated fields protobuf makes longer ones


def other_form(folder: Path) -> None:
    (folder / "2").mkdir()
    (folder / "2" / "saved_model.pbtxt").write_text("")
    (folder / "1" / "saved_model.cpb").write_bytes(b"")


def foreign_code(folder: Path) -> None:
    """AWS's container would install the first at its start, and import from the second."""
    (folder / "code" / "requirements.txt").write_text("anything")
    (folder / "code" / "lib").mkdir()
    (folder / "code" / "lib" / "numpy.py").write_text("")


@pytest.mark.parametrize(
    ("change", "reasons"),
    [
        (no_handler, ["code/inference.py is missing"]),
        (empty_handler, ["code/inference.py is missing"]),
        (no_companion, ["code/bodies.py is missing"]),
        (no_manifest, ["code/manifest.json cannot be used", "No such file"]),
        (altered_manifest, ["code/manifest.json cannot be used", "names digest"]),
        (of_another_kind, ["code/manifest.json cannot be used", "'shards'"]),
        (of_another_classifier, ["classifier/manifest.json is another than code/manifest.json"]),
        (no_version, ["no saved_model.pb; export the classifier into 1/"]),
        (two_versions, ["there are 2 versions (1, 2); keep one"]),
        (unnumbered, ["export/saved_model.pb lies in no folder with a number"]),
        (damaged_graph, ["1/saved_model.pb cannot be read"]),
        (no_variables, ["1/saved_model.pb has no variables/"]),
        (other_labels, ["not probabilities of 2 labels", "preprocessed gives", "serving_default gives"]),
        (repeated_labels, ["names the labels ['none', 'none']"]),
        (no_preprocess, ["has no preprocessing"]),
        (wrong_digest, ["preprocess_digest that is not that of its preprocessing"]),
        (other_size, ["preprocessed takes", "[-1, 48, 48, 1]"]),
        (other_signatures, ["no signature 'serving_default'", "float32", "and top"]),
        (reaching_out, ["uses ReadFile, not known to compute only", "no signature 'preprocessed'"]),
        (two_graphs, ["1/saved_model.pb cannot be read as one graph"]),
        (other_form, ["1/saved_model.cpb is a graph in another form", "2/saved_model.pbtxt is"]),
        (foreign_code, ["code/requirements.txt does not belong", "code/lib/numpy.py does not belong"]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_each_fault_is_named(altered: Alter, change: Callable[[Path], None], reasons: list[str]) -> None:
    with pytest.raises(PackageError) as caught:
        cloud.validate_package(altered(change))
    for reason in reasons:
        assert reason in str(caught.value)


def test_all_faults_are_listed_at_once(altered: Alter) -> None:
    def change(folder: Path) -> None:
        no_handler(folder)
        altered_manifest(folder)
        two_versions(folder)

    with pytest.raises(PackageError) as caught:
        cloud.validate_package(altered(change))
    assert [f"({number})" in str(caught.value) for number in (1, 2, 3, 4)] == [True, True, True, False]


def test_a_named_model_folder_is_as_good(altered: Alter) -> None:
    def change(folder: Path) -> None:
        (folder / "model").mkdir()
        (folder / "1").rename(folder / "model" / "7")

    assert cloud.validate_package(altered(change)).kind == "model"


def test_without_its_classifier_a_package_can_be_deployed_but_not_loaded(altered: Alter) -> None:
    path = altered(lambda folder: shutil.rmtree(folder / "classifier"))
    cloud.validate_package(path)
    with pytest.raises(PackageError, match="no folder classifier/"):
        classifier_of(path)

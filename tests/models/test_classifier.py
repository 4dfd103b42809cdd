import json
import shutil
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pytest

from mri_tumor.dataset.preprocess import Preprocess
from mri_tumor.dataset.reader import read_image
from mri_tumor.errors import ArgumentError, ManifestMismatch, ReadError
from mri_tumor.files import sha256_of
from mri_tumor.labels import LABELS
from mri_tumor.manifest import Manifest
from mri_tumor.models import builders
from mri_tumor.models.classifier import Classifier
from mri_tumor.models.companions import DENSITY_FILE, MODEL_FILE, SEEN_FILE, SELECTED_FILE
from mri_tumor.models.deciding.views import observe
from mri_tumor.models.decision import decide
from mri_tumor.models.novelty import Density
from mri_tumor.models.prediction import Prediction
from mri_tumor.models.seen import Known, Seen

Make = Callable[..., Classifier]


def pictures(count: int = 5, size: int = 32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 1), dtype=np.uint8)


def rows(found: list[Prediction]) -> np.ndarray:
    return np.array([list(one.probabilities.values()) for one in found])


@pytest.fixture
def classifier(make_classifier: Make) -> Classifier:
    return make_classifier()


def test_says_what_the_network_says(classifier: Classifier) -> None:
    found = classifier.predict(pictures())
    expected = keras.ops.softmax(classifier.model(pictures()))
    np.testing.assert_allclose(rows(found), expected, atol=1e-5)
    assert [one.label for one in found] == [LABELS[top] for top in np.argmax(expected, axis=1)]
    assert rows(found).std(axis=0).max() > 0.01
    assert [one.id for one in found] == ["0", "1", "2", "3", "4"]


def test_batch_size_changes_nothing(classifier: Classifier) -> None:
    whole = classifier.predict(pictures(7))
    parts = classifier.predict(pictures(7), batch_size=3)
    assert [one.id for one in parts] == [one.id for one in whole]
    np.testing.assert_allclose(rows(parts), rows(whole), atol=1e-6)
    with pytest.raises(ArgumentError, match="batch_size is 0"):
        classifier.predict(pictures(), batch_size=0)


def test_few_shapes_serve_every_batch_size(classifier: Classifier) -> None:
    for count in (1, 2, 5, 9, 17):
        classifier.predict(pictures(count))
    assert classifier._engine.shapes == 3  # one, two, four


def test_training_after_the_first_call_counts(classifier: Classifier) -> None:
    before = rows(classifier.predict(pictures()))
    head = classifier.model.get_layer("logits")
    head.bias.assign(np.array(head.bias) + np.eye(4, dtype="float32")[0])
    assert (rows(classifier.predict(pictures()))[:, 0] > before[:, 0]).all()


def test_nothing_in_nothing_out(classifier: Classifier) -> None:
    assert classifier.predict([]) == []
    assert classifier.predict(pictures(0)) == []


def test_all_forms_of_a_picture_get_the_same_answer(classifier: Classifier, make_folder: Callable) -> None:
    from mri_tumor.dataset.catalog import scan

    catalog = scan(make_folder(per_class=2))
    raw = [read_image(path) for path in catalog.paths]
    ready = np.stack([classifier.preprocess(image) for image in raw])
    expected = classifier.predict(ready)
    forms = {
        "Catalog": catalog,
        "paths": list(catalog.paths),
        "bytes": [path.read_bytes() for path in catalog.paths],
        "raw": raw,
        "a list of preprocessed ones": list(ready),
    }
    for name, form in forms.items():
        found = classifier.predict(form, batch_size=3)
        np.testing.assert_allclose(rows(found), rows(expected), atol=1e-6, err_msg=name)
    assert [one.id for one in classifier.predict(catalog)] == list(catalog.ids)
    assert [one.id for one in classifier.predict(list(catalog.paths))] == [
        str(path) for path in catalog.paths
    ]
    one, alike = classifier.predict(catalog.paths[0]), classifier.predict(raw[0])
    np.testing.assert_allclose(rows(one), rows(alike), atol=1e-6)


def test_a_shuffled_dataset_keeps_its_ids(classifier: Classifier, make_folder: Callable) -> None:
    from mri_tumor.dataset.catalog import scan
    from mri_tumor.dataset.pipeline import load

    catalog = scan(make_folder(per_class=5))
    expected = {one.id: one.probabilities["none"] for one in classifier.predict(catalog)}
    data = load(catalog, preprocess=classifier.preprocess, batch_size=4, shuffle=True, seed=3)
    found = classifier.predict(data)
    assert [one.id for one in found] != list(catalog.ids)
    assert {one.id: one.probabilities["none"] for one in found} == pytest.approx(expected, abs=1e-6)
    assert np.diff(sorted(expected.values())).min() > 1e-5  # each picture has an answer of its own


def test_bad_pictures(classifier: Classifier, tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("no picture")
    with pytest.raises(ReadError, match=r"text\.jpg"):
        classifier.predict([tmp_path / "text.jpg"])
    with pytest.raises(ArgumentError, match="float32"):
        classifier.predict(pictures().astype("float32"))
    with pytest.raises(ArgumentError, match=r"\(5, 16, 16, 1\)"):
        classifier.predict(pictures(size=16))


def test_many_threads_get_the_answers_of_one(classifier: Classifier) -> None:
    batches = [pictures(6, seed=seed) for seed in range(8)]
    expected = [rows(classifier.predict(batch)) for batch in batches]
    fresh = Classifier(
        classifier.model, classifier.manifest
    )  # not traced yet: the threads meet in the tracing
    found: dict[int, list[np.ndarray]] = {number: [] for number in range(8)}

    def work(number: int) -> None:
        for _ in range(5):
            found[number].append(rows(fresh.predict(batches[number], batch_size=4)))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(8):
        assert len(found[number]) == 5
        for answer in found[number]:
            np.testing.assert_allclose(answer, expected[number], atol=1e-6)


def test_save_and_load(classifier: Classifier, tmp_path: Path) -> None:
    classifier.save(tmp_path / "model")
    assert sorted(path.name for path in (tmp_path / "model").iterdir()) == ["manifest.json", MODEL_FILE]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    loaded = Classifier.load(str(tmp_path / "model"))
    assert loaded.labels == classifier.labels == LABELS
    assert loaded.preprocess == classifier.preprocess == Preprocess(size=32)
    np.testing.assert_allclose(
        rows(loaded.predict(pictures())), rows(classifier.predict(pictures())), atol=1e-6
    )
    assert loaded.manifest.digest == classifier.manifest.digest
    assert loaded.manifest.sections["model"]["file"]["sha256"] == sha256_of(tmp_path / "model" / MODEL_FILE)


def test_manifest_describes_the_network(classifier: Classifier) -> None:
    section = classifier.manifest.sections["model"]
    assert section == builders.describe(classifier.model) | {"parameters": classifier.model.count_params()}
    assert json.loads(classifier.manifest.to_json())["sections"]["model"] == section


def test_other_classes_and_sizes_survive(make_classifier: Make, tmp_path: Path) -> None:
    make_classifier(["none", "tumour"], size=48).save(tmp_path / "two")
    loaded = Classifier.load(tmp_path / "two")
    assert loaded.labels == ("none", "tumour")
    assert set(loaded.predict(pictures(1, 48))[0].probabilities) == {"none", "tumour"}


def test_optimizer_and_loss_are_not_saved(classifier: Classifier, tmp_path: Path) -> None:
    classifier.save(tmp_path / "bare")
    classifier.model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    classifier.model.optimizer.build(classifier.model.trainable_variables)
    classifier.save(tmp_path / "trained")
    for name in ("bare", "trained"):
        config = json.loads(zipfile.ZipFile(tmp_path / name / MODEL_FILE).read("config.json"))
        assert not config.get("compile_config")
    sizes = [(tmp_path / name / MODEL_FILE).stat().st_size for name in ("bare", "trained")]
    assert sizes[1] < 1.1 * sizes[0]


def test_saving_replaces_an_earlier_classifier_only(classifier: Classifier, tmp_path: Path) -> None:
    target = tmp_path / "model"
    target.mkdir()
    classifier.save(target)  # an empty folder may be filled
    classifier.save(target)
    assert Classifier.load(target).labels == LABELS
    precious = tmp_path / "photos"
    precious.mkdir()
    (precious / "dog.png").write_bytes(b"dog")
    (tmp_path / "file").write_text("")
    for other in (precious, tmp_path / "file"):
        with pytest.raises(ArgumentError, match=r"holds something else|is a file"):
            classifier.save(other)
    Manifest("run", {}).save(precious)
    with pytest.raises(ArgumentError, match="holds something else"):
        classifier.save(precious)
    assert (precious / "dog.png").read_bytes() == b"dog"


def test_nothing_is_left_when_saving_fails(
    classifier: Classifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    classifier.save(tmp_path / "model")
    before = sha256_of(tmp_path / "model" / MODEL_FILE)
    manifest = classifier.manifest

    def full(self: object, path: Path, *_: object, **__: object) -> None:
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(keras.Model, "save", full)
    for name in ("model", "new"):
        with pytest.raises(OSError, match="No space"):
            classifier.save(tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert sha256_of(tmp_path / "model" / MODEL_FILE) == before
    assert classifier.manifest is manifest


def edit(folder: Path, change: Callable[[dict], None]) -> None:
    """Change a saved manifest's sections and give it the digest that fits."""
    card = json.loads((folder / "manifest.json").read_text())
    change(card["sections"])
    Manifest(card["kind"], card["sections"], card["schema"]).save(folder)


@pytest.fixture(scope="module")
def saved_once(make_classifier: Make, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved") / "model"
    make_classifier().save(folder)
    return folder


@pytest.fixture
def saved(saved_once: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved_once, tmp_path / "model"))


def test_load_without_folder(tmp_path: Path) -> None:
    with pytest.raises(ManifestMismatch, match=r"nowhere.*cannot be read"):
        Classifier.load(tmp_path / "nowhere")


def test_load_without_network(saved: Path) -> None:
    (saved / MODEL_FILE).unlink()
    with pytest.raises(ManifestMismatch, match=r"model\.keras is missing"):
        Classifier.load(saved)


@pytest.mark.parametrize("where", [0, 0.5, -1])
def test_load_of_an_altered_network(saved: Path, where: float) -> None:
    content = bytearray((saved / MODEL_FILE).read_bytes())
    content[int(where * len(content)) if where >= 0 else -1] ^= 1
    (saved / MODEL_FILE).write_bytes(content)
    with pytest.raises(ManifestMismatch, match=r"model\.keras has SHA-256"):
        Classifier.load(saved)


def test_load_of_another_classifiers_network(saved: Path, make_classifier: Make, tmp_path: Path) -> None:
    make_classifier(width=3).save(tmp_path / "other")
    shutil.copy(tmp_path / "other" / MODEL_FILE, saved / MODEL_FILE)
    with pytest.raises(ManifestMismatch, match=r"model\.keras has SHA-256"):
        Classifier.load(saved)


def test_load_of_an_altered_manifest(saved: Path) -> None:
    text = (saved / "manifest.json").read_text()
    (saved / "manifest.json").write_text(text.replace('"meningioma"', '"Meningioma"'))
    with pytest.raises(ManifestMismatch, match="nobody altered"):
        Classifier.load(saved)


def test_load_of_another_kind_or_a_newer_schema(saved: Path, make_manifest: Callable[..., Manifest]) -> None:
    make_manifest(kind="shards").save(saved)
    with pytest.raises(ManifestMismatch, match="kind 'shards'"):
        Classifier.load(saved)
    Manifest("model", {}, schema="2.0").save(saved)
    with pytest.raises(ManifestMismatch, match="upgrade mri-tumor"):
        Classifier.load(saved)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda sections: sections["data"]["labels"].pop(), "3 labels .* 4 logits"),
        (lambda sections: sections["data"].update(labels=["none"] * 4), "another label for each logit"),
        (lambda sections: sections["data"].update(labels=[]), "section 'data' with labels"),
        (lambda sections: sections.pop("data"), "section 'data' with labels"),
        (lambda sections: sections["data"].pop("preprocess"), "section 'data' with labels"),
        (lambda sections: sections["data"]["preprocess"].update(size=64), "preprocess_digest is"),
        (lambda sections: sections["data"]["preprocess"].update(blur=3), "unknown fields"),
        (lambda sections: sections["data"].update(preprocess="none"), "preprocessing is str"),
        (
            lambda sections: sections.update(
                data=sections["data"]
                | {
                    "preprocess": Preprocess(size=64).to_dict(),
                    "preprocess_digest": Preprocess(size=64).digest,
                }
            ),
            "pictures of 64 pixels for a network that takes 32",
        ),
        (lambda sections: sections["model"].pop("file"), "names None"),
        (lambda sections: sections.update(model=3), "names None"),
    ],
)
def test_load_of_what_does_not_belong_together(saved: Path, change: Callable, words: str) -> None:
    edit(saved, change)
    with pytest.raises(ManifestMismatch, match=words):
        Classifier.load(saved)


def test_no_code_runs_on_load(saved: Path, tmp_path: Path) -> None:
    image = keras.Input((32, 32, 1), dtype="uint8", name="image")
    evil = keras.layers.Lambda(lambda x: x, name="evil", output_shape=(32, 32, 1))(image)
    features = keras.layers.GlobalAveragePooling2D(name="features")(keras.layers.Rescaling(1 / 255)(evil))
    model = keras.Model(image, keras.layers.Dense(4, name="logits")(features))
    model.save(saved / MODEL_FILE)
    edit(saved, lambda sections: sections["model"]["file"].update(sha256=sha256_of(saved / MODEL_FILE)))
    with pytest.raises(ManifestMismatch, match="it holds Lambda"):
        Classifier.load(saved)
    keras.config.enable_unsafe_deserialization()  # a user's program may have called it
    try:
        with pytest.raises(ManifestMismatch, match="it holds Lambda"):
            Classifier.load(saved)
    finally:
        keras.src.backend.common.global_state.set_global_attribute("safe_mode_saving", None)


def test_text_instead_of_a_network(saved: Path) -> None:
    (saved / MODEL_FILE).write_text("text")
    edit(saved, lambda sections: sections["model"]["file"].update(sha256=sha256_of(saved / MODEL_FILE)))
    with pytest.raises(ManifestMismatch, match="cannot be loaded"):
        Classifier.load(saved)


def test_a_classifier_is_made_of_a_network_and_its_manifest(
    classifier: Classifier, make_manifest: Callable[..., Manifest]
) -> None:
    with pytest.raises(ManifestMismatch, match="kind 'run'"):
        Classifier(classifier.model, make_manifest(kind="run"))
    with pytest.raises(ManifestMismatch, match="2 labels"):
        Classifier(classifier.model, make_manifest(["a", "b"]))
    with pytest.raises(ArgumentError, match="manifest is a dict"):
        Classifier(classifier.model, {})  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match="features"):
        Classifier(keras.Sequential([keras.Input((3,)), keras.layers.Dense(4)]), make_manifest())


def test_what_it_was_trained_on_is_kept_with_it(make_classifier, tmp_path):
    plain = make_classifier()
    seen = Seen.of([Known(("a.png",), ("p1",))])
    classifier = Classifier(plain.model, plain.manifest, seen=seen)
    classifier.save(tmp_path / "kept")
    assert Classifier.load(tmp_path / "kept").seen == seen
    plain.save(tmp_path / "plain")
    assert Classifier.load(tmp_path / "plain").seen is None
    (tmp_path / "kept" / SEEN_FILE).write_text("{}")
    with pytest.raises(ManifestMismatch, match=SEEN_FILE):
        Classifier.load(tmp_path / "kept")
    (tmp_path / "kept" / SEEN_FILE).unlink()
    with pytest.raises(ManifestMismatch, match="missing"):
        Classifier.load(tmp_path / "kept")


@pytest.fixture(scope="module")
def deciding(make_deciding: Make) -> Classifier:
    return make_deciding()


def light(count: int = 60, seed: int = 5) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.uniform(0, 255, (count, 1, 1, 1)) * rng.random((count, 32, 32, 1))).astype(np.uint8)


def test_a_calibrated_one_says_what_decide_says(deciding: Classifier) -> None:
    found = deciding.predict(light())
    logits, features = observe(deciding.model, light(), "mirror")
    expected = {
        name: np.asarray(value) for name, value in decide(logits, features, deciding.settings).items()
    }
    np.testing.assert_allclose(rows(found), expected["probabilities"], atol=1e-5)
    np.testing.assert_allclose([one.novelty for one in found], expected["novelty"], rtol=1e-5)
    assert {one.reason for one in found} >= {None, "novel", "ambiguous"}
    for one, held in zip(found, expected["prediction_set"], strict=True):
        assert one.prediction_set == tuple(np.array(LABELS)[held])
        assert one.label is None or one.prediction_set == (one.label,)
        assert (one.reason == "novel") == (one.novelty > 1)


def test_what_was_observed_is_not_decided_yet(deciding: Classifier) -> None:
    found = deciding.observe(light(7), batch_size=3)
    logits, features = observe(deciding.model, light(7), "mirror")
    assert found.ids == tuple("0123456")
    np.testing.assert_allclose(found.logits, logits, atol=1e-5)
    np.testing.assert_allclose(found.features, features, atol=1e-5)
    nothing = deciding.observe([])
    assert (nothing.logits.shape, nothing.features.shape) == ((0, 4), (0, features.shape[1]))


def test_everything_that_decides_is_saved(deciding: Classifier, tmp_path: Path) -> None:
    deciding.save(tmp_path / "model")
    names = {MODEL_FILE, "manifest.json", SEEN_FILE, SELECTED_FILE, DENSITY_FILE}
    assert {path.name for path in (tmp_path / "model").iterdir()} == names
    loaded = Classifier.load(tmp_path / "model")
    assert (loaded.seen, loaded.selected) == (deciding.seen, deciding.selected)
    assert loaded.manifest.digest == deciding.manifest.digest
    for one, other in zip(loaded.predict(light()), deciding.predict(light()), strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-6)
        assert one.novelty == pytest.approx(other.novelty, rel=1e-5)
        assert (one.label, one.prediction_set, one.reason) == (
            other.label,
            other.prediction_set,
            other.reason,
        )


@pytest.mark.parametrize("name", [SELECTED_FILE, DENSITY_FILE])
def test_files_beside_the_network_belong_to_it(deciding: Classifier, tmp_path: Path, name: str) -> None:
    deciding.save(tmp_path / "model")
    path = tmp_path / "model" / name
    path.write_bytes(path.read_bytes() + b" ")
    with pytest.raises(ManifestMismatch, match=f"{name} has SHA-256"):
        Classifier.load(tmp_path / "model")
    path.unlink()
    with pytest.raises(ManifestMismatch, match=f"{name} is missing"):
        Classifier.load(tmp_path / "model")


def test_another_decision_is_another_classifier_of_the_same_network(deciding: Classifier) -> None:
    before = deciding.manifest.digest
    plain = deciding.with_decision({})
    assert (deciding.manifest.digest, plain.model) == (before, deciding.model)
    assert plain.manifest.digest != before
    assert plain.predict(light(1))[0].prediction_set is None
    with pytest.raises(ManifestMismatch, match="0 is no number above 0"):
        deciding.with_decision({"temperature": 0})


def test_the_density_of_another_network(classifier: Classifier, make_classifier: Make) -> None:
    wide = make_classifier(width=4)
    features = wide.observe(light(40)).features
    with pytest.raises(ManifestMismatch, match="class means and features"):
        Classifier(classifier.model, classifier.manifest, density=Density.fit(features, np.arange(40) % 4))
    with pytest.raises(ManifestMismatch, match="class means and features"):
        Classifier(wide.model, wide.manifest, density=Density.fit(features, np.arange(40) % 2))


def test_what_the_first_releases_saved_still_loads(classifier: Classifier, tmp_path: Path) -> None:
    """Their manifests have an empty section about decisions, or none, and nothing lies beside the network."""
    expected = rows(classifier.predict(light(3)))
    for change in (lambda sections: sections.update(decision={}), lambda sections: sections.pop("decision")):
        classifier.save(tmp_path / "old")
        edit(tmp_path / "old", change)
        found = Classifier.load(tmp_path / "old").predict(light(3))
        np.testing.assert_allclose(rows(found), expected, atol=1e-6)
        assert {(one.prediction_set, one.novelty, one.abstained) for one in found} == {(None, None, False)}


def test_several_batches_are_counted(classifier: Classifier, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO", "mri_tumor"):
        classifier.predict(pictures(3))
        assert not caplog.records
        classifier.predict(pictures(5), batch_size=2)
    assert "predicting: 5 done" in caplog.text

"""A package's model is held against what its classifier said of the probe."""

import json
import logging
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mri_tumor import cloud, models
from mri_tumor.cloud.archive import extract, pack
from mri_tumor.cloud.container.inference import respond
from mri_tumor.cloud.package import classifier_of, layout
from mri_tumor.cloud.probe import PROBE, probe_pictures
from mri_tumor.cloud.serving.model import load_model
from mri_tumor.errors import PackageError
from mri_tumor.models.prediction import Prediction

from .conftest import SIZE, picture, untrained
from .test_inference import npy


@pytest.fixture(scope="module")
def whole(calibrated: models.Classifier, tmp_path_factory: pytest.TempPathFactory) -> Path:
    archive = cloud.package(calibrated, tmp_path_factory.mktemp("calibrated") / "model.tar.gz")
    return extract(archive, archive.parent / "package")


@pytest.fixture
def validate(whole: Path, tmp_path: Path) -> Callable[[Callable[[Path], None]], None]:
    """Return a function that validates the package after a change to its folder."""

    def check(change: Callable[[Path], None]) -> None:
        folder = Path(shutil.copytree(whole, tmp_path / "altered"))
        change(folder)
        cloud.validate_package(pack(folder, tmp_path / "altered.tar.gz"))

    return check


def answers(folder: Path, change: Callable[[list], None]) -> None:
    path = folder / PROBE / "answers.json"
    cards = json.loads(path.read_text())
    change(cards)
    path.write_text(json.dumps(cards))


def test_the_pictures_are_the_same_everywhere_and_differ() -> None:
    pictures = probe_pictures(48)
    assert (pictures.dtype, pictures.shape) == (np.uint8, (3, 48, 48, 1))
    np.testing.assert_array_equal(pictures, probe_pictures(48))
    assert pictures[2].std() > 60
    assert np.abs(pictures[0].astype(int) - pictures[1]).mean() > 5
    assert pictures[:2, 0].max() == 0  # black around the ellipse


def test_a_package_holds_what_its_classifier_said(whole: Path, calibrated: models.Classifier) -> None:
    cards = json.loads((whole / PROBE / "answers.json").read_text())
    found = [Prediction.from_dict(card) for card in cards]
    expected = calibrated.predict(np.load(whole / PROBE / "pictures.npy"))
    assert [one.prediction_set for one in found] == [one.prediction_set for one in expected]
    assert all(one.novelty is not None for one in found)


def test_an_untouched_package_is_valid(validate: Callable, archive: Path) -> None:
    validate(lambda folder: None)
    cloud.validate_package(archive)  # of a classifier that was never calibrated


def test_without_a_probe_it_is_valid_and_said(validate: Callable, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="mri_tumor"):
        validate(lambda folder: shutil.rmtree(folder / PROBE))
    assert "has no probe" in caplog.text


def probabilities(cards: list) -> None:
    values = cards[1]["probabilities"]
    values["glioma"] += 2e-5
    values["none"] -= 2e-5


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (probabilities, r"preprocessed and the classifier: probabilities of picture 1 differ by 2e-05"),
        (
            lambda cards: cards[0].update(novelty=cards[0]["novelty"] * 1.001 + 0.001),
            "novelty of picture 0 is",
        ),
        (lambda cards: cards[0].update(novelty=None), "novelty of picture 0 is .*, not None"),
        (
            lambda cards: cards[2].update(prediction_set=["a"]),
            r"prediction_set of picture 2 is .*, not \('a',\)",
        ),
        (lambda cards: cards[2].update(top="a"), "top of picture 2 is"),
        (lambda cards: cards.pop(), "one answer a picture"),
        (lambda cards: cards[0].pop("novelty"), "lacks novelty"),
    ],
)
def test_other_answers_are_a_fault(validate: Callable, change: Callable[[list], None], words: str) -> None:
    with pytest.raises(PackageError, match=words):
        validate(lambda folder: answers(folder, change))


def test_the_model_of_another_classifier_is_a_fault(validate: Callable, tmp_path: Path, whole: Path) -> None:
    """Its signatures, labels and sizes are the same; only what it says is not."""
    other = untrained(seed=1).with_decision({})
    classifier = models.Classifier.load(whole / "classifier")
    swapped = models.Classifier(other.model, classifier.manifest, density=classifier.density)
    swapped.export(tmp_path / "1")

    def change(folder: Path) -> None:
        shutil.rmtree(folder / "1" / "variables")
        shutil.copytree(tmp_path / "1" / "variables", folder / "1" / "variables")

    with pytest.raises(PackageError, match="preprocessed and the classifier: probabilities of picture 0"):
        validate(change)


def test_a_model_that_gives_no_sets_is_a_fault(validate: Callable, tmp_path: Path, whole: Path) -> None:
    models.Classifier.load(whole / "classifier").with_decision({}).export(tmp_path / "1")

    def change(folder: Path) -> None:
        kept = folder / "1" / "assets.extra"
        shutil.rmtree(tmp_path / "1" / "assets.extra")
        shutil.copytree(kept, tmp_path / "1" / "assets.extra")
        shutil.rmtree(folder / "1")
        shutil.copytree(tmp_path / "1", folder / "1")

    with pytest.raises(PackageError, match=r"gives no prediction_set, .*\n?.*gives no novelty"):
        validate(change)


@pytest.mark.parametrize("name", ["pictures.npy", "answers.json"])
@pytest.mark.parametrize(
    "content", [None, b"", b"nothing of this kind", b"[3, 4, 5]", b"[" * 200_000, bytes(7 * 2**20)]
)
def test_a_probe_that_cannot_be_read(validate: Callable, name: str, content: bytes | None) -> None:
    def change(folder: Path) -> None:
        path = folder / PROBE / name
        if content is None:
            path.unlink()
        else:
            path.write_bytes(content)

    with pytest.raises(PackageError, match="probe/ cannot be used"):
        validate(change)


def test_variables_that_cannot_be_read(validate: Callable) -> None:
    def change(folder: Path) -> None:
        for path in (folder / "1" / "variables").glob("*.data-*"):
            path.write_bytes(path.read_bytes()[:-100])

    with pytest.raises(PackageError, match="1/ cannot be run"):
        validate(change)


def test_the_endpoint_says_what_the_calibrated_classifier_says(
    whole: Path, calibrated: models.Classifier
) -> None:
    manifest = json.loads((whole / "code" / "manifest.json").read_text())
    heads = [calibrated.preprocess(picture(seed)) for seed in range(500, 530)]
    noise = np.random.default_rng(2).integers(0, 256, (10, SIZE, SIZE, 1)).astype(np.uint8)
    pictures = np.concatenate([heads, noise])
    digest = manifest["sections"]["data"]["preprocess_digest"]
    attributes = f"preprocess-digest={digest}"
    body, _ = respond(npy(pictures), "application/x-npy", attributes, load_model(whole), manifest)
    found = [Prediction.from_dict(card) for card in json.loads(body)["predictions"]]
    for one, other in zip(found, calibrated.predict(pictures), strict=True):
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-5)
        assert one.novelty == pytest.approx(other.novelty, rel=1e-5, abs=1e-5)
        said = [(x.label, x.prediction_set, x.abstained, x.reason) for x in (one, other)]
        assert said[0] == said[1]
    assert len({one.reason for one in found}) >= 2


def test_the_calibrated_classifier_comes_back_from_its_package(
    calibrated: models.Classifier, tmp_path: Path
) -> None:
    calibrated.save(tmp_path / "saved")
    layout(tmp_path / "saved", tmp_path / "layout")
    again = classifier_of(pack(tmp_path / "layout", tmp_path / "model.tar.gz"))
    assert again.manifest.digest == calibrated.manifest.digest
    np.testing.assert_array_equal(again.density.means, calibrated.density.means)

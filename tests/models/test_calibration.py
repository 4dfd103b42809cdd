"""Calibration of small classifiers on phantoms, and of simulated logits, from end to end."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mri_tumor import dataset
from mri_tumor.dataset import Catalog
from mri_tumor.errors import ArgumentError, LeakageError, ManifestMismatch
from mri_tumor.labels import LABELS
from mri_tumor.models.calibration import calibrate
from mri_tumor.models.classifier import Classifier
from mri_tumor.models.companions import identity
from mri_tumor.models.deciding.observations import Observations
from mri_tumor.models.deciding.plan import Plan, distance_threshold, softmax
from mri_tumor.models.deciding.report import Shares
from mri_tumor.models.evaluation import evaluate
from mri_tumor.models.fitting.held_out import FILE_NAME as OUT_OF_FOLD
from mri_tumor.models.judging.cases import Cases
from mri_tumor.models.novelty import Density
from mri_tumor.models.seen import Known, Seen

Make = Callable[..., Classifier]


def simulated(count: int, seed: int, *, slices: int = 1, temperature: float = 2.0) -> Observations:
    """Return pictures in groups of `slices`; logits are too large by the temperature."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(-(-count // slices)) % 4, slices)[:count]
    logits = rng.normal(0, 1, (count, 4)) + 1.8 * np.eye(4)[labels]
    # The posterior of unit noise about 1.8 in the true place is softmax(1.8 x).
    logits = (1.8 * temperature * logits).astype(np.float32)
    names = tuple(f"{seed}-{place}.png" for place in range(count))
    groups = tuple(f"{seed}-{place // slices}" for place in range(count))
    distances = rng.chisquare(20, count) / 20
    return Observations(Known(names, groups), labels.astype(np.int64), logits, distances, "pictures")


def write_run(folder: Path, classifier: Classifier, found: Observations, **change: np.ndarray) -> Path:
    """Write what a run with folds leaves."""
    classifier.save(folder / "classifier")
    columns = {
        "ids": np.array(found.known.ids),
        "labels": found.labels,
        "groups": np.array([group or "" for group in found.known.groups]),
        "logits": found.logits,
        "distances": found.distances.astype(np.float32),
    }
    np.savez(folder / OUT_OF_FOLD, **(columns | change))
    return folder


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Catalog:
    return dataset.make_phantoms(tmp_path_factory.mktemp("phantoms"), per_class=20, size=64)


@pytest.fixture(scope="module")
def classifier(make_classifier: Make) -> Classifier:
    plain = make_classifier()
    light = np.random.default_rng(0).integers(0, 256, (80, 32, 32, 1)).astype(np.uint8)
    density = Density.fit(plain.observe(light).features, np.arange(80) % 4)
    return Classifier(plain.model, plain.manifest, density=density)


@pytest.fixture(scope="module")
def calibrated(classifier: Classifier, pictures: Catalog) -> Classifier:
    return calibrate(classifier, pictures, risk=0.2)


def test_the_section_is_what_the_classifier_decides_by(
    classifier: Classifier, calibrated: Classifier, pictures: Catalog
) -> None:
    section = calibrated.manifest.sections["decision"]
    assert set(section) == {"tta", "temperature", "conformal", "novelty", "calibration"}
    assert set(section["conformal"]["thresholds"]) == set(LABELS)
    assert section["novelty"]["false_alarms"] == 0.01
    assert calibrated.settings.temperature == section["temperature"]
    assert calibrated.model is classifier.model
    assert classifier.manifest.sections["decision"] == {}
    found = calibrated.predict(pictures)
    assert all(one.prediction_set is not None and one.novelty is not None for one in found)
    # The very pictures that the thresholds were made of: at most the share asked for is missed.
    for label in LABELS:
        own = [one for one, true in zip(found, pictures.labels, strict=True) if true == label]
        assert np.mean([label in one.prediction_set for one in own]) >= 0.75
    assert np.mean([one.novelty > 1 + 1e-5 for one in found]) <= 0.0125


def test_it_is_saved_and_exported_with_everything(
    calibrated: Classifier, tmp_path: Path, pictures: Catalog
) -> None:
    calibrated.save(tmp_path / "model")
    loaded = Classifier.load(tmp_path / "model")
    assert loaded.manifest.sections["decision"] == calibrated.manifest.sections["decision"]
    for one, other in zip(loaded.predict(pictures), calibrated.predict(pictures), strict=True):
        assert (one.label, one.prediction_set, one.reason) == (
            other.label,
            other.prediction_set,
            other.reason,
        )


def test_the_report_says_what_it_was_made_of(calibrated: Classifier, pictures: Catalog) -> None:
    report = calibrated.manifest.sections["decision"]["calibration"]
    json.dumps(report, allow_nan=False)
    assert (report["n"], report["source"], report["folds"]) == (80, "pictures", 5)
    assert report["counts"] == dict.fromkeys(LABELS, 20)
    assert report["groups"] == len(set(pictures.groups))
    assert report["without_group"] == 0
    assert report["reuse"] == {
        "allowed": False,
        "trained_on_checked": False,
        "selected_on_checked": False,
        "selected_pictures": 0,
        "selected_groups": 0,
    }
    assert set(report["coverage"]) == {"all", *LABELS}
    for share in (report["coverage"]["all"], report["abstention"], report["false_alarms"]):
        assert 0 <= share["low"] <= share["value"] <= share["high"] <= 1
    assert sum(report["reasons"].values()) == round(80 * report["abstention"]["value"])


def test_shards_give_the_same_as_their_catalog(
    classifier: Classifier, calibrated: Classifier, pictures: Catalog, tmp_path: Path
) -> None:
    dataset.write_tfrecords(pictures, tmp_path / "shards", preprocess=classifier.preprocess)
    found = calibrate(classifier, tmp_path / "shards", risk=0.2).manifest.sections["decision"]
    expected = calibrated.manifest.sections["decision"]
    assert found["temperature"] == pytest.approx(expected["temperature"], rel=1e-4)
    assert found["conformal"]["thresholds"] == pytest.approx(expected["conformal"]["thresholds"], abs=1e-4)
    assert found["calibration"]["counts"] == expected["calibration"]["counts"]


def test_the_same_seed_gives_the_same_and_anew_is_as_good(
    classifier: Classifier, calibrated: Classifier, pictures: Catalog
) -> None:
    # TensorFlow's threads add up in any order, so logits are the same up to rounding only.
    expected = calibrated.manifest.sections["decision"]
    for again in (calibrate(classifier, pictures, risk=0.2), calibrate(calibrated, pictures, risk=0.2)):
        found = again.manifest.sections["decision"]
        assert found["conformal"]["thresholds"] == pytest.approx(
            expected["conformal"]["thresholds"], abs=1e-4
        )
        assert found["calibration"]["temperatures"] == pytest.approx(
            expected["calibration"]["temperatures"], rel=1e-3
        )
    other = calibrate(classifier, pictures, risk=0.2, seed=1).manifest.sections["decision"]
    assert other["calibration"]["temperatures"] != pytest.approx(
        expected["calibration"]["temperatures"], rel=1e-3
    )


def test_the_views_stay(make_deciding: Make, pictures: Catalog) -> None:
    mirrored = make_deciding()
    found = calibrate(mirrored, pictures, risk=0.2)
    assert found.settings.tta == "mirror"
    assert found.manifest.sections["decision"]["temperature"] != 1.5


def test_without_density_novelty_stays_unknown(
    make_classifier: Make, pictures: Catalog, caplog: pytest.LogCaptureFixture
) -> None:
    found = calibrate(make_classifier(), pictures, risk=0.2)
    assert "novelty" not in found.manifest.sections["decision"]
    assert found.manifest.sections["decision"]["calibration"]["false_alarms"] is None
    assert found.predict(pictures[:1])[0].novelty is None
    assert "no density" in caplog.text


# --- what training used is refused ---


def knowing(classifier: Classifier, part: Catalog, *, role: str) -> Classifier:
    files = tuple(record.digest for record in part)
    seen = Seen.of([Known(part.ids, part.groups, files)])
    return Classifier(classifier.model, classifier.manifest, **{role: seen})


def test_pictures_it_was_trained_on(classifier: Classifier, pictures: Catalog) -> None:
    trained = knowing(classifier, pictures[:3], role="seen")
    for allow in (False, True):  # there is no way around it
        with pytest.raises(LeakageError, match="trained on 3 pictures"):
            calibrate(trained, pictures, allow_reuse=allow)
    others = pictures.select(where=lambda record: record.group not in set(pictures[:3].groups))
    report = calibrate(trained, others, risk=0.2).manifest.sections["decision"]["calibration"]
    assert report["reuse"]["trained_on_checked"]


def test_groups_it_was_trained_on(classifier: Classifier, pictures: Catalog) -> None:
    group = pictures.groups[0]
    records = [dataclasses.replace(record, id=f"other/{record.id}", digest="") for record in pictures]
    trained = knowing(classifier, pictures[:1], role="seen")
    with pytest.raises(LeakageError, match="1 groups") as caught:
        calibrate(trained, Catalog(records, LABELS))
    assert str(group) in str(caught.value)


def test_it_remembers_by_which_pictures(classifier: Classifier, pictures: Catalog, tmp_path: Path) -> None:
    calibrated = calibrate(classifier, pictures, risk=0.2)
    calibrated.save(tmp_path / "calibrated")
    loaded = Classifier.load(tmp_path / "calibrated")
    assert evaluate(loaded, pictures, draws=1).calibrated.pictures == pictures.ids
    assert evaluate(classifier, pictures, draws=1).calibrated is None
    assert identity(loaded.manifest) == identity(calibrated.manifest) != identity(classifier.manifest)
    assert loaded.with_decision({}).calibrated is None


def test_pictures_that_training_selected_on(classifier: Classifier, pictures: Catalog) -> None:
    chosen = knowing(classifier, pictures[:3], role="selected")
    with pytest.raises(LeakageError, match=r"selected on 3 pictures.*allow_reuse=True"):
        calibrate(chosen, pictures)
    reuse = calibrate(chosen, pictures, risk=0.2, allow_reuse=True).manifest.sections["decision"][
        "calibration"
    ]["reuse"]
    assert (reuse["allowed"], reuse["selected_pictures"], reuse["selected_on_checked"]) == (True, 3, True)


def test_nothing_known_of_training_is_said(
    classifier: Classifier, pictures: Catalog, caplog: pytest.LogCaptureFixture
) -> None:
    calibrate(classifier, pictures, risk=0.2)
    assert "nothing is known of the classifier's training pictures" in caplog.text


# --- other refusals ---


def test_labels_that_do_not_match(make_classifier: Make, pictures: Catalog) -> None:
    with pytest.raises(ManifestMismatch, match="labels"):
        calibrate(make_classifier(["none", "tumour"]), pictures)


def test_a_class_without_pictures(classifier: Classifier, pictures: Catalog) -> None:
    some = pictures.select(where=lambda record: record.label != "none")
    with pytest.raises(ArgumentError, match="hold none of none"):
        calibrate(classifier, some)


def test_too_few_groups_of_a_class(classifier: Classifier, pictures: Catalog) -> None:
    few = Catalog([r for place, r in enumerate(pictures) if r.label != "glioma" or place % 20 < 2], LABELS)
    with pytest.raises(ArgumentError, match=r"class 'glioma' has \d groups .*pass fewer folds"):
        calibrate(classifier, few)


def test_too_few_pictures_for_the_risk_are_said(
    classifier: Classifier, pictures: Catalog, caplog: pytest.LogCaptureFixture
) -> None:
    found = calibrate(classifier, pictures, risk=0.01)  # 20 a class; 99 are needed
    section = found.manifest.sections["decision"]
    assert section["conformal"]["thresholds"] == dict.fromkeys(LABELS, 1.0)
    assert section["calibration"]["always"] == list(LABELS)
    assert {one.prediction_set for one in found.predict(pictures)} == {LABELS}
    assert "too few pictures of glioma, meningioma, none, pituitary" in caplog.text


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"risk": 0.0}, "risk is 0.0"),
        ({"risk": 1}, "risk is 1"),
        ({"method": "raps"}, "method is 'raps'"),
        ({"folds": 2}, "folds is 2"),
        ({"folds": 3.0}, "folds is 3.0"),
        ({"seed": "a"}, "seed is 'a'"),
        ({"false_alarms": 0}, "false_alarms is 0"),
        ({"false_alarms": 1.0}, "false_alarms is 1.0"),
    ],
)
def test_arguments_out_of_range(classifier: Classifier, pictures: Catalog, change: dict, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        calibrate(classifier, pictures, **change)


def test_other_things_than_a_classifier_and_data(
    classifier: Classifier, pictures: Catalog, tmp_path: Path
) -> None:
    with pytest.raises(ArgumentError, match="classifier is a Functional"):
        calibrate(classifier.model, pictures)
    with pytest.raises(ArgumentError, match="know their pictures"):
        calibrate(classifier, dataset.load(pictures, classifier.preprocess))
    with pytest.raises(ArgumentError, match="list"):
        calibrate(classifier, list(pictures.paths))
    with pytest.raises(ManifestMismatch):
        calibrate(classifier, tmp_path)


# --- out-of-fold answers of a run ---


def test_a_runs_out_of_fold_answers(classifier: Classifier, tmp_path: Path) -> None:
    found = simulated(400, 0, slices=4)
    calibrated = calibrate(classifier, write_run(tmp_path / "run", classifier, found))
    section = calibrated.manifest.sections["decision"]
    assert section["temperature"] == pytest.approx(2.0, rel=0.25)
    assert section["novelty"]["threshold"] == pytest.approx(
        distance_threshold(found.distances, 0.01), rel=1e-5
    )
    report = section["calibration"]
    assert (report["source"], report["groups"], report["reuse"]["trained_on_checked"]) == (
        "out_of_fold",
        100,
        True,
    )
    assert report["after"]["log_loss"] < report["before"]["log_loss"]
    assert report["after"]["ece"] < report["before"]["ece"]
    assert report["coverage"]["all"]["value"] == pytest.approx(0.9, abs=0.04)
    # An earlier calibration does not make it another classifier.
    assert calibrate(calibrated, tmp_path / "run").manifest.sections["decision"] == section


def test_pictures_without_group_are_groups_of_their_own(classifier: Classifier, tmp_path: Path) -> None:
    found = simulated(200, 0, slices=4)
    run = write_run(tmp_path / "run", classifier, found, groups=np.array([""] * 200))
    report = calibrate(classifier, run).manifest.sections["decision"]["calibration"]
    assert (report["groups"], report["without_group"]) == (200, 200)


def test_held_out_answers_are_of_networks_that_were_not_selected_by_them(
    classifier: Classifier, tmp_path: Path
) -> None:
    found = simulated(100, 0)
    chosen = Classifier(classifier.model, classifier.manifest, selected=Seen.of([found.known]))
    run = write_run(tmp_path / "run", chosen, found)
    reuse = calibrate(chosen, run).manifest.sections["decision"]["calibration"]["reuse"]
    assert (reuse["selected_on_checked"], reuse["selected_pictures"]) == (True, 0)


def test_the_run_of_another_classifier(
    classifier: Classifier, make_manifest: Callable, tmp_path: Path
) -> None:
    run = write_run(tmp_path / "run", classifier, simulated(100, 0))
    other = Classifier(classifier.model, make_manifest(training={"epochs": 9}), density=classifier.density)
    with pytest.raises(ManifestMismatch, match="made another classifier: training differ"):
        calibrate(other, run)


@pytest.mark.parametrize(
    "change",
    [
        {"labels": np.full(100, 4)},
        {"labels": np.full(100, -1)},
        {"labels": np.zeros(99, int)},
        {"labels": np.zeros(100)},
        {"logits": np.zeros((100, 3), np.float32)},
        {"logits": np.full((100, 4), np.inf, np.float32)},
        {"distances": np.full(100, np.nan, np.float32)},
        {"ids": np.array(["a"] * 100)},
        {"ids": np.zeros(100)},
        {"groups": np.array(["a"] * 9)},
        {"distances": np.zeros((100, 1), np.float32)},
        {"groups": np.array([None] * 100, object)},
    ],
)
def test_out_of_fold_files_that_are_damaged(classifier: Classifier, tmp_path: Path, change: dict) -> None:
    run = write_run(tmp_path / "run", classifier, simulated(100, 0), **change)
    with pytest.raises(ManifestMismatch, match="out_of_fold"):
        calibrate(classifier, run)


def test_an_out_of_fold_file_that_is_none(classifier: Classifier, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", classifier, simulated(100, 0))
    (run / OUT_OF_FOLD).write_bytes(b"no archive")
    with pytest.raises(ManifestMismatch, match="cannot be used"):
        calibrate(classifier, run)
    for kept in (-40, 400):  # a zip archive that is cut off
        write_run(tmp_path / f"{kept}", classifier, simulated(100, 0))
        path = tmp_path / f"{kept}" / OUT_OF_FOLD
        path.write_bytes(path.read_bytes()[:kept])
        with pytest.raises(ManifestMismatch, match="cannot be used"):
            calibrate(classifier, path.parent)


# --- laws ---


@pytest.mark.parametrize("method", ["plain", "aps"])
def test_new_pictures_are_covered_as_promised(method: str) -> None:
    """On average over calibrations, class by class, whatever the temperature was."""
    plan = Plan(4, 0.1, method, 0.05)
    new = simulated(4000, 99)
    covered, novel = np.zeros(4), 0.0
    for seed in range(25):
        found = simulated(240, seed)
        fitted = plan.fit(found, np.arange(240) // 4 % 5)
        sets = np.asarray(fitted.conformal.sets(softmax(new.logits, fitted.temperature)))
        covered += [sets[new.labels == label, label].mean() for label in range(4)]
        novel += float((new.distances > fitted.threshold).mean())
    assert (np.abs(covered / 25 - 0.9) < 0.03).all()
    assert novel / 25 == pytest.approx(0.05, abs=0.015)


def test_the_threshold_of_distances() -> None:
    assert distance_threshold(np.arange(1, 200) / 1.0, 0.01) == 198.0
    assert distance_threshold(np.array([3.0, 1.0, 2.0]), 0.01) == 3.0  # too few: the largest
    assert distance_threshold(np.zeros(5), 0.1) > 0


def test_intervals_are_wider_where_slices_resemble_each_other() -> None:
    right = np.repeat(np.random.default_rng(0).random(40) < 0.8, 10)
    everywhere, truth = np.ones(400, bool), np.zeros(400, int)
    groupings = (tuple(str(place // slices) for place in range(400)) for slices in (1, 10))
    alone, together = (
        Shares(Cases(LABELS, truth, np.where(right, 0, 1), groups))(right, everywhere) for groups in groupings
    )
    assert alone["value"] == together["value"]
    assert together["high"] - together["low"] > 2 * (alone["high"] - alone["low"])
    one = Cases(LABELS, np.zeros(1, int), np.zeros(1, int), (None,))
    assert Shares(one)(np.ones(1, bool), np.zeros(1, bool)) is None

import csv
import json
import logging
import re
from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from mri_tumor import LABELS
from mri_tumor.dataset.catalog import Catalog, Record, scan
from mri_tumor.dataset.inputs import batches
from mri_tumor.dataset.pipeline import Examples, load
from mri_tumor.dataset.preprocess import Preprocess
from mri_tumor.dataset.tfrecord import write_tfrecords
from mri_tumor.errors import ArgumentError, LeakageError, ManifestMismatch, MriTumorError
from mri_tumor.models.evaluation import evaluate
from mri_tumor.models.judging.verdict import verdict
from mri_tumor.models.prediction import Prediction, predictions
from mri_tumor.models.seen import Known, Seen

SPEC = Preprocess(size=32)


class Brightness:
    """A classifier that calls a picture by its mean brightness: the same picture, the same answer."""

    labels = LABELS

    def predict(self, images):
        found = []
        for ids, pictures in batches(images, SPEC):
            tops = pictures.mean(axis=(1, 2, 3)).astype(int) % 4
            found += predictions(ids, {"probabilities": np.eye(4)[tops], "top": tops}, LABELS)
        return found


class Scripted:
    """A classifier whose answers are given, id -> label."""

    labels = LABELS

    def __init__(self, answers):
        self.answers = answers

    def predict(self, images):
        return [
            Prediction(
                id=name, label=top, top=top, probabilities={label: float(label == top) for label in LABELS}
            )
            for name, top in self.answers.items()
        ]


@pytest.fixture
def pictures(make_folder) -> Catalog:
    return scan(make_folder(per_class=5))


@pytest.fixture
def six(tmp_path) -> Catalog:
    labels = ["glioma", "glioma", "glioma", "none", "none", "pituitary"]
    return Catalog(
        [Record(f"{place}.png", tmp_path / f"{place}.png", label) for place, label in enumerate(labels)]
    )


ANSWERS = dict(
    zip(
        [f"{place}.png" for place in range(6)],
        ["glioma", "none", "glioma", "none", "none", "glioma"],
        strict=True,
    )
)


def test_the_scores_are_those_counted_by_hand(six):
    found = evaluate(Scripted(ANSWERS), six).all
    assert (found.n, found.accuracy) == (6, pytest.approx(4 / 6))
    glioma, none = found.per_class["glioma"], found.per_class["none"]
    assert (glioma.precision, glioma.recall, glioma.support) == (
        pytest.approx(2 / 3),
        pytest.approx(2 / 3),
        3,
    )
    assert (none.precision, none.recall, none.f1) == (pytest.approx(2 / 3), 1.0, pytest.approx(0.8))
    # Pituitary is never predicted: no precision, but an F1 of 0. Meningioma has no picture.
    assert found.per_class["pituitary"].precision is None
    assert found.per_class["pituitary"].f1 == 0
    assert found.per_class["meningioma"].recall is None
    assert found.per_class["meningioma"].f1 is None
    assert found.macro_f1 == pytest.approx((2 / 3 + 0.8 + 0) / 3)
    assert found.confusion == ((2, 0, 1, 0), (0, 0, 0, 0), (0, 0, 2, 0), (1, 0, 0, 0))


def test_leaked_and_clean_are_scored_apart(six):
    found = evaluate(Scripted(ANSWERS), six, leaked=["0.png", "3.png", "4.png"])
    assert (found.leaked.n, found.leaked.accuracy) == (3, 1.0)
    assert (found.clean.n, found.clean.accuracy) == (3, pytest.approx(1 / 3))
    assert found.all.n == 6

    class Report:
        leaked_ids = ("0.png", "3.png", "4.png")

    assert evaluate(Scripted(ANSWERS), six, leaked=Report()) == found


def test_an_empty_part_is_none(six):
    nothing = evaluate(Scripted(ANSWERS), six, leaked=())
    assert nothing.leaked is None
    assert nothing.clean == nothing.all
    everything = evaluate(Scripted(ANSWERS), six, leaked=six.ids)
    assert everything.clean is None
    unknown = evaluate(Scripted(ANSWERS), six)
    assert (unknown.leaked, unknown.clean) == (None, None)
    assert "leaks: unknown" in unknown.summary()
    assert "leaks" not in nothing.summary()


class Experienced(Scripted):
    """A classifier that knows what it was trained on, and counts how often it is asked."""

    def __init__(self, answers, ids, groups):
        super().__init__(answers)
        self.seen = Seen.of([Known(tuple(ids), tuple(groups))])
        self.asked = 0

    def predict(self, images):
        self.asked += 1
        return super().predict(images)


def test_pictures_of_the_training_set_are_refused_before_any_is_predicted(six):
    judged = Experienced(ANSWERS, ["0.png", "z.png"], ["p1", None])
    with pytest.raises(LeakageError, match=r"trained on 1 pictures \(0\.png\) of the data"):
        evaluate(judged, six)
    assert judged.asked == 0


def test_groups_of_the_training_set_are_refused(six):
    judged = Experienced(ANSWERS, ["z.png"], ["p1"])
    grouped = six.with_groups({"2.png": "p1"})
    with pytest.raises(LeakageError, match=r"1 groups \(p1\)"):
        evaluate(judged, grouped)


def test_leakage_can_be_allowed_and_is_said(six):
    judged = Experienced(ANSWERS, ["0.png", "3.png"], [None, None])
    found = evaluate(judged, six, allow_leakage=True)
    assert "trained on: 2 pictures (0.png, 3.png) of these" in found.summary()
    assert found.to_dict()["trained_on"] == {
        "pictures": ("0.png", "3.png"), "groups": (), "by_file": False
    }  # fmt: skip
    told = evaluate(judged, six, leaked=["0.png", "3.png"])
    assert told.shared == found.shared


def test_what_is_said_to_have_leaked_must_hold_all_files_that_were_trained_on(six):
    judged = Experienced(ANSWERS, ["a.png", "b.png"], [None, None])
    judged.seen = Seen.of([Known(("a.png", "b.png"), (None, None), ("0.png", "3.png"))])
    hashed = Catalog(replace(record, digest=record.id) for record in six)
    for leaked in ((), ["0.png"]):
        with pytest.raises(LeakageError, match=r"pictures that leaked= does not name: .*'3\.png'"):
            evaluate(judged, hashed, leaked=leaked)
    assert evaluate(judged, hashed, leaked=["0.png", "3.png"]).leaked.n == 2
    allowed = evaluate(judged, hashed, leaked=["0.png"], allow_leakage=True)
    assert allowed.to_dict()["trained_on"]["pictures"] == ("0.png", "3.png")
    # Names of two folders may agree by chance.
    assert evaluate(Experienced(ANSWERS, ["0.png"], [None]), six, leaked=()).shared.pictures == ("0.png",)


def test_a_classifier_that_saw_other_pictures_is_not_suspected(six):
    found = evaluate(Experienced(ANSWERS, ["z.png"], ["p9"]), six)
    assert not found.shared
    assert "trained on" not in found.summary()
    assert evaluate(Scripted(ANSWERS), six).to_dict()["trained_on"] is None


def test_pictures_that_an_epoch_was_selected_by_are_judged_and_named(six):
    judged = Scripted(ANSWERS)
    judged.selected = Seen.of([Known(("0.png", "z.png"), (None, None))])
    found = evaluate(judged, six)
    assert found.selected.pictures == ("0.png",)
    assert "selected by: 1 pictures (0.png) of these" in found.summary()
    assert found.to_dict()["selected_by"]["pictures"] == ("0.png",)
    assert evaluate(Scripted(ANSWERS), six).to_dict()["selected_by"] is None


def test_pictures_that_it_was_calibrated_by_are_judged_and_named(six):
    judged = Scripted(ANSWERS)
    judged.calibrated = Seen.of([Known(("1.png", "z.png"), (None, None))])
    found = evaluate(judged, six)
    assert found.calibrated.pictures == ("1.png",)
    assert "calibrated by: 1 pictures (1.png) of these" in found.summary()
    assert any("It was calibrated by 1 pictures" in line for line in verdict(found))
    assert evaluate(Scripted(ANSWERS), six).to_dict()["calibrated_by"] is None


def test_leaked_ids_of_other_pictures_are_left_out_but_not_all_of_them(six, caplog):
    with caplog.at_level(logging.WARNING):
        assert evaluate(Scripted(ANSWERS), six, leaked=["0.png", "x"]).leaked.n == 1
    assert "1 of the leaked ids" in caplog.text
    with pytest.raises(ArgumentError, match=r"none of the 2 leaked ids.*'0\.png'"):
        evaluate(Scripted(ANSWERS), six, leaked=["Testing/0.png", "x"])
    with pytest.raises(ArgumentError, match="leaked is a str"):
        evaluate(Scripted(ANSWERS), six, leaked="0.png")


def test_predictions_are_matched_by_id_whatever_their_order(six):
    turned = evaluate(Scripted(dict(reversed(ANSWERS.items()))), six)
    assert turned == evaluate(Scripted(ANSWERS), six)
    assert [one.id for one in turned.predictions] == list(six.ids)


@pytest.mark.parametrize(
    ("answers", "reason"),
    [
        ({name: top for name, top in ANSWERS.items() if name != "2.png"}, r"1 pictures \('2\.png'\)"),
        (ANSWERS | {"other.png": "none"}, r"unknown pictures \('other\.png'\)"),
    ],
)
def test_missing_and_unknown_predictions_are_refused(six, answers, reason):
    with pytest.raises(MriTumorError, match=reason):
        evaluate(Scripted(answers), six)


def test_one_id_twice_is_refused(six):
    class Twice(Scripted):
        def predict(self, images):
            return super().predict(images) * 2

    with pytest.raises(MriTumorError, match="with one id"):
        evaluate(Twice(ANSWERS), six)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"probabilities": {"glioma": 0.5, "cat": 0.5}}, "has the labels glioma, cat, top glioma"),
        ({"top": "cat"}, "top cat"),
        ({"label": "cat"}, "has the labels"),
        ({"probabilities": dict.fromkeys(LABELS, float("nan"))}, "are nan, nan, nan, nan"),
        ({"probabilities": dict.fromkeys(LABELS, 0.0)}, "sum to 1"),
        ({"probabilities": dict.fromkeys(LABELS, 0.5)}, "sum to 1"),
    ],
)
def test_answers_that_are_no_probabilities_of_the_labels_are_refused(six, changed, reason):
    class Strange(Scripted):
        def predict(self, images):
            first, *rest = super().predict(images)
            return [replace(first, **changed), *rest]

    with pytest.raises(MriTumorError, match=reason):
        evaluate(Strange(ANSWERS), six)


def test_every_form_of_the_data_gives_the_same_scores(pictures, tmp_path):
    write_tfrecords(pictures, tmp_path / "shards", preprocess=SPEC)
    expected = evaluate(Brightness(), pictures)
    assert 0 < expected.all.accuracy < 1
    shuffled = load(pictures, SPEC, batch_size=7, shuffle=True)
    anew = shuffled.unbatch().shuffle(20, reshuffle_each_iteration=True)
    pairs = anew.map(lambda one: (one["image"], one["label"]))
    forms = [tmp_path / "shards", Examples(pictures, SPEC), shuffled, anew, pairs, pairs.batch(6)]
    for form in forms:
        assert evaluate(Brightness(), form).all == expected.all
    assert {one.id for one in evaluate(Brightness(), shuffled).predictions} == set(pictures.ids)
    with pytest.raises(ArgumentError, match="data with ids"):
        evaluate(Brightness(), pairs, leaked=["0"])


def test_csv_and_json_hold_what_was_found(pictures, tmp_path):
    found = evaluate(Brightness(), pictures, leaked=pictures.ids[:7])
    found.to_csv(tmp_path / "rows.csv")
    with (tmp_path / "rows.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == list(pictures.ids)
    assert [row["label"] for row in rows] == list(pictures.labels)
    assert np.mean([row["label"] == row["predicted"] for row in rows]) == found.all.accuracy
    assert [row["leaked"] for row in rows] == ["1"] * 7 + ["0"] * 13
    assert all(float(row[f"p_{row['predicted']}"]) == 1 for row in rows)
    card = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert card["clean"]["accuracy"] == found.clean.accuracy
    assert card["leaked"]["confusion"] == [list(row) for row in found.leaked.confusion]


def test_the_summary_is_a_table_with_a_column_a_part(six):
    lines = evaluate(Scripted(ANSWERS), six, leaked=["0.png", "3.png"]).summary().splitlines()
    assert lines[0].split() == ["all", "leaked", "clean"]
    assert lines[1].split() == ["pictures", "6", "2", "4"]
    assert lines[2].split() == ["groups", "unknown", "unknown", "unknown"]
    accuracy = next(line for line in lines if line.startswith("accuracy")).split()
    assert accuracy[:3] == ["accuracy", "%", "66.7"]
    assert re.fullmatch(r"\(\d+\.\d-100\.0\)", accuracy[3])
    assert accuracy[4] == "100.0"
    assert next(line for line in lines if "meningioma" in line).split()[3:] == ["-", "-", "-"]
    assert max(map(len, lines)) < 90


def test_what_cannot_be_judged_is_refused(six, pictures, tmp_path):
    with pytest.raises(ArgumentError, match="classifier is a str"):
        evaluate("model", six)
    with pytest.raises(ArgumentError, match="data is a list"):
        evaluate(Brightness(), [1, 2])
    with pytest.raises(ArgumentError, match="no picture"):
        evaluate(Brightness(), six[:0])
    images = np.zeros((3, 32, 32, 1), np.uint8)
    with pytest.raises(ArgumentError, match="no labels"):
        evaluate(Brightness(), tf.data.Dataset.from_tensor_slices(images))
    with pytest.raises(ArgumentError, match="no picture"):
        evaluate(Brightness(), tf.data.Dataset.from_tensor_slices((images[:0], np.zeros(0, int))))
    with pytest.raises(ManifestMismatch, match="label number 4"):
        evaluate(Brightness(), tf.data.Dataset.from_tensor_slices((images, np.array([0, 1, 4]))))
    twice = {"image": images, "label": np.zeros(3, int), "id": np.array(["a", "b", "a"])}
    with pytest.raises(ArgumentError, match="'a' comes twice"):
        evaluate(Brightness(), tf.data.Dataset.from_tensor_slices(twice))
    other = Catalog([Record("a", tmp_path / "a.png", "stroke")], classes=("stroke", "none"))
    with pytest.raises(ManifestMismatch, match="stroke"):
        evaluate(Scripted({"a": "none"}), other)
    turned = Catalog(pictures, classes=LABELS[::-1])
    write_tfrecords(turned, tmp_path / "shards", preprocess=SPEC)
    with pytest.raises(ManifestMismatch, match="in its order"):
        evaluate(Brightness(), tmp_path / "shards")

import dataclasses
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mri_tumor.errors import ArgumentError
from mri_tumor.labels import LABELS, NOTICE
from mri_tumor.models import prediction
from mri_tumor.models.prediction import Prediction, predictions

ROW = {"glioma": 0.25, "meningioma": 0.5, "none": 0.125, "pituitary": 0.125}

PREDICTIONS = st.builds(
    Prediction,
    id=st.text(),
    label=st.just("none"),
    top=st.sampled_from(LABELS),
    probabilities=st.dictionaries(st.sampled_from(LABELS), st.floats(0, 1), min_size=1),
    prediction_set=st.none() | st.lists(st.sampled_from(LABELS)).map(tuple),
    novelty=st.none() | st.floats(0, 1e6),
    reason=st.none(),
)


@given(PREDICTIONS)
def test_json_round_trip(one: Prediction) -> None:
    assert Prediction.from_dict(json.loads(json.dumps(one.to_dict()))) == one


def test_fields_are_those_of_the_contract() -> None:
    one = Prediction("a", "glioma", "glioma", ROW)
    assert list(one.to_dict()) == [
        "id",
        "label",
        "top",
        "probabilities",
        "prediction_set",
        "novelty",
        "abstained",
        "reason",
        "notice",
    ]
    assert one.notice == NOTICE
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.label = "none"  # type: ignore[misc]


def test_to_dict_gives_copies() -> None:
    one = Prediction("a", "glioma", "glioma", dict(ROW))
    one.to_dict()["probabilities"]["glioma"] = 1.0
    assert one.probabilities == ROW


def test_a_label_or_abstained() -> None:
    abstained = Prediction("a", None, "glioma", ROW, (), 3.5, True, "novel")
    assert Prediction.from_dict(abstained.to_dict()) == abstained
    with pytest.raises(ArgumentError, match="abstained=True"):
        Prediction("a", "glioma", "glioma", ROW, abstained=True)
    with pytest.raises(ArgumentError, match="abstained=False"):
        Prediction("a", None, "glioma", ROW)


@pytest.mark.parametrize("missing", ["id", "label", "probabilities", "notice"])
def test_from_dict_names_what_is_missing(missing: str) -> None:
    card = Prediction("a", "glioma", "glioma", ROW).to_dict()
    del card[missing]
    with pytest.raises(ArgumentError, match=f"lacks {missing}"):
        Prediction.from_dict(card)


@pytest.mark.parametrize(
    "change", [{"probabilities": [1]}, {"probabilities": {"none": "many"}}, {"prediction_set": 3}]
)
def test_from_dict_refuses_other_types(change: dict) -> None:
    card = Prediction("a", "glioma", "glioma", ROW).to_dict()
    with pytest.raises(ArgumentError, match="another type"):
        Prediction.from_dict(card | change)


def test_from_dict_of_something_else() -> None:
    with pytest.raises(ArgumentError, match="lacks id"):
        Prediction.from_dict([1])  # type: ignore[arg-type]


def test_keys_of_a_newer_release_are_left_out() -> None:
    one = Prediction("a", "glioma", "glioma", ROW)
    assert Prediction.from_dict(one.to_dict() | {"heat_map": "..."}) == one


@pytest.mark.parametrize("as_lists", [True, False])
def test_predictions_keep_order_and_ids(as_lists: bool) -> None:
    probabilities = np.array([[0.1, 0.7, 0.1, 0.1], [0.1, 0.1, 0.1, 0.7]], np.float32)
    outputs = {"probabilities": probabilities, "top": np.array([1, 3], np.int32)}
    if as_lists:
        outputs = {name: value.tolist() for name, value in outputs.items()}
    first, second = predictions(["b", "a"], outputs, LABELS)
    assert (first.id, first.label, first.top) == ("b", "meningioma", "meningioma")
    assert (second.id, second.label, second.abstained) == ("a", "pituitary", False)
    assert list(first.probabilities) == list(LABELS)
    assert list(first.probabilities.values()) == [float(value) for value in probabilities[0]]
    json.dumps(first.to_dict())  # plain numbers, none of numpy's


@pytest.mark.parametrize("as_lists", [True, False])
def test_all_outputs_of_a_calibrated_model(as_lists: bool) -> None:
    outputs = {
        "probabilities": np.array([[0.7, 0.3], [0.6, 0.4], [0.5, 0.5], [0.9, 0.1]], np.float32),
        "top": np.array([0, 0, 0, 0], np.int32),
        "prediction_set": np.array([[False, True], [True, True], [False, False], [True, False]]),
        "novelty": np.array([0.5, 0.25, 1.0, 3.0], np.float32),
        "label": np.array([1, -1, -1, -1], np.int32),
        "abstained": np.array([False, True, True, True]),
        "reason": np.array([0, 2, 3, 1], np.int32),
    }
    if as_lists:
        outputs = {name: value.tolist() for name, value in outputs.items()}
    found = predictions("abcd", outputs, ["glioma", "none"])
    assert [one.label for one in found] == ["none", None, None, None]
    assert [one.top for one in found] == ["glioma"] * 4
    assert [one.abstained for one in found] == [False, True, True, True]
    assert [one.reason for one in found] == [None, "ambiguous", "empty", "novel"]
    assert [one.prediction_set for one in found] == [("none",), ("glioma", "none"), (), ("glioma",)]
    assert [one.novelty for one in found] == [0.5, 0.25, 1.0, 3.0]
    json.dumps([one.to_dict() for one in found])


def test_outputs_of_the_first_releases() -> None:
    (found,) = predictions(["a"], {"probabilities": [[0.25, 0.75]], "top": [1]}, ["glioma", "none"])
    assert (found.label, found.prediction_set, found.novelty, found.abstained, found.reason) == (
        "none",
        None,
        None,
        False,
        None,
    )


def test_no_pictures_no_predictions() -> None:
    assert predictions([], {"probabilities": [], "top": []}, LABELS) == []


@pytest.mark.parametrize(
    ("outputs", "words"),
    [
        ({"top": [0]}, "no probabilities for 1 pictures"),
        ({"probabilities": [[0.5, 0.5]]}, "no top for 1 pictures"),
        ({"probabilities": [[0.5, 0.5]] * 2, "top": [0]}, "2 probabilities for 1 pictures"),
        ({"probabilities": [[0.5, 0.5]], "top": []}, "0 top for 1 pictures"),
        ({"probabilities": [[0.5, 0.3, 0.2]], "top": [0]}, "3 probabilities for 2 labels"),
        ({"probabilities": [[0.5, 0.5]], "top": [2]}, "top is 2 for 2 labels"),
        ({"probabilities": [[0.5, 0.5]], "top": [-1]}, "top is -1 for 2 labels"),
        ({"probabilities": [[0.5, 0.5]], "top": [0], "label": [2]}, "label is 2 for 2 labels"),
        ({"probabilities": [[0.5, 0.5]], "top": [0], "label": [-2]}, "label is -2 for 2 labels"),
        ({"probabilities": [[0.5, 0.5]], "top": [0], "reason": [4]}, "reason is 4"),
        ({"probabilities": [[0.5, 0.5]], "top": [0], "label": [-1]}, "abstained=False"),
        ({"probabilities": [[0.5, 0.5]], "top": [0], "label": [0], "reason": [1]}, "abstained=True"),
        ({"probabilities": [[0.5, 0.5]], "top": [0], "prediction_set": [[True]]}, "1 prediction_set for 2"),
        ({"probabilities": [[0.5, 0.5]], "top": [0], "prediction_set": []}, "0 prediction_set for 1"),
        ({"probabilities": [[0.5, 0.5]], "top": [0], "novelty": [1.0, 2.0]}, "2 novelty for 1 pictures"),
    ],
)
def test_outputs_that_do_not_fit(outputs: dict, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        predictions(["a"], outputs, ["glioma", "none"])


def test_a_copy_runs_with_the_standard_library_alone(tmp_path: Path) -> None:
    shutil.copy(prediction.__file__, tmp_path / "prediction.py")
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path)!r})
import json, prediction
found = prediction.predictions(["a"], {{"probabilities": [[0.25, 0.75]], "top": [1]}}, ["glioma", "none"])
try:
    prediction.predictions(["a", "b"], {{"probabilities": [], "top": []}}, ["glioma"])
except ValueError as error:
    refused = str(error)
strange = [name for name in ("mri_tumor", "numpy", "tensorflow", "keras") if name in sys.modules]
print(json.dumps([found[0].to_dict(), refused, strange]))
"""
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True
    )
    card, refused, strange = json.loads(done.stdout)
    assert Prediction.from_dict(card).label == "none"
    assert card["notice"] == NOTICE  # the copy's own text is the library's
    assert "0 probabilities for 2 pictures" in refused
    assert strange == []

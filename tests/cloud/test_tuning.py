"""Tuning: ranges, the points in them, and the best of several jobs."""

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mri_tumor import cloud
from mri_tumor.cloud.tuning import Objective, Range, Trial, points
from mri_tumor.errors import ArgumentError, TrainingError


@pytest.mark.parametrize(
    ("given", "whole", "log", "choices"),
    [
        ((1, 8), True, False, ()),
        ((0.1, 0.5), False, False, ()),
        ((1, 0.5 + 1), False, False, ()),
        ((1e-4, 1e-2, "log"), False, True, ()),
        ((1, 64, "log"), True, True, ()),
        (["a", None, 3], False, False, ("a", None, 3)),
    ],
)
def test_ranges_are_read(given: object, whole: bool, log: bool, choices: tuple) -> None:
    found = Range.of("x", given)
    assert (found.whole, found.log, found.choices) == (whole, log, choices)


@pytest.mark.parametrize(
    "given",
    [
        (1,),
        (2, 1),
        (1, 1),
        (0, 1, "log"),
        (1, 2, "linear"),
        [],
        list(range(31)),
        "1-2",
        (True, 2),
        (0.0, math.inf),
        (math.nan, 1.0),
        3,
        None,
    ],
)
def test_what_is_no_range(given: object) -> None:
    with pytest.raises(ArgumentError, match="the range of 'x'"):
        Range.of("x", given)


@given(
    low=st.floats(1e-6, 1e3),
    factor=st.floats(1.01, 1e4),
    share=st.floats(0, 1),
    log=st.booleans(),
)
def test_values_stay_in_their_range(low: float, factor: float, share: float, log: bool) -> None:
    high = low * factor
    found = Range.of("x", (low, high, "log") if log else (low, high)).at(share)
    assert low <= found <= high


@given(low=st.integers(1, 50), width=st.integers(1, 50), log=st.booleans())
def test_whole_numbers_reach_both_ends(low: int, width: int, log: bool) -> None:
    one = Range.of("x", (low, low + width, "log") if log else (low, low + width))
    found = {one.at(place / 2000) for place in range(2001)}
    assert all(isinstance(value, int) for value in found)
    assert (min(found), max(found)) == (low, low + width)


@given(choices=st.lists(st.integers(), min_size=1, max_size=5, unique=True))
def test_all_choices_come(choices: list) -> None:
    one = Range.of("x", choices)
    assert {one.at(place / 100) for place in range(101)} == set(choices)


@given(count=st.integers(1, 40), seed=st.integers(0, 99))
def test_points_follow_from_the_seed(count: int, seed: int) -> None:
    ranges = [Range.of("a", (0.0, 1.0)), Range.of("b", ["x", "y"])]
    found = points(ranges, count, seed)
    assert len(found) == count
    assert found == points(ranges, count, seed)
    assert all(one.keys() == {"a", "b"} for one in found)


def test_points_fill_the_range_evenly() -> None:
    found = sorted(point["a"] for point in points([Range.of("a", (0.0, 1.0))], 16, 0))
    assert all(place / 16 <= value <= (place + 1) / 16 for place, value in enumerate(found))


def trial(name: str, value: float | None) -> Trial:
    return Trial(name, {"a": "1"}, value, "Completed" if value is not None else "Failed")


def test_a_loss_is_made_small_and_an_accuracy_large() -> None:
    trials = [trial("a", 0.5), trial("b", None), trial("c", 0.2), trial("d", 0.9), trial("e", 0.2)]
    assert Objective("val_loss").best(trials).name == "c"
    assert Objective("val_accuracy").best(trials).name == "d"
    failed = Trial("b", {"a": "1"}, None, "Failed", "the disk is full")
    with pytest.raises(TrainingError, match=r"none of 1 jobs ended well; .*: job b .*the disk is full"):
        Objective("val_loss").best([failed])
    with pytest.raises(ArgumentError, match=r"'speed'.*val_loss"):
        Objective("speed")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"max_jobs": 0}, "max_jobs is 0"),
        ({"max_jobs": 2, "max_parallel_jobs": 3}, "the latter at most the former"),
        ({"max_jobs": 1.5}, "whole numbers"),
        ({"objective": "speed"}, "the objective is"),
        ({"ranges": {}}, "there are no ranges"),
        ({"ranges": {"width": (2, 1)}}, "the range of 'width'"),
        ({"ranges": {"learnin_rate": (1e-4, 1e-2)}}, "did you mean 'learning_rate'"),
        ({"ranges": {"batch_size": [16, 64, -5, 32]}}, "batch_size is -5"),
        ({"ranges": {"width": (2, 4), "batch_size": [16, 32, 64, "many"]}}, "batch_size is 'many'"),
        ({"inputs": {"train": "x"}}, "the inputs are"),
    ],
)
def test_a_tuning_is_checked_before_its_first_job(
    shards: dict[str, Path], tmp_path: Path, options: dict, reason: str
) -> None:
    arguments = {"inputs": shards, "ranges": {"width": (2, 4)}, **options}
    with pytest.raises(ArgumentError, match=reason):
        cloud.Estimator(output=tmp_path / "jobs").tune(**arguments)
    assert not (tmp_path / "jobs").exists()


@pytest.mark.slow
def test_the_best_of_the_jobs_here_comes_back(shards: dict[str, Path], tmp_path: Path) -> None:
    settings = {"model": "small_cnn", "width": 2, "epochs": 2, "batch_size": 8, "augment": False}
    base = cloud.Estimator(hyperparameters=settings, output=tmp_path)
    # The second of the choices makes its job fail: a tuning lives with that.
    ranges = {"learning_rate": (1e-5, 1e-2, "log"), "width": [2, -2]}
    best = base.tune(shards, ranges, objective="val_loss", max_jobs=4)
    values = {one.name: one.value for one in best.trials}
    assert len(values) == 4
    assert {one.status for one in best.trials} == {"Completed", "Failed"}
    assert (
        best.training_job_name == min((value, name) for name, value in values.items() if value is not None)[1]
    )
    assert best.model_data.is_file()
    assert best.hyperparameters["epochs"] == "2"

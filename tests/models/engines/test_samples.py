"""Which pictures an engine is measured and calibrated by."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mri_tumor.dataset.preprocess import Preprocess
from mri_tumor.errors import ArgumentError
from mri_tumor.models.engines.samples import MOST, phantoms, sample_of

SPEC = Preprocess(size=32)


def numbered(count: int) -> np.ndarray:
    """Return pictures each of which can be told from all others."""
    pictures = np.zeros((count, 32, 32, 1), np.uint8)
    pictures[:, 0, 0, 0], pictures[:, 0, 1, 0] = np.divmod(np.arange(count), 256)
    return pictures


def numbers(pictures: np.ndarray) -> list[int]:
    return (pictures[:, 0, 0, 0].astype(int) * 256 + pictures[:, 0, 1, 0]).tolist()


def test_phantoms_are_drawn_where_there_are_no_pictures() -> None:
    sample = sample_of(None, SPEC, calibrating=False)
    assert sample.drawn
    assert sample.origin == f"{len(sample.pictures)} phantoms, drawn here as no pictures were given"
    np.testing.assert_array_equal(phantoms(SPEC, 4), sample.pictures[:4])
    assert len(np.unique(sample.pictures[:4].reshape(4, -1), axis=0)) == 4


@pytest.mark.parametrize("count", [1, 33, MOST])
def test_few_pictures_are_all_taken(count: int) -> None:
    sample = sample_of(numbered(count), SPEC, calibrating=False)
    assert numbers(sample.pictures) == list(range(count))
    assert sample.origin == f"{count} pictures"


@pytest.mark.parametrize("count", [MOST + 1, 1500, 2100])
def test_many_pictures_are_thinned_out_evenly(count: int) -> None:
    found = numbers(sample_of(numbered(count), SPEC, calibrating=False).pictures)
    assert MOST // 4 < len(found) <= MOST
    assert set(np.diff(found)) == {found[1]}
    assert count - found[-1] <= found[1]


def test_of_many_files_only_those_that_count_are_read(make_folder: Callable[..., Path]) -> None:
    (path, *_) = sorted(make_folder(per_class=1).rglob("*.png"))
    paths = [path if place % 3 == 0 else path.with_name("missing.png") for place in range(3 * MOST - 2)]
    assert len(sample_of(paths, SPEC, calibrating=False).pictures) == MOST


@pytest.mark.parametrize("count", [20, 101, 700])
def test_calibration_has_other_pictures(count: int) -> None:
    sample = sample_of(numbered(count), SPEC, calibrating=True)
    learnt, measured = set(numbers(sample.calibration)), set(numbers(sample.pictures))
    assert sample.apart
    assert not learnt & measured
    assert len(learnt | measured) == len(sample_of(numbered(count), SPEC, calibrating=False).pictures)
    assert len(learnt) <= min(200, count // 2 + 1)


def test_too_few_serve_for_both() -> None:
    sample = sample_of(numbered(19), SPEC, calibrating=True)
    assert not sample.apart
    assert numbers(sample.calibration) == numbers(sample.pictures) == list(range(19))


def test_int8_without_pictures_and_no_picture_at_all() -> None:
    with pytest.raises(ArgumentError, match="int8 without pictures"):
        sample_of(None, SPEC, calibrating=True)
    with pytest.raises(ArgumentError, match="no picture"):
        sample_of([], SPEC, calibrating=False)

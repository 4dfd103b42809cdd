import subprocess
import sys
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mri_tumor.dataset.preprocess import (
    WINDOW_TOP,
    Preprocess,
    head_box,
    histogram,
    letterbox,
    window_table,
)
from mri_tumor.errors import ArgumentError

PLAIN = Preprocess(size=16, crop=False, window=None)


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)


SIDES = st.integers(1, 80)
PICTURES = st.builds(noise, SIDES, SIDES, st.integers(0, 999))
SPECS = st.builds(
    Preprocess,
    size=st.integers(1, 64),
    crop=st.booleans(),
    threshold=st.integers(0, 254),
    coverage=st.integers(1, 100),
    window=st.none() | st.integers(1, 100),
)


@given(SPECS, PICTURES)
def test_any_picture_becomes_a_square_of_uint8(spec: Preprocess, image: np.ndarray) -> None:
    before = image.copy()
    result = spec(image)
    assert result.dtype == np.uint8
    assert result.shape == (spec.size, spec.size, 1)
    np.testing.assert_array_equal(image, before)
    np.testing.assert_array_equal(result, spec(image))


def test_the_default_is_224_with_crop_and_window() -> None:
    spec = Preprocess()
    assert (spec.size, spec.crop, spec.window is not None) == (224, True, True)
    assert spec(noise(300, 200)).shape == (224, 224, 1)


@given(PICTURES)
def test_letterboxing_twice_is_letterboxing_once(image: np.ndarray) -> None:
    once = PLAIN(image)
    np.testing.assert_array_equal(PLAIN(once[..., 0]), once)


def test_a_picture_of_the_right_size_stays_as_it_is() -> None:
    image = noise(16, 16)
    np.testing.assert_array_equal(PLAIN(image)[..., 0], image)


def test_crop_ignores_black_margins() -> None:
    head = np.maximum(noise(40, 30), 60)
    spec = Preprocess(size=32)
    framed = np.pad(head, ((8, 2), (5, 30)))
    np.testing.assert_array_equal(spec(framed), spec(head))
    assert not np.array_equal(Preprocess(size=32, crop=False)(framed), spec(head))


def test_crop_box_by_hand() -> None:
    image = np.zeros((20, 10), np.uint8)
    image[4:12, 2:9] = 31
    image[0, 0] = 255  # a speck: one pixel in ten of its row, one in twenty of its column
    assert head_box(image, threshold=30, coverage=11) == (4, 12, 2, 9)
    assert head_box(image, threshold=30, coverage=5) == (0, 12, 0, 9)
    assert head_box(image, threshold=31, coverage=11) == (0, 20, 0, 10)  # no head: the whole picture


@pytest.mark.parametrize("factor", [0.3, 0.5, 0.8])
def test_a_darker_copy_is_cropped_alike(factor: float) -> None:
    ellipse = cv2.ellipse(np.zeros((90, 120), np.uint8), (50, 40), (30, 20), 30, 0, 360, 200, -1)
    rim = cv2.ellipse(ellipse, (50, 40), (30, 20), 30, 0, 360, 60, 3)
    darker = np.rint(rim * factor).astype(np.uint8)
    difference = Preprocess(size=64)(rim).astype(int) - Preprocess(size=64)(darker)
    assert np.abs(difference).max() <= 4
    assert np.abs(Preprocess(size=64, window=None)(rim).astype(int) - Preprocess(size=64)(rim)).max() > 20


def test_coverage_counts_from_exactly_that_percentage() -> None:
    image = np.zeros((100, 100), np.uint8)
    image[10, :3] = image[20:30, :2] = 255
    image[20:30, 50] = 255
    assert head_box(image, threshold=30, coverage=3)[:2] == (10, 30)
    assert head_box(image, threshold=30, coverage=4)[:2] == (0, 100)


def test_window_table_by_hand() -> None:
    counts = np.zeros(256, np.int64)
    counts[10] = 1_000_000  # background: does not count
    counts[100], counts[115], counts[200] = 50, 49, 1
    table = window_table(counts, 99)
    assert [table[level] for level in (0, 23, 115, 127, 200)] == [0, 46, WINDOW_TOP, 254, 255]
    assert window_table(counts, 100)[200] == WINDOW_TOP
    assert window_table(counts, 50)[100] == WINDOW_TOP


def test_window_of_a_dark_picture_is_the_identity() -> None:
    np.testing.assert_array_equal(window_table(histogram(np.full((5, 5), 10, np.uint8)), 99), np.arange(256))


@given(PICTURES, st.integers(1, 100))
def test_window_keeps_the_order_of_grey_levels(image: np.ndarray, percentile: int) -> None:
    table = window_table(histogram(image), percentile).astype(int)
    assert (np.diff(table) >= 0).all()
    assert table[0] == 0


@given(PICTURES)
def test_histogram(image: np.ndarray) -> None:
    np.testing.assert_array_equal(histogram(image), np.bincount(image.ravel(), minlength=256))


def test_histogram_counts_exactly_beyond_float32() -> None:
    image = np.zeros((4097, 4097), np.uint8)
    image[0, 0] = 50
    counts = histogram(image)
    assert (counts[0], counts[50]) == (4097**2 - 1, 1)


@pytest.mark.parametrize(("shape", "box"), [((8, 16), (4, 12, 0, 16)), ((32, 8), (0, 16, 6, 10))])
def test_letterbox_keeps_proportions_and_centres(
    shape: tuple[int, int], box: tuple[int, int, int, int]
) -> None:
    top, bottom, left, right = box
    expected = np.zeros((16, 16), np.uint8)
    expected[top:bottom, left:right] = 200
    np.testing.assert_array_equal(letterbox(np.full(shape, 200, np.uint8), 16), expected)


def test_shrinking_averages_areas() -> None:
    checkers = (np.indices((32, 32)).sum(axis=0) % 2 * 200).astype(np.uint8)
    np.testing.assert_array_equal(letterbox(checkers, 16), np.full((16, 16), 100))


def test_growing_interpolates() -> None:
    grown = letterbox(np.array([[0, 100], [0, 100]], np.uint8), 4)
    np.testing.assert_array_equal(grown, [[0, 25, 75, 100]] * 4)


@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (2000, 3)])
@pytest.mark.parametrize("level", [0, 128, 255])
def test_degenerate_pictures(shape: tuple[int, int], level: int) -> None:
    result = Preprocess(size=32)(np.full(shape, level, np.uint8))
    assert result.max() == {0: 0, 128: WINDOW_TOP, 255: WINDOW_TOP}[level]


@pytest.mark.parametrize(
    "view", [lambda a: a[::-1], lambda a: a[:, ::2], lambda a: a.T, lambda a: a[3:-3, 5:-5]]
)
def test_views_are_taken_like_copies(view: object) -> None:
    seen = view(noise(40, 50))  # type: ignore[operator]
    np.testing.assert_array_equal(Preprocess(size=16)(seen), Preprocess(size=16)(seen.copy()))


@pytest.mark.parametrize(
    "image",
    [
        None,
        [[1, 2]],
        "picture.jpg",
        np.zeros((4, 4)),
        np.zeros((4, 4), np.int32),
        np.zeros((4, 4, 1), np.uint8),
        np.zeros((4, 4, 3), np.uint8),
        np.zeros((0, 4), np.uint8),
    ],
)
def test_what_is_no_grey_picture(image: object) -> None:
    with pytest.raises(ArgumentError, match=r"uint8 \(H, W\)"):
        Preprocess()(image)  # type: ignore[arg-type]


def bad_values() -> Iterator[tuple[str, object]]:
    for name, wrong in {
        "size": (0, 5000),
        "threshold": (-1, 255),
        "coverage": (0, 101),
        "window": (0, 101),
    }.items():
        yield from ((name, value) for value in (*wrong, 1.5, "9", True))
    yield from (("size", None), ("crop", 1), ("crop", None), ("crop", "yes"))


@pytest.mark.parametrize(("name", "value"), list(bad_values()))
def test_bad_arguments(name: str, value: object) -> None:
    with pytest.raises(ArgumentError, match=f"{name} is"):
        Preprocess(**{name: value})  # type: ignore[arg-type]


@given(SPECS)
def test_dict_round_trip(spec: Preprocess) -> None:
    again = Preprocess.from_dict(spec.to_dict())
    assert again == spec
    assert again.digest == spec.digest


@given(SPECS, SPECS)
def test_digests_are_equal_exactly_for_equal_specs(one: Preprocess, other: Preprocess) -> None:
    assert (one.digest == other.digest) == (one == other)


@pytest.mark.parametrize(
    "values",
    [
        None,
        [],
        {},
        {"version": 2, "size": 224},
        {"size": 224},
        {"version": 1, "sise": 224},
        {"version": 1, 3: 4},
    ],
)
def test_what_is_no_description(values: object) -> None:
    with pytest.raises(ArgumentError, match="preprocessing"):
        Preprocess.from_dict(values)  # type: ignore[arg-type]


def test_a_description_is_checked_like_arguments() -> None:
    with pytest.raises(ArgumentError, match="size is"):
        Preprocess.from_dict({"version": 1, "size": "large"})


def test_the_digest_is_the_same_in_another_process() -> None:
    program = (
        "from mri_tumor.dataset import Preprocess; import sys; sys.stdout.write(Preprocess(size=99).digest)"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout == Preprocess(size=99).digest


def test_opencv_s_own_threads_do_not_matter() -> None:
    image = noise(600, 700)
    threads = cv2.getNumThreads()
    try:
        cv2.setNumThreads(1)
        alone = Preprocess()(image)
        cv2.setNumThreads(4)
        np.testing.assert_array_equal(Preprocess()(image), alone)
    finally:
        cv2.setNumThreads(threads)


def test_a_spec_is_frozen_and_hashable() -> None:
    with pytest.raises(AttributeError):
        Preprocess().size = 3  # type: ignore[misc]
    assert len({Preprocess(), Preprocess(), Preprocess(size=160)}) == 2

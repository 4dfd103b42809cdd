import subprocess
import sys
from collections.abc import Iterator

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mri_tumor.dataset.preprocess import Preprocess
from mri_tumor.dataset.window import WINDOW_TOP
from mri_tumor.errors import ArgumentError

PLAIN = Preprocess(size=16, crop=False, window=None, fit="letterbox")


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
    fit=st.sampled_from(["stretch", "letterbox"]),
    clahe=st.none() | st.floats(0.5, 100),
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
    assert (spec.size, spec.crop, spec.window is not None, spec.clahe) == (224, True, True, None)
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
    framed = np.pad(head, ((8, 2), (6, 30)))
    np.testing.assert_array_equal(spec(framed), spec(head))
    assert not np.array_equal(Preprocess(size=32, crop=False)(framed), spec(head))


def test_crop_ignores_a_frame_and_a_line_of_text() -> None:
    head = np.pad(np.maximum(noise(60, 50), 60), 20)
    marked = head.copy()
    marked[0] = marked[-1] = marked[:, 0] = marked[:, -1] = 255
    marked[4:8, 30:60] = 255
    spec = Preprocess(size=32, window=None)
    np.testing.assert_array_equal(spec(marked), spec(head))


def test_stretching_fills_the_square() -> None:
    wide = np.repeat(np.array([[10, 200]], np.uint8), 8, axis=0).repeat(16, axis=1)
    plain = Preprocess(size=8, crop=False, window=None)
    np.testing.assert_array_equal(plain(wide)[..., 0], [[10] * 4 + [200] * 4] * 8)


def test_clahe_lifts_the_contrast_of_flat_parts() -> None:
    flat = (noise(64, 64) // 16 + 100).astype(np.uint8)
    plain, lifted = (Preprocess(size=64, crop=False, window=None, clahe=clip) for clip in (None, 2))
    assert lifted(flat).std() > 2 * plain(flat).std()
    assert lifted.digest == Preprocess(size=64, crop=False, window=None, clahe=2.0).digest


@pytest.mark.parametrize("factor", [0.3, 0.5, 0.8])
def test_a_darker_copy_is_cropped_alike(factor: float) -> None:
    ellipse = cv2.ellipse(np.zeros((90, 120), np.uint8), (50, 40), (30, 20), 30, 0, 360, 200, -1)
    rim = cv2.ellipse(ellipse, (50, 40), (30, 20), 30, 0, 360, 60, 3)
    darker = np.rint(rim * factor).astype(np.uint8)
    difference = Preprocess(size=64)(rim).astype(int) - Preprocess(size=64)(darker)
    assert np.abs(difference).max() <= 4
    assert np.abs(Preprocess(size=64, window=None)(rim).astype(int) - Preprocess(size=64)(rim)).max() > 20


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
    yield from (("fit", value) for value in ("crop", None, 1))
    yield from (("clahe", value) for value in (0, -1.0, 101, "2", True, float("nan")))


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
        {"version": 1, "size": 224},
        {"version": 3, "size": 224},
        {"size": 224},
        {"version": 2, "sise": 224},
        {"version": 2, 3: 4},
    ],
)
def test_what_is_no_description(values: object) -> None:
    with pytest.raises(ArgumentError, match="preprocessing"):
        Preprocess.from_dict(values)  # type: ignore[arg-type]


def test_a_description_is_checked_like_arguments() -> None:
    with pytest.raises(ArgumentError, match="size is"):
        Preprocess.from_dict({"version": 2, "size": "large"})


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

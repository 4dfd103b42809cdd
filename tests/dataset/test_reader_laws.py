"""Laws of the reader: whatever the bytes, a grey picture or an error of ours."""

from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mri_tumor.dataset.reader import read_image

Refusing = Callable[[bytes], np.ndarray | None]


def encode(picture: np.ndarray, suffix: str, *options: int) -> bytes:
    return cv2.imencode(suffix, picture, options)[1].tobytes()


NOISE = np.random.default_rng(0).normal(0, 1, (37, 53, 3)).astype(np.float32)
COLOUR = cv2.normalize(cv2.GaussianBlur(NOISE, (0, 0), 3), None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
GREY_JPEG, GREY_PNG = encode(COLOUR[..., 0], ".jpg"), encode(COLOUR[..., 0], ".png")
WHOLE_FILES = {
    "grey.jpg": GREY_JPEG,
    "colour.jpg": encode(COLOUR, ".jpg"),
    "progressive.jpg": encode(COLOUR, ".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1),
    "restarts.jpg": encode(COLOUR, ".jpg", cv2.IMWRITE_JPEG_RST_INTERVAL, 2),
    "grey.png": GREY_PNG,
    "colour.png": encode(COLOUR, ".png"),
}


@given(st.sampled_from([b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"]), st.binary(max_size=400))
def test_any_bytes_give_a_picture_or_a_read_error(
    picture_or_refusal: Refusing, head: bytes, rest: bytes
) -> None:
    picture_or_refusal(head + rest)


@given(st.sampled_from(sorted(WHOLE_FILES)), st.data())
def test_any_truncation_is_refused(picture_or_refusal: Refusing, name: str, data: st.DataObject) -> None:
    whole = WHOLE_FILES[name]
    end = data.draw(st.integers(0, len(whole) - 1))
    assert picture_or_refusal(whole[:end]) is None


@settings(max_examples=300, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(sorted(WHOLE_FILES)), st.data())
def test_any_flip_gives_a_picture_or_a_read_error(
    picture_or_refusal: Refusing, name: str, data: st.DataObject
) -> None:
    damaged = bytearray(WHOLE_FILES[name])
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] ^= data.draw(st.integers(1, 255))
    image = picture_or_refusal(bytes(damaged))
    if image is not None and name.endswith(".png"):
        np.testing.assert_array_equal(image, read_image(WHOLE_FILES[name]))


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_a_grey_png_of_any_size_comes_back_exactly(height: int, width: int, seed: int) -> None:
    picture = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    np.testing.assert_array_equal(read_image(encode(picture, ".png")), picture)


def test_damaged_pngs_do_not_flood_the_terminal(
    picture_or_refusal: Refusing, capfd: pytest.CaptureFixture[str]
) -> None:
    for place in range(8, len(GREY_PNG), 7):
        damaged = bytearray(GREY_PNG)
        damaged[place] ^= 0x55
        assert picture_or_refusal(bytes(damaged)) is None
        assert picture_or_refusal(GREY_PNG[:place]) is None
    for place in range(2, len(GREY_JPEG), 7):
        assert picture_or_refusal(GREY_JPEG[:place]) is None
    assert capfd.readouterr() == ("", "")

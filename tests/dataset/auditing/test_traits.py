"""What is measured of a picture besides its content, against pictures made for the purpose."""

from pathlib import Path

import cv2
import numpy as np
import pytest

from mri_tumor.dataset.auditing.traits import Traits, format_of, traits_of
from mri_tumor.dataset.reader import read_image


def measured(path: Path, image: np.ndarray, *options: int) -> Traits:
    path.write_bytes(cv2.imencode(path.suffix, image, list(options))[1].tobytes())
    return traits_of(path, read_image(path))


def test_size_bytes_and_format(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    traits = measured(path, np.full((30, 50), 90, np.uint8))
    assert (traits.width, traits.height, traits.format) == (50, 30, "PNG")
    assert traits.file_bytes == path.stat().st_size


def test_margins_and_frame(tmp_path: Path) -> None:
    image = np.zeros((100, 200), np.uint8)
    image[10:80, 40:150] = 200
    traits = measured(tmp_path / "a.png", image)
    assert traits.margins == pytest.approx((0.1, 0.2, 0.2, 0.25))
    assert traits.frame == (0, 1)
    image[0] = 60
    traits = measured(tmp_path / "b.png", image)
    assert traits.margins[0] == 0
    assert traits.frame[0] == pytest.approx(60 * 202 / 600)
    assert traits.frame[1] == pytest.approx(398 / 600)


def test_a_black_picture_is_all_margin(tmp_path: Path) -> None:
    traits = measured(tmp_path / "a.png", np.zeros((9, 9), np.uint8))
    assert traits.margins == (1, 1, 1, 1)
    assert traits.brightness == (0, 0, 0)


def test_brightness(tmp_path: Path) -> None:
    image = np.full((10, 10), 100, np.uint8)
    image[0, :2] = 250
    mean, deviation, high = measured(tmp_path / "a.png", image).brightness
    assert mean == pytest.approx(image.mean())
    assert deviation == pytest.approx(image.std())
    assert high == 250


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif"])
def test_colour_is_told_from_grey_in_three_channels(tmp_path: Path, suffix: str) -> None:
    rng = np.random.default_rng(0)
    grey = cv2.GaussianBlur(rng.integers(0, 255, (96, 96), np.uint8), (9, 9), 0)
    picture = np.stack([grey] * 3, axis=-1)
    assert measured(tmp_path / f"grey{suffix}", grey).colour == 0
    assert measured(tmp_path / f"three{suffix}", picture).colour == 0
    picture[:48, :48] = (0, 0, 255)
    assert measured(tmp_path / f"mark{suffix}", picture).colour == pytest.approx(0.25, abs=0.05)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".bmp", ".tif"])
@pytest.mark.parametrize("size", [(7, 40), (40, 7), (1, 1), (8, 8), (63, 65)])
def test_colour_of_small_pictures(tmp_path: Path, suffix: str, size: tuple[int, int]) -> None:
    picture = np.full((*size, 3), 90, np.uint8)
    assert measured(tmp_path / f"grey{suffix}", picture).colour == 0
    picture[:] = (0, 0, 255)
    assert measured(tmp_path / f"red{suffix}", picture).colour == 1


def test_what_opencv_gives_up_has_no_colour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(cv2.imencode(".png", np.full((80, 80, 3), 90, np.uint8))[1].tobytes())

    def fail(*_: object) -> None:
        raise cv2.error("no")

    monkeypatch.setattr(cv2, "imdecode", fail)
    assert traits_of(path, np.full((80, 80), 90, np.uint8)).colour == 0


def test_colour_of_what_opencv_does_not_read(tmp_path: Path) -> None:
    path = tmp_path / "float.tif"
    path.write_bytes(cv2.imencode(".tif", np.eye(16, dtype=np.float32))[1].tobytes())
    assert traits_of(path, read_image(path)).colour == 0
    path.write_bytes(path.read_bytes()[:-20])
    assert traits_of(path, np.eye(16, dtype=np.uint8)).colour == 0


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"\xff\xd8\xff\xe0", "JPEG"),
        (b"BM1234", "BMP"),
        (b"II*\x00", "TIFF"),
        (b"\0" * 128 + b"DICM", "DICOM"),
        (b"\0" * 512 + b"\x89HDF\r\n\x1a\n", "MATLAB"),
        (b"", ""),
        (b"RIFF1234WEBP", ""),  # not read: its traits are never measured
    ],
)
def test_format_of(head: bytes, name: str) -> None:
    assert format_of(head) == name

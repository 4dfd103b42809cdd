import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from mri_tumor.dataset.reader import read_image
from mri_tumor.errors import ArgumentError, ReadError

HEIGHT, WIDTH = 37, 53


def colours(seed: int = 0, size: tuple[int, int] = (HEIGHT, WIDTH)) -> np.ndarray:
    """Return a smooth uint8 picture (H, W, 3) in real colour, RGB."""
    noise = np.random.default_rng(seed).normal(0, 1, (*size, 3))
    smooth = cv2.GaussianBlur(noise.astype(np.float32), (0, 0), 3)
    return cv2.normalize(smooth, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)


def encode(picture: Image.Image | np.ndarray, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def luma(rgb: np.ndarray) -> np.ndarray:
    return np.rint(rgb.astype(float) @ [0.299, 0.587, 0.114])


GREY = colours()[..., 0]
GREY_JPEG, GREY_PNG = encode(GREY, "JPEG", quality=95), encode(GREY, "PNG")
COLOUR_JPEG, COLOUR_PNG = encode(colours(), "JPEG", quality=95), encode(colours(), "PNG")
WHOLE_FILES = {
    "grey.jpg": GREY_JPEG,
    "colour.jpg": COLOUR_JPEG,
    "progressive.jpg": encode(colours(), "JPEG", progressive=True),
    "grey.png": GREY_PNG,
    "colour.png": COLOUR_PNG,
}


def jpeg_header(height: int, width: int, *, frame: int = 0xC0, bits: int = 8, components: int = 1) -> bytes:
    body = struct.pack(">BHHB", bits, height, width, components) + b"\x01\x11\x00" * components
    scan = b"\xff\xda" + struct.pack(">H", 8) + b"\x01\x01\x00\x00\x3f\x00"
    return b"\xff\xd8\xff" + bytes([frame]) + struct.pack(">H", 2 + len(body)) + body + scan + b"\x00\xff\xd9"


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png_header(height: int, width: int, bits: int = 8, kind: int = 0) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, kind, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\x00")) + chunk(b"IEND", b"")


def test_png_is_read_exactly() -> None:
    image = read_image(GREY_PNG)
    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, GREY)


def test_jpeg_is_close_to_what_was_encoded() -> None:
    assert np.abs(read_image(GREY_JPEG).astype(int) - GREY).max() <= 8


@pytest.mark.parametrize(
    "path", ["picture.jpg", "gg (1).jpg", "Kopf größer 頭.jpg", "picture.PNG", "no_suffix"]
)
@pytest.mark.parametrize("kind", [str, Path])
def test_paths(tmp_path: Path, path: str, kind: Callable[[Path], str | Path]) -> None:
    (tmp_path / path).write_bytes(GREY_PNG)
    np.testing.assert_array_equal(read_image(kind(tmp_path / path)), GREY)


@pytest.mark.parametrize("wrapped", [bytearray(GREY_PNG), memoryview(GREY_PNG)])
def test_other_kinds_of_bytes(wrapped: bytearray | memoryview) -> None:
    np.testing.assert_array_equal(read_image(wrapped), GREY)  # type: ignore[arg-type]


def test_colour_png_becomes_luma() -> None:
    assert np.abs(read_image(COLOUR_PNG) - luma(colours())).max() <= 1


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"subsampling": 0}, {"keep_rgb": True}])
def test_colour_jpeg_becomes_luma(options: dict[str, object]) -> None:
    encoded = encode(colours(), "JPEG", quality=98, **options)
    assert np.abs(read_image(encoded) - luma(colours())).max() <= 8


def test_grey_stays_as_it_is_however_it_is_stored() -> None:
    as_rgb = encode(np.repeat(GREY[..., None], 3, axis=-1), "PNG")
    np.testing.assert_array_equal(read_image(as_rgb), GREY)
    np.testing.assert_array_equal(read_image(encode(Image.fromarray(GREY).convert("LA"), "PNG")), GREY)


def test_alpha_is_dropped_not_blended() -> None:
    picture = Image.fromarray(colours()).convert("RGBA")
    picture.putalpha(Image.fromarray(GREY))
    np.testing.assert_array_equal(read_image(encode(picture, "PNG")), read_image(COLOUR_PNG))


@pytest.mark.parametrize("options", [{}, {"transparency": 0}])
def test_palette_png(options: dict[str, object]) -> None:
    picture = Image.fromarray(colours()).quantize(32)
    expected = luma(np.asarray(picture.convert("RGB")))
    assert np.abs(read_image(encode(picture, "PNG", **options)) - expected).max() <= 1


def test_one_bit_png() -> None:
    picture = Image.fromarray(GREY).convert("1")
    np.testing.assert_array_equal(read_image(encode(picture, "PNG")), np.asarray(picture) * np.uint8(255))


@pytest.mark.parametrize(
    ("highest", "expected"),
    [(255, [0, 100, 255]), (4095, [0, 6, 255]), (65535, [0, 0, 255]), (5000, [0, 3, 156]), (0, [0, 3, 0])],
)
def test_16_bit_png_keeps_the_upper_8_of_the_bits_it_needs(highest: int, expected: list[int]) -> None:
    middle = 100 if highest else 3
    encoded = encode(np.array([[0, middle, highest]], np.uint16), "PNG")
    np.testing.assert_array_equal(read_image(encoded), [expected])


def test_16_bit_colour_png() -> None:
    rgb = colours().astype(np.uint16) * 257
    encoded = cv2.imencode(".png", rgb[..., ::-1])[1].tobytes()
    assert np.abs(read_image(encoded) - luma(colours())).max() <= 1


def test_exif_orientation_is_ignored() -> None:
    (exif := Image.Exif())[0x0112] = 6
    encoded = encode(GREY, "JPEG", quality=95, exif=exif.tobytes())
    np.testing.assert_array_equal(read_image(encoded), read_image(GREY_JPEG))


def test_a_thumbnail_in_the_header_is_not_the_picture() -> None:
    thumbnail = b"\xff\xe1" + struct.pack(">H", 2 + len(GREY_JPEG)) + GREY_JPEG
    within = COLOUR_JPEG[:2] + thumbnail + COLOUR_JPEG[2:]
    np.testing.assert_array_equal(read_image(within), read_image(COLOUR_JPEG))
    with pytest.raises(ReadError, match="cut off"):
        read_image(within[: len(within) // 2 + len(GREY_JPEG) // 2])


@pytest.mark.parametrize("whole", WHOLE_FILES.values(), ids=WHOLE_FILES)
def test_bytes_after_the_end_do_not_matter(whole: bytes) -> None:
    np.testing.assert_array_equal(read_image(whole + b"\x00trailer\xff"), read_image(whole))


@pytest.mark.parametrize("size", [(1, 1), (1, 400), (2000, 3)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_extreme_shapes(size: tuple[int, int], kind: str) -> None:
    assert read_image(encode(np.full(size, 9, np.uint8), kind)).shape == size


def refusal(path: Path, data: bytes) -> ReadError:
    """Return the error that reading `data` from `path` gives, complete and naming the file."""
    path.write_bytes(data)
    with pytest.raises(ReadError) as caught:
        read_image(path)
    assert str(path) in str(caught.value)
    assert caught.value.expected
    assert caught.value.fix
    with pytest.raises(ReadError, match="<bytes>"):
        read_image(data)
    return caught.value


@pytest.mark.parametrize("name", WHOLE_FILES)
@pytest.mark.parametrize("kept", [0.15, 0.5, 0.9, 0.999])
def test_cut_off_files(tmp_path: Path, name: str, kept: float) -> None:
    whole = WHOLE_FILES[name]
    refusal(tmp_path / name, whole[: min(int(len(whole) * kept), len(whole) - 2)])


def test_a_cut_off_jpeg_says_so(tmp_path: Path) -> None:
    assert "cut off" in refusal(tmp_path / "half.jpg", GREY_JPEG[:-2]).found


def test_a_flipped_byte_in_a_png_is_noticed(tmp_path: Path) -> None:
    damaged = bytearray(GREY_PNG)
    damaged[len(damaged) // 2] ^= 1
    assert "damaged" in refusal(tmp_path / "flipped.png", bytes(damaged)).found


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "empty"),
        (b"hello, this is not a picture\n", "text"),
        (b"<html>404</html>", "text"),
        (b"GIF89a\x01\x00\x01\x00", "GIF"),
        (b"II*\x00\x08\x00\x00\x00", "TIFF"),
        (bytes(128) + b"DICM" + bytes(20), "DICOM"),
        (bytes(range(256)), "not a picture"),
        (b"\xff\xd8\xff\xd9", "no picture"),
        (b"\x89PNG\r\n\x1a\n", "cut off or damaged"),
        (b"\x89PNG\r\n\x1a\n" + chunk(b"IEND", b""), "header"),
        (png_header(4, 4).replace(b"IDAT", b"iDAT"), "damaged"),
        (b"\x89PNG\r\n\x1a\n" + png_header(4, 4)[8:33] + chunk(b"IEND", b""), "no picture"),
        (png_header(4, 4), "cannot be decoded"),
    ],
)
def test_what_is_no_picture(tmp_path: Path, data: bytes, says: str) -> None:
    assert says in refusal(tmp_path / "picture.jpg", data).found


def test_an_animated_png(tmp_path: Path) -> None:
    frames = [Image.fromarray(GREY), Image.fromarray(255 - GREY)]
    animated = encode(frames[0], "PNG", save_all=True, append_images=frames[1:])
    assert "animated" in refusal(tmp_path / "moving.png", animated).found


def test_a_cmyk_jpeg(tmp_path: Path) -> None:
    cmyk = encode(Image.fromarray(colours()).convert("CMYK"), "JPEG")
    assert "CMYK" in refusal(tmp_path / "print.jpg", cmyk).found


@pytest.mark.parametrize("options", [{"frame": 0xC3}, {"frame": 0xC9}, {"bits": 12}])
def test_rare_kinds_of_jpeg(tmp_path: Path, options: dict[str, int]) -> None:
    assert "rare kind" in refusal(tmp_path / "rare.jpg", jpeg_header(8, 8, **options)).found


def test_a_jpeg_of_endless_scans(tmp_path: Path) -> None:
    whole = jpeg_header(8, 8, frame=0xC2)
    bomb = whole[:-2] + whole[whole.index(b"\xff\xda") : -2] * 200 + b"\xff\xd9"
    assert "scans" in refusal(tmp_path / "bomb.jpg", bomb).found


def test_a_sequential_jpeg_of_endless_scans(tmp_path: Path) -> None:
    whole = jpeg_header(8, 8, components=3)
    bomb = whole[:-2] + whole[whole.index(b"\xff\xda") : -2] * 200 + b"\xff\xd9"
    assert "201 scans" in refusal(tmp_path / "bomb.jpg", bomb).found


@pytest.mark.parametrize("header", [jpeg_header, png_header])
@pytest.mark.parametrize("size", [(60_000, 60_000), (0, 10), (10, 0)])
def test_impossible_sizes_are_refused_before_decoding(
    tmp_path: Path, header: Callable[..., bytes], size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("the pixels were decoded"))
    assert f"{size[1]} x {size[0]} pixels" in refusal(tmp_path / "bomb", header(*size)).found


def test_a_side_of_more_than_65535(tmp_path: Path) -> None:
    assert "65,535" in refusal(tmp_path / "long.png", png_header(1, 70_000)).expected


def test_limits_can_be_set() -> None:
    pixels, length = HEIGHT * WIDTH, len(GREY_PNG)
    read_image(GREY_PNG, max_pixels=pixels, max_bytes=length)
    with pytest.raises(ReadError, match="max_pixels"):
        read_image(GREY_PNG, max_pixels=pixels - 1)
    with pytest.raises(ReadError, match="max_bytes"):
        read_image(GREY_PNG, max_bytes=length - 1)


def test_a_long_file_is_not_loaded(tmp_path: Path) -> None:
    path = tmp_path / "long.jpg"
    with path.open("wb") as file:
        file.truncate(10_000_000_000)  # sparse: it takes no room
    with pytest.raises(ReadError, match="10,000,000,000 bytes"):
        read_image(path)


@pytest.mark.parametrize("limit", ["max_pixels", "max_bytes"])
@pytest.mark.parametrize("value", [0, -1, 1.5, True, None, "9"])
def test_bad_limits(limit: str, value: object) -> None:
    with pytest.raises(ArgumentError, match=limit):
        read_image(GREY_PNG, **{limit: value})  # type: ignore[arg-type]


@pytest.mark.parametrize("source", [None, 3, np.zeros((2, 2), np.uint8), ["a.jpg"]])
def test_bad_sources(source: object) -> None:
    with pytest.raises(ArgumentError, match="source"):
        read_image(source)  # type: ignore[arg-type]


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(ReadError, match="no such file"):
        read_image(tmp_path / "missing.jpg")
    with pytest.raises(ReadError, match="folder"):
        read_image(tmp_path)


@pytest.mark.parametrize("path", ["a\x00b.jpg", "lone \ud800.jpg", "x" * 5000])
def test_impossible_paths(path: str) -> None:
    with pytest.raises(ReadError) as caught:
        read_image(path)
    str(caught.value).encode()  # the message itself can be shown


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_rights(tmp_path: Path) -> None:
    path = tmp_path / "locked.png"
    path.write_bytes(GREY_PNG)
    path.chmod(0)
    with pytest.raises(ReadError, match="rights"):
        read_image(path)


def test_a_modality_that_is_no_text() -> None:
    with pytest.raises(ArgumentError, match="modality"):
        read_image(b"anything", modality=5)  # type: ignore[arg-type]

import io
import struct
from collections.abc import Callable

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from mri_tumor.dataset.formats import bmp
from mri_tumor.dataset.reader import read_image
from mri_tumor.errors import ReadError

Refusing = Callable[[bytes], np.ndarray | None]

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (9, 11, 3)).astype(np.uint8)
GREY = RGB[..., 0].copy()
COLOURS = RNG.integers(0, 256, (256, 3)).astype(np.uint8)
GREYS = np.arange(256, dtype=np.uint8)[:, None].repeat(3, axis=1)
PLAIN, RUNS_OF_8, RUNS_OF_4, MASKS = range(4)


def bmp_of(
    pixels: bytes,
    size: tuple[int, int],
    bits: int,
    *,
    compression: int = PLAIN,
    header: int = 40,
    palette: np.ndarray = GREYS,
    used: int = 0,
    masks: tuple[int, ...] = (),
    planes: int = 1,
    gap: int = 0,
) -> bytes:
    """Return a BMP of these bytes; a negative height is top-down."""
    height, width = size
    if header == 12:
        info = struct.pack("<IHHHH", 12, width, height, planes, bits)
    else:
        fields = (header, width, height, planes, bits, compression, len(pixels), 0, 0, used, 0)
        info = struct.pack("<IiiHHIIiiII", *fields) + struct.pack(f"<{len(masks)}I", *masks)
        info = info.ljust(header, b"\0")
    if bits <= 8:
        colours = palette[: used or 1 << bits, ::-1]
        if header != 12:
            colours = np.pad(colours, ((0, 0), (0, 1)))
        info += colours.tobytes()
    start = 14 + len(info) + gap
    return b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start) + info + bytes(gap) + pixels


def rows_of(values: np.ndarray, bits: int) -> bytes:
    """Return rows from the lowest up, each filled up to 4 bytes."""
    singles = np.unpackbits(values[..., None], axis=2)[..., 8 - bits :] if bits < 8 else None
    stored = values if singles is None else np.packbits(singles.reshape(len(values), -1), axis=1)
    lines = [np.ascontiguousarray(row).tobytes() for row in stored[::-1]]
    return b"".join(line + bytes(-len(line) % 4) for line in lines)


def luma(rgb: np.ndarray) -> np.ndarray:
    return np.rint(rgb.astype(float) @ [0.299, 0.587, 0.114])


def test_what_pillow_and_opencv_write() -> None:
    for pixels in (GREY, RGB):
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "BMP")
        by_opencv = cv2.imencode(".bmp", pixels[..., ::-1] if pixels.ndim == 3 else pixels)[1].tobytes()
        for encoded in (buffer.getvalue(), by_opencv):
            assert np.abs(bmp.colours(encoded, "x").T - pixels.T.astype(int)).max() == 0
            expected = luma(pixels) if pixels.ndim == 3 else pixels.astype(float)
            assert np.abs(read_image(encoded) - expected).max() <= 1


@pytest.mark.parametrize("header", [12, 40, 52, 56, 64, 108, 124])
@pytest.mark.parametrize("bits", [1, 4, 8])
def test_palettes_in_every_version_of_the_header(header: int, bits: int) -> None:
    values = RNG.integers(0, 1 << bits, (9, 11)).astype(np.uint8)
    encoded = bmp_of(rows_of(values, bits), (9, 11), bits, header=header, palette=COLOURS)
    np.testing.assert_array_equal(bmp.colours(encoded, "x"), COLOURS[values])
    assert np.abs(read_image(encoded) - luma(COLOURS[values])).max() <= 1


@pytest.mark.parametrize("header", [12, 40, 124])
def test_24_bits(header: int) -> None:
    encoded = bmp_of(rows_of(RGB[..., ::-1].reshape(9, -1), 8), (9, 11), 24, header=header)
    np.testing.assert_array_equal(bmp.colours(encoded, "x"), RGB)


def test_32_bits_without_alpha_and_with() -> None:
    four = np.dstack([RGB[..., ::-1], GREY])
    plain = bmp_of(rows_of(four.reshape(9, -1), 8), (9, 11), 32)
    np.testing.assert_array_equal(bmp.colours(plain, "x"), RGB)
    masks = (0xFF, 0xFF00, 0xFF0000, 0xFF000000)
    other = np.dstack([RGB, GREY])
    for header in (40, 56, 124):
        masked = bmp_of(
            rows_of(other.reshape(9, -1), 8), (9, 11), 32, compression=MASKS, masks=masks, header=header,
            gap=16 * (header == 40),
        )  # fmt: skip
        np.testing.assert_array_equal(bmp.colours(masked, "x"), RGB)


@pytest.mark.parametrize(
    ("masks", "compression"),
    [((0x7C00, 0x3E0, 0x1F), PLAIN), ((0xF800, 0x7E0, 0x1F), MASKS), ((0xF, 0xF0, 0xF00), MASKS)],
)
def test_16_bits(masks: tuple[int, ...], compression: int) -> None:
    values = RNG.integers(0, 1 << 15, (9, 11)).astype("<u2")
    expected = [
        (values & mask) // (mask & -mask) * 255 // (mask // (mask & -mask)) for mask in map(np.int64, masks)
    ]
    stored = rows_of(values.view(np.uint8), 8)
    encoded = bmp_of(stored, (9, 11), 16, compression=compression, masks=masks, gap=12)
    np.testing.assert_array_equal(bmp.colours(encoded, "x"), np.stack(expected, axis=-1))


def test_10_bits_a_channel() -> None:
    values = np.array([[0, 1023 << 20 | 512 << 10 | 4]], "<u4")
    encoded = bmp_of(
        values.tobytes(), (1, 2), 32, compression=MASKS, masks=(1023 << 20, 1023 << 10, 1023), header=56
    )
    assert bmp.colours(encoded, "x").tolist() == [[[0, 0, 0], [255, 127, 0]]]


def test_top_down() -> None:
    encoded = bmp_of(rows_of(GREY[::-1], 8), (-9, 11), 8)
    np.testing.assert_array_equal(read_image(encoded), GREY)


def test_a_short_palette() -> None:
    encoded = bmp_of(rows_of(GREY % 7, 8), (9, 11), 8, used=7)
    np.testing.assert_array_equal(read_image(encoded), GREY % 7)


def runs_of(values: np.ndarray, bits: int) -> bytes:
    """Return run-length coding: the first half of each row as a run a pixel, the rest uncoded."""
    coded = bytearray()
    for row in values[::-1].tolist():
        half = len(row) // 2
        for value in row[:half]:
            coded += bytes([1, value if bits == 8 else value << 4])
        rest = row[half:]
        if len(rest) < 3:
            coded += b"".join(bytes([1, value if bits == 8 else value << 4]) for value in rest)
        else:
            packed = bytes(rest) if bits == 8 else bytes(
                high << 4 | low for high, low in zip(rest[::2], [*rest[1::2], 0], strict=False)
            )  # fmt: skip
            coded += bytes([0, len(rest)]) + packed + bytes(len(packed) % 2)
        coded += b"\0\0"
    return bytes(coded + b"\0\1")


@pytest.mark.parametrize(("bits", "compression"), [(8, RUNS_OF_8), (4, RUNS_OF_4)])
@pytest.mark.parametrize("width", [4, 11, 100])
def test_runs(bits: int, compression: int, width: int) -> None:
    values = RNG.integers(0, 1 << bits, (5, width)).astype(np.uint8)
    encoded = bmp_of(runs_of(values, bits), (5, width), bits, compression=compression)
    np.testing.assert_array_equal(read_image(encoded), values)
    if bits == 8:
        np.testing.assert_array_equal(cv2.imdecode(np.frombuffer(encoded, np.uint8), 0), values)


def test_long_runs_and_a_last_row_without_its_end() -> None:
    eight = bytes([5, 9, 0, 0, 5, 7, 0, 1])
    assert read_image(bmp_of(eight, (2, 5), 8, compression=RUNS_OF_8)).tolist() == [[7] * 5, [9] * 5]
    four = bytes([5, 0x12, 0, 0, 0, 1])
    assert read_image(bmp_of(four, (1, 5), 4, compression=RUNS_OF_4)).tolist() == [[1, 2, 1, 2, 1]]


def refusal(data: bytes) -> str:
    with pytest.raises(ReadError) as caught:
        read_image(data)
    assert caught.value.found.startswith("<bytes>")
    assert caught.value.expected
    assert caught.value.fix
    return caught.value.found


@pytest.mark.parametrize(
    ("coded", "says"),
    [
        (bytes([5, 9, 0, 0, 5, 7, 0, 0]), "do not end"),
        (bytes([5, 9, 0, 1]), "leaves pixels out"),
        (bytes([5, 9, 0, 0, 0, 2, 1, 0, 4, 7, 0, 1]), "leaves pixels out"),
        (bytes([5, 9, 0, 0, 3, 7, 0, 1]), "leaves pixels out"),
        (bytes([6, 9, 0, 0, 5, 7, 0, 1]), "too many"),
        (bytes([5, 9, 0, 0] * 1000 + [0, 1]), "too many"),
        (bytes([255, 9] * 100_000), "too many"),
        (bytes([5, 9, 0, 0, 0, 5, 1, 2, 3]), "do not end"),
    ],
)
def test_damaged_runs(coded: bytes, says: str) -> None:
    assert says in refusal(bmp_of(coded, (2, 5), 8, compression=RUNS_OF_8))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"header": 41}, "41 bytes"),
        ({"bits": 2}, "2 bits"),
        ({"bits": 24, "compression": 4}, "compression 4"),
        ({"bits": 16, "compression": MASKS, "header": 64}, "compression 3"),
        ({"compression": RUNS_OF_4}, "compression 2"),
        ({"planes": 3}, "3 planes"),
        ({"size": (-9, 11), "compression": RUNS_OF_8}, "compression 1"),
        ({"size": (0, 11)}, "11 x 0 pixels"),
        ({"size": (9, -11)}, "-11 x 9 pixels"),
        ({"size": (60_000, 60_000)}, "60000 x 60000 pixels"),
        ({"size": (1, 70_000)}, "70000 x 1 pixels"),
        ({"size": (10, 11)}, "9 of 10 rows"),
        ({"used": 100}, "of a palette of 100"),
        ({"bits": 32, "compression": MASKS, "masks": (0, 0xFF00, 0xFF)}, "contradicts"),
        ({"bits": 16, "compression": MASKS, "masks": (0x1F0000, 0x3E0, 0x1F)}, "contradicts"),
        ({"bits": 32, "compression": MASKS, "masks": (0x50000, 0xFF00, 0xFF)}, "contradicts"),
    ],
)
def test_what_is_not_read(options: dict, says: str) -> None:
    arguments = {"size": (9, 11), "bits": 8, **options}
    assert says in refusal(bmp_of(rows_of(np.full((9, 11), 200, np.uint8), 8), **arguments))


def test_pixels_that_begin_inside_the_header() -> None:
    whole = bytearray(bmp_of(rows_of(GREY, 8), (9, 11), 8))
    whole[10:14] = struct.pack("<I", 20)
    assert "contradicts" in refusal(bytes(whole))
    whole[10:14] = struct.pack("<I", 54)
    assert "contradicts" in refusal(bytes(whole))  # no room for a palette


def test_no_pixel_is_decoded_before_the_size_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bmp, "colours", lambda *_: pytest.fail("the pixels were decoded"))
    assert "9000 x 9000" in refusal(bmp_of(b"", (9000, 9000), 8))


WHOLE_FILES = {
    "1 bit": bmp_of(rows_of(GREY & 1, 1), (9, 11), 1),
    "core": bmp_of(rows_of(GREY, 8), (9, 11), 8, header=12),
    "colour": bmp_of(rows_of(RGB[..., ::-1].reshape(9, -1), 8), (9, 11), 24, header=124),
    "16 bits": bmp_of(rows_of(GREY.repeat(2, axis=1), 8), (9, 11), 16),
    "runs of 8": bmp_of(runs_of(GREY, 8), (9, 11), 8, compression=RUNS_OF_8),
    "runs of 4": bmp_of(runs_of(GREY % 16, 4), (9, 11), 4, compression=RUNS_OF_4),
}


@pytest.mark.parametrize("name", WHOLE_FILES)
def test_any_cut_is_noticed(name: str) -> None:
    whole = WHOLE_FILES[name]
    read_image(whole)
    for end in range(len(whole)):
        with pytest.raises(ReadError):
            read_image(whole[:end])


@pytest.mark.parametrize("name", WHOLE_FILES)
def test_any_flipped_byte_gives_a_picture_or_a_read_error(
    picture_or_refusal: Refusing, name: str, capfd: pytest.CaptureFixture[str]
) -> None:
    for place in range(len(WHOLE_FILES[name])):
        for flip in (0x01, 0x80, 0xFF):
            damaged = bytearray(WHOLE_FILES[name])
            damaged[place] ^= flip
            picture_or_refusal(bytes(damaged))
    assert capfd.readouterr() == ("", "")


@settings(max_examples=200)
@given(st.sampled_from(sorted(WHOLE_FILES)), st.data())
def test_any_damage_gives_a_picture_or_a_read_error(
    picture_or_refusal: Refusing, name: str, data: st.DataObject
) -> None:
    damaged = bytearray(WHOLE_FILES[name])
    for _ in range(data.draw(st.integers(1, 5))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    picture_or_refusal(bytes(damaged))


@given(st.binary(max_size=200))
def test_any_bytes_give_a_picture_or_a_read_error(picture_or_refusal: Refusing, rest: bytes) -> None:
    picture_or_refusal(b"BM" + rest)


@given(arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=40)))
def test_any_picture_comes_back(pixels: np.ndarray) -> None:
    np.testing.assert_array_equal(read_image(bmp_of(rows_of(pixels, 8), pixels.shape, 8)), pixels)
    coded = bmp_of(runs_of(pixels, 8), pixels.shape, 8, compression=RUNS_OF_8)
    np.testing.assert_array_equal(read_image(coded), pixels)

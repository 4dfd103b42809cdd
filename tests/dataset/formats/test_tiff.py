import io
import struct
import zlib
from collections.abc import Callable, Mapping, Sequence

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from mri_tumor.dataset.formats import tiff
from mri_tumor.dataset.formats.codecs import packbits
from mri_tumor.dataset.formats.intensity import percentile_window, to_grey
from mri_tumor.dataset.formats.tiff_codecs import lzw
from mri_tumor.dataset.reader import read_image
from mri_tumor.errors import ReadError

Refusing = Callable[[bytes], np.ndarray | None]

SHORT, LONG = 3, 4
BITS, PALETTE, EXTRA, FILL_ORDER, JPEG_TABLES = 258, 320, 338, 266, 347
STRIPS, STRIP_BYTES, TILE_WIDTH, TILE_HEIGHT, TILES, TILE_BYTES = 273, 279, 322, 323, 324, 325
SUBFILE, ROWS = 254, 278
Tags = Mapping[int, tuple[int, Sequence[int]]]
FORMS = {1: "B", SHORT: "H", LONG: "I", 7: "B"}


def tags_of(pixels: np.ndarray, **changed: int) -> dict[int, tuple[int, Sequence[int]]]:
    """Return the tags of a picture (H, W) or (H, W, samples) in one plain strip, some of them changed."""
    samples = 1 if pixels.ndim == 2 else pixels.shape[2]
    numbers = {
        "width": (256, pixels.shape[1]),
        "height": (257, pixels.shape[0]),
        "compression": (259, 1),
        "photometric": (262, 2 if samples > 2 else 1),
        "orientation": (274, 1),
        "samples": (277, samples),
        "rows": (ROWS, pixels.shape[0]),
        "planar": (284, 1),
        "predictor": (317, 1),
        "sample_format": (339, "?uif".index(pixels.dtype.kind)),
    }
    tags = {tag: (LONG, [changed.pop(name, value)]) for name, (tag, value) in numbers.items()}
    tags[BITS] = (SHORT, [changed.pop("bits", pixels.dtype.itemsize * 8)] * samples)
    assert not changed
    return tags


def tiff_of(blocks: Sequence[bytes], tags: Tags, order: str = "<", pages: int = 1) -> bytes:
    """Return a TIFF: the blocks, then `pages` times the same directory."""
    data = bytearray((b"II*\0" if order == "<" else b"MM\0*") + bytes(4))
    starts = []
    for block in blocks:
        starts.append(len(data))
        data += block
    places, lengths = (TILES, TILE_BYTES) if TILE_WIDTH in tags else (STRIPS, STRIP_BYTES)
    whole = {places: (LONG, starts), lengths: (LONG, [len(block) for block in blocks]), **tags}
    link = 4
    for _ in range(pages):
        entries = b"".join(entry(data, tag, *whole[tag], order) for tag in sorted(whole))
        struct.pack_into(f"{order}I", data, link, len(data))
        link = len(data) + 2 + len(entries)
        data += struct.pack(f"{order}H", len(whole)) + entries + bytes(4)
    return bytes(data)


def entry(data: bytearray, tag: int, kind: int, values: Sequence[int], order: str) -> bytes:
    packed = struct.pack(f"{order}{len(values)}{FORMS[kind]}", *values)
    if len(packed) > 4:
        place = len(data)
        data += packed
        packed = struct.pack(f"{order}I", place)
    return struct.pack(f"{order}HHI", tag, kind, len(values)) + packed.ljust(4, b"\0")


def plain(pixels: np.ndarray, order: str = "<", **changed: int) -> bytes:
    """Return a picture as a TIFF of one plain strip, tags changed but not the bytes."""
    stored = pixels.astype(pixels.dtype.newbyteorder(order)).tobytes()
    return tiff_of([stored], tags_of(pixels, **changed), order)


def tiles_of(pixels: np.ndarray, side: int = 16) -> tuple[list[np.ndarray], Tags]:
    """Return a picture's tiles, filled up with 0, and its tags."""
    tiles = []
    for top in range(0, pixels.shape[0], side):
        for left in range(0, pixels.shape[1], side):
            tile = np.zeros((side, side, *pixels.shape[2:]), pixels.dtype)
            part = pixels[top : top + side, left : left + side]
            tile[: part.shape[0], : part.shape[1]] = part
            tiles.append(tile)
    sides = {TILE_WIDTH: (LONG, [side]), TILE_HEIGHT: (LONG, [side])}
    return tiles, {tag: value for tag, value in tags_of(pixels).items() if tag != ROWS} | sides


def by_pillow(pixels: np.ndarray | Image.Image, compression: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image = pixels if isinstance(pixels, Image.Image) else Image.fromarray(pixels)
    image.save(buffer, "TIFF", compression=compression, **options)
    return buffer.getvalue()


def luma(rgb: np.ndarray) -> np.ndarray:
    return np.rint(rgb.astype(float) @ [0.299, 0.587, 0.114])


def smooth(kind: type, samples: int = 3) -> np.ndarray:
    noise = np.random.default_rng(0).normal(0, 1, (37, 53, samples)).astype(np.float32)
    top = np.iinfo(kind).max
    levels = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 3), None, 0, top, cv2.NORM_MINMAX)
    return np.clip(np.rint(levels.astype(np.float64)), 0, top).astype(kind)


RGB, RGB16 = smooth(np.uint8), smooth(np.uint16)
GREY, GREY16 = RGB[..., 0].copy(), RGB16[..., 0].copy()
GREY16[0, 0] = 65535
CODECS = ["raw", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits"]


@pytest.mark.parametrize("order", ["<", ">"])
def test_plain_grey_and_colour_of_both_byte_orders(order: str) -> None:
    np.testing.assert_array_equal(read_image(plain(GREY, order)), GREY)
    np.testing.assert_array_equal(read_image(plain(GREY16, order)), GREY16 >> 8)
    assert np.abs(read_image(plain(RGB, order)) - luma(RGB)).max() <= 1
    assert np.abs(read_image(plain(RGB16, order)) - luma(RGB16 >> 8)).max() <= 1


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("strip_size", [600, 100_000])
def test_what_pillow_writes(codec: str, strip_size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("PIL.TiffImagePlugin.STRIP_SIZE", strip_size)
    np.testing.assert_array_equal(read_image(by_pillow(GREY, codec)), GREY)
    np.testing.assert_array_equal(read_image(by_pillow(GREY16, codec)), GREY16 >> 8)
    np.testing.assert_array_equal(tiff.colours(by_pillow(RGB, codec), "x"), RGB)


@pytest.mark.parametrize("codec", ["tiff_lzw", "tiff_adobe_deflate"])
@pytest.mark.parametrize("pixels", [GREY, GREY16, RGB], ids=["grey", "grey16", "rgb"])
def test_differences_of_neighbours(codec: str, pixels: np.ndarray) -> None:
    encoded = by_pillow(pixels, codec, tiffinfo={317: 2})
    expected = pixels >> 8 if pixels.dtype == np.uint16 else pixels
    np.testing.assert_array_equal(tiff.colours(encoded, "x"), expected)


@pytest.mark.parametrize(("mode", "pixels"), [("L", GREY), ("RGB", RGB), ("YCbCr", RGB)])
@pytest.mark.parametrize("strip_size", [600, 100_000])
def test_jpeg_blocks(mode: str, pixels: np.ndarray, strip_size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("PIL.TiffImagePlugin.STRIP_SIZE", strip_size)
    encoded = by_pillow(Image.fromarray(pixels).convert(mode), "jpeg", quality=95)
    assert np.abs(tiff.colours(encoded, "x").astype(int) - pixels).max() <= 20
    expected = luma(pixels) if pixels.ndim == 3 else pixels
    assert np.abs(read_image(encoded) - expected.astype(float)).max() <= 8


def test_jpeg_blocks_without_tables_of_their_own() -> None:
    block = cv2.imencode(".jpg", GREY)[1].tobytes()
    encoded = tiff_of([block], tags_of(GREY, compression=7))
    np.testing.assert_array_equal(read_image(encoded), read_image(block))


@pytest.mark.parametrize("pixels", [GREY, GREY16, RGB], ids=["grey", "grey16", "rgb"])
@pytest.mark.parametrize("compression", [1, 8])
def test_tiles(pixels: np.ndarray, compression: int) -> None:
    tiles, tags = tiles_of(pixels)
    blocks = [zlib.compress(tile.tobytes()) if compression == 8 else tile.tobytes() for tile in tiles]
    encoded = tiff_of(blocks, {**tags, 259: (SHORT, [compression])})
    np.testing.assert_array_equal(read_image(encoded), read_image(plain(pixels)))


@pytest.mark.parametrize("pixels", [RGB, RGB16], ids=["8", "16"])
def test_separate_planes(pixels: np.ndarray) -> None:
    planes = [pixels[..., sample].tobytes() for sample in range(3)]
    encoded = tiff_of(planes, tags_of(pixels, planar=2))
    np.testing.assert_array_equal(read_image(encoded), read_image(plain(pixels)))


@pytest.mark.parametrize("bits", [1, 2, 4])
@pytest.mark.parametrize("width", [53, 8])
def test_few_bits(bits: int, width: int) -> None:
    levels = np.random.default_rng(1).integers(0, 1 << bits, (9, width)).astype(np.uint8)
    singles = np.unpackbits(levels[..., None], axis=2)[..., 8 - bits :].reshape(9, -1)
    encoded = tiff_of([np.packbits(singles, axis=1).tobytes()], tags_of(levels, bits=bits))
    np.testing.assert_array_equal(read_image(encoded), levels * (255 // ((1 << bits) - 1)))


def test_white_is_zero() -> None:
    np.testing.assert_array_equal(read_image(plain(GREY, photometric=0)), 255 - GREY)
    # A 12-bit negative stays within the 12 bits that it needs.
    twelve = np.array([[0, 2048, 4095]], np.uint16)
    np.testing.assert_array_equal(read_image(plain(twelve, photometric=0)), [[255, 127, 0]])


@pytest.mark.parametrize("scale", [1, 257])
def test_palettes_of_8_and_of_16_bits(scale: int) -> None:
    colours = np.random.default_rng(2).integers(0, 256, (256, 3))
    tags = {**tags_of(GREY, photometric=3), PALETTE: (SHORT, (colours.T * scale).ravel().tolist())}
    np.testing.assert_array_equal(tiff.colours(tiff_of([GREY.tobytes()], tags), "x"), colours[GREY])


@pytest.mark.parametrize("pixels", [GREY, GREY16, RGB, RGB16], ids=["8", "16", "rgb", "rgb16"])
@pytest.mark.parametrize("extra", [0, 1, 2])
def test_alpha_is_dropped(pixels: np.ndarray, extra: int) -> None:
    alpha = np.arange(53, dtype=pixels.dtype)[None].repeat(37, axis=0)
    samples = np.dstack([pixels, alpha])
    tags = {**tags_of(samples), EXTRA: (SHORT, [extra])}
    encoded = tiff_of([samples.tobytes()], tags)
    np.testing.assert_array_equal(read_image(encoded), read_image(plain(pixels)))


@pytest.mark.parametrize("kind", ["i1", "i2", "i4", "u4", "f2", "f4", "f8"])
def test_other_values_are_seen_through_a_window(kind: str) -> None:
    values = (np.random.default_rng(3).normal(0, 40, (37, 53)).astype(np.int8)).astype(kind)
    expected = to_grey(values, *percentile_window(values))
    np.testing.assert_array_equal(read_image(plain(values)), expected)
    np.testing.assert_array_equal(read_image(plain(values, ">")), expected)
    negative = -values.astype(np.float64)
    expected = to_grey(negative, *percentile_window(negative))
    np.testing.assert_array_equal(read_image(plain(values, photometric=0)), expected)


def test_a_negative_is_turned_before_its_window_is_taken() -> None:
    picture = np.pad(np.tile(np.arange(100, dtype=np.float32), (4, 1)), 30)
    picture[:2] = np.nan
    expected = read_image(plain(picture))
    np.testing.assert_array_equal(read_image(plain(5000 - picture, photometric=0)), expected)
    assert not expected[:30].any()
    assert 120 < expected[31, 80] < 136


def test_16_bit_colour_is_the_same_as_in_png() -> None:
    blue = np.zeros((4, 8, 3), np.uint16)
    blue[..., 2] = np.linspace(0, 4095, 32).reshape(4, 8)
    for pixels in (RGB16, blue):
        png = cv2.imencode(".png", pixels[..., ::-1])[1].tobytes()
        np.testing.assert_array_equal(read_image(plain(pixels)), read_image(png))


def test_float_values_that_are_no_numbers() -> None:
    values = np.array([[np.nan, -np.inf, 0, 1, 2, np.inf]], np.float32)
    assert read_image(plain(values)).tolist() == [[0, 0, 0, 0, 255, 255]]


def test_orientation_is_ignored() -> None:
    for orientation in range(1, 9):
        np.testing.assert_array_equal(read_image(plain(GREY, orientation=orientation)), GREY)


def refusal(data: bytes) -> str:
    with pytest.raises(ReadError) as caught:
        read_image(data)
    assert caught.value.found.startswith("<bytes>")
    assert caught.value.expected
    assert caught.value.fix
    return caught.value.found


def test_pages_are_counted_and_previews_are_none() -> None:
    strip, tags = GREY.tobytes(), tags_of(GREY)
    assert "3 pages" in refusal(tiff_of([strip], tags, pages=3))
    assert "1000 or more pages" in refusal(tiff_of([strip], tags, pages=1002))
    preview = {**tags, SUBFILE: (LONG, [1])}
    np.testing.assert_array_equal(read_image(tiff_of([strip], preview, pages=2)), GREY)


def test_pages_in_a_circle() -> None:
    whole = bytearray(plain(GREY))
    whole[-4:] = whole[4:8]
    assert "circle" in refusal(bytes(whole))


def test_no_page_at_all() -> None:
    assert "no page" in refusal(b"II*\0" + bytes(100))


def test_big_tiff_is_named() -> None:
    assert "BigTIFF" in refusal(b"II+\0\x08\0\0\0" + bytes(50))
    assert "BigTIFF" in refusal(b"MM\0+\0\x08\0\0" + bytes(50))


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"compression": 4}, "number 4"),
        ({"compression": 6}, "number 6"),
        ({"photometric": 5}, "photometric interpretation 5"),
        ({"photometric": 6}, "photometric interpretation 6"),
        ({"bits": 12}, "12 bits"),
        ({"sample_format": 4}, "sample format 4"),
        ({"predictor": 3}, "predictor"),
        ({"samples": 0}, "0 values"),
        ({"photometric": 2}, "1 values"),
        ({"photometric": 3}, "palette"),
        ({"photometric": 3, "bits": 16}, "16 bits"),
        ({"compression": 7, "bits": 16}, "16 bits"),
        ({"compression": 7}, "no JPEG"),
        ({"rows": 5}, "1 blocks of 1 lengths instead of 8"),
        ({"rows": 0}, "instead of 0"),
        ({"height": 0}, "53 x 0 pixels"),
        ({"width": 0}, "0 x 37 pixels"),
        ({"height": 60_000, "width": 60_000}, "60000 x 60000 pixels"),
        ({"height": 38, "rows": 38}, "block 1 of 1: the TIFF is cut off"),
    ],
)
def test_what_is_not_read(changed: dict[str, int], says: str) -> None:
    assert says in refusal(plain(GREY, **changed))


@pytest.mark.parametrize(
    ("tags", "says"),
    [
        ({FILL_ORDER: (SHORT, [2])}, "reverse order"),
        ({BITS: (SHORT, [8, 8])}, "2 values for 1 samples"),
        ({256: (SHORT, [53, 53])}, "2 values instead of 1"),
        ({256: (2, [53])}, "type 2"),
        ({STRIP_BYTES: (LONG, [0])}, "cut off"),
        ({STRIPS: (LONG, [2**31])}, "cut off"),
        ({STRIPS: (LONG, [8] * 1_000_001)}, "1,000,001 values"),
        ({BITS: (SHORT, [8] * 2_000), 277: (LONG, [2_000])}, "2,000 values"),
        ({JPEG_TABLES: (LONG, [256])}, "tag 347 is of type 4"),
        ({JPEG_TABLES: (7, bytes(70_000))}, "70,000 values"),
        ({PALETTE: (LONG, [65_536] * 768), 262: (SHORT, [3])}, "tag 320 is of type 4"),
    ],
)
def test_damaged_tags(tags: Tags, says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(FORMS, 2, "B")
    assert says in refusal(tiff_of([GREY.tobytes()], {**tags_of(GREY), **tags}))


def test_samples_of_several_depths() -> None:
    tags = {**tags_of(RGB), BITS: (SHORT, [5, 6, 5])}
    assert "differ" in refusal(tiff_of([RGB.tobytes()], tags))


def test_a_directory_without_end() -> None:
    assert "65535 tags" in refusal(b"II*\0\x08\0\0\0\xff\xff" + bytes(12 * 65535 + 4))


@pytest.mark.parametrize("side", [0, 1, 8192])
def test_tiles_of_impossible_sides(side: int) -> None:
    tags = {**tags_of(GREY), TILE_WIDTH: (LONG, [side]), TILE_HEIGHT: (LONG, [16])}
    assert f"tiles of {side} x 16" in refusal(tiff_of([GREY.tobytes()], tags))


def test_tiles_much_larger_than_their_picture() -> None:
    tags = tags_of(np.zeros((1, 65_535), np.uint8), compression=5)
    tags |= {TILE_WIDTH: (LONG, [4096]), TILE_HEIGHT: (LONG, [4096])}
    assert "much larger than its picture" in refusal(tiff_of([b"\x80"] * 16, tags))
    low = {**tags, TILE_HEIGHT: (LONG, [256]), 259: (SHORT, [8])}
    tile = zlib.compress(bytes(256 * 4096))
    assert read_image(tiff_of([tile] * 16, low)).shape == (1, 65_535)


def test_no_pixel_is_decoded_before_the_size_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiff, "values_of", lambda *_: pytest.fail("the pixels were decoded"))
    assert "9000 x 9000" in refusal(plain(GREY, height=9000, width=9000))


@pytest.mark.parametrize("size", [(60, 53), (37, 53)])
def test_jpeg_blocks_of_another_size(size: tuple[int, int]) -> None:
    block = cv2.imencode(".jpg", np.zeros(size, np.uint8))[1].tobytes()
    assert "instead of 50 x 37" in refusal(tiff_of([block], tags_of(GREY[:, :50], compression=7)))
    cut = cv2.imencode(".jpg", GREY)[1].tobytes()[:-10]
    assert "block 1 of 1: the JPEG is cut off" in refusal(tiff_of([cut], tags_of(GREY, compression=7)))


@pytest.mark.parametrize("compression", [1, 8])
def test_a_last_strip_that_is_filled_up(compression: int) -> None:
    rows = np.zeros((40, 53), np.uint8)
    rows[:37] = GREY
    strips = [rows[top : top + 10].tobytes() for top in range(0, 40, 10)]
    blocks = list(map(zlib.compress, strips)) if compression == 8 else strips
    encoded = tiff_of(blocks, tags_of(GREY, compression=compression, rows=10))
    np.testing.assert_array_equal(read_image(encoded), GREY)


def test_bombs_stop_at_the_length_that_the_tags_give() -> None:
    bomb = zlib.compress(bytes(100_000_000))
    assert "damaged" in refusal(tiff_of([bomb], tags_of(GREY, compression=8)))
    assert len(packbits(bytes([129, 7]) * 1_000_000, 500, 500)) == 500
    clears = np.packbits(np.tile(np.array([1, *[0] * 8], np.uint8), 80_000)).tobytes()
    with pytest.raises(ValueError, match="damaged"):
        lzw(clears, 100_000, 100_000)


WHOLE_FILES: dict[str, bytes] = {
    "plain": plain(GREY[:9, :11]),
    "big_end": plain(GREY16[:9, :11], ">"),
    "colour": plain(RGB[:9, :11]),
    "tiled": tiff_of([tile.tobytes() for tile in tiles_of(GREY[:20, :17])[0]], tiles_of(GREY[:20, :17])[1]),
    "float": plain(GREY[:9, :11].astype(np.float32)),
    "jpeg": by_pillow(GREY[:16, :16], "jpeg"),
    **{codec: by_pillow(GREY[:9, :11], codec) for codec in CODECS},
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
    whole = WHOLE_FILES[name]
    for place in range(len(whole)):
        for flip in (0x01, 0x80, 0xFF):
            damaged = bytearray(whole)
            damaged[place] ^= flip
            picture_or_refusal(bytes(damaged))
    # libjpeg tells of its own what it makes of a damaged JPEG.
    assert name == "jpeg" or capfd.readouterr() == ("", "")


def test_a_flip_in_deflated_pixels_is_noticed(
    picture_or_refusal: Refusing,
) -> None:
    block = zlib.compress(GREY.tobytes())
    for place in range(len(block)):
        damaged = bytearray(block)
        damaged[place] ^= 64
        image = picture_or_refusal(tiff_of([damaged], tags_of(GREY, compression=8)))
        # Some bits of the last bytes mean nothing.
        assert image is None or np.array_equal(image, GREY)


@settings(max_examples=200)
@given(st.sampled_from(sorted(WHOLE_FILES)), st.data())
def test_any_damage_gives_a_picture_or_a_read_error(
    picture_or_refusal: Refusing, name: str, data: st.DataObject
) -> None:
    damaged = bytearray(WHOLE_FILES[name])
    for _ in range(data.draw(st.integers(1, 5))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    picture_or_refusal(bytes(damaged))


@given(st.sampled_from([b"II*\0", b"MM\0*", b"II*\0\x08\0\0\0", b"MM\0*\0\0\0\x08"]), st.binary(max_size=300))
def test_any_bytes_give_a_picture_or_a_read_error(
    picture_or_refusal: Refusing, head: bytes, rest: bytes
) -> None:
    picture_or_refusal(head + rest)


def lzw_by_pillow(pixels: np.ndarray) -> bytes:
    return by_pillow(pixels, "tiff_lzw")


@given(arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=40)))
@pytest.mark.parametrize("encode", [lzw_by_pillow, lambda pixels: by_pillow(pixels, "packbits"), plain])
def test_any_picture_comes_back(encode: Callable[[np.ndarray], bytes], pixels: np.ndarray) -> None:
    np.testing.assert_array_equal(read_image(encode(pixels)), pixels)


@pytest.mark.parametrize("levels", [1, 2, 256])
def test_long_lzw_with_full_tables(levels: int) -> None:
    pixels = np.random.default_rng(4).integers(0, levels, (300, 400)).astype(np.uint8)
    np.testing.assert_array_equal(read_image(lzw_by_pillow(pixels)), pixels)

"""The two forms of a spec agree: OpenCV's on the decoded picture, TensorFlow's on the encoded one."""

import io
import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mri_tumor.dataset import preprocess_graph
from mri_tumor.dataset.preprocess import Preprocess
from mri_tumor.dataset.reader import read_image
from mri_tumor.errors import ArgumentError, ReadError

logger = logging.getLogger(__name__)

SPECS = {
    "default": Preprocess(size=64),
    "plain": Preprocess(size=64, crop=False, window=None),
    "crop": Preprocess(size=64, window=None, fit="letterbox"),
    "letterbox": Preprocess(size=64, fit="letterbox"),
    "large": Preprocess(size=300, threshold=60, coverage=20, window=90),
}
SIZES = [(64, 64), (97, 83), (83, 200), (300, 301), (128, 128), (30, 20), (129, 64), (65, 150)]
GRAPHS = {name: spec.graph() for name, spec in SPECS.items()}


def head(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Return a uint8 (H, W, 3) picture: a coloured, textured ellipse on almost black."""
    rng = np.random.default_rng(seed)
    picture = rng.integers(0, 9, (height, width, 3), dtype=np.uint8)
    axes = (max(1, width // 3), max(1, height // 3))
    cv2.ellipse(picture, (width // 2, height // 2), axes, 20, 0, 360, (90, 150, 60), -1)
    texture = cv2.GaussianBlur(rng.normal(0, 99, (height, width, 3)).astype(np.float32), (0, 0), 1.5)
    return np.clip(picture + texture * (picture > 9), 0, 255).astype(np.uint8)


def encode(image: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def with_alpha(image: Image.Image) -> Image.Image:
    image = image.copy()
    image.putalpha(image.convert("L"))
    return image


def of_12_bits(image: Image.Image) -> Image.Image:
    return Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 16 + 7)


def colour_of_16_bits(image: Image.Image) -> bytes:
    values = np.asarray(image).astype(np.uint16) * 129
    return cv2.imencode(".png", values)[1].tobytes()


ENCODERS: dict[str, Callable[[Image.Image], bytes]] = {
    "jpeg grey": lambda image: encode(image.convert("L"), "JPEG"),
    "jpeg colour": lambda image: encode(image, "JPEG"),
    "jpeg colour, not subsampled": lambda image: encode(image, "JPEG", subsampling=0, quality=95),
    "jpeg stored as RGB": lambda image: encode(image, "JPEG", keep_rgb=True),
    "jpeg progressive": lambda image: encode(image, "JPEG", progressive=True, quality=40),
    "png grey": lambda image: encode(image.convert("L"), "PNG"),
    "png colour": lambda image: encode(image, "PNG"),
    "png RGBA": lambda image: encode(with_alpha(image), "PNG"),
    "png grey with alpha": lambda image: encode(image.convert("LA"), "PNG"),
    "png palette": lambda image: encode(image.quantize(64), "PNG"),
    "png palette, transparent": lambda image: encode(image.quantize(16), "PNG", transparency=3),
    "png 1 bit": lambda image: encode(image.convert("1"), "PNG"),
    "png 16 bits": lambda image: encode(of_12_bits(image), "PNG"),
    "png 16 bits colour": colour_of_16_bits,
}


def difference(name: str, encoded: bytes) -> int:
    """Return the largest difference, in grey levels, between the two forms of spec `name`."""
    expected = SPECS[name](read_image(encoded)).astype(int)
    found = GRAPHS[name](encoded)
    assert found.dtype == tf.uint8
    assert found.shape == expected.shape
    return int(np.abs(found.numpy() - expected).max())


@pytest.mark.parametrize("kind", ENCODERS)
def test_both_decode_the_same_grey(kind: str) -> None:
    encoded = ENCODERS[kind](Image.fromarray(head(97, 83)))
    np.testing.assert_array_equal(preprocess_graph.decode(encoded), read_image(encoded))


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize(("seed", "size"), list(enumerate(SIZES)))
def test_both_forms_agree_on_many_sizes(name: str, seed: int, size: tuple[int, int]) -> None:
    picture = Image.fromarray(head(*size, seed))
    assert max(difference(name, ENCODERS[kind](picture)) for kind in ("jpeg colour", "png colour")) <= 2


@pytest.mark.parametrize("name", SPECS)
@pytest.mark.parametrize("kind", ENCODERS)
def test_both_forms_agree_on_every_kind_of_file(name: str, kind: str) -> None:
    assert difference(name, ENCODERS[kind](Image.fromarray(head(97, 83)))) <= 2


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(0, 99), st.sampled_from(sorted(SPECS)))
def test_both_forms_agree_on_noise_of_any_size(height: int, width: int, seed: int, name: str) -> None:
    image = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    assert difference(name, cv2.imencode(".png", image)[1].tobytes()) <= 2


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("shape", [(1, 1), (1, 500), (500, 1), (2000, 3), (3, 2000), (64, 64), (200, 300)])
@pytest.mark.parametrize("level", [0, 10, 11, 128, 255])
def test_both_forms_agree_on_degenerate_pictures(shape: tuple[int, int], level: int, suffix: str) -> None:
    encoded = cv2.imencode(suffix, np.full(shape, level, np.uint8))[1].tobytes()
    for name in SPECS:
        assert difference(name, encoded) <= 2


def test_decisions_are_the_same_to_the_pixel() -> None:
    """Without resizing nothing may differ: box and window are whole numbers in both."""
    spec = Preprocess(size=50, fit="letterbox")
    graph = spec.graph()
    for seed in range(20):
        image = np.pad(np.maximum(head(50, 40, seed)[..., 1], 60), 20)
        encoded = cv2.imencode(".png", image)[1].tobytes()
        expected = spec(image)
        assert expected.any(axis=(1, 2)).all()  # cropped to its 50 rows
        np.testing.assert_array_equal(graph(encoded), expected)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.booleans(), min_size=1, max_size=200), st.lists(st.booleans(), min_size=1, max_size=200))
def test_both_find_the_same_box_in_any_pattern(rows: list[bool], columns: list[bool]) -> None:
    """Stripes of light rows and columns: runs, gaps and frames as chance gives them."""
    image = np.where(np.array(rows)[:, np.newaxis] & np.array(columns), 200, 3).astype(np.uint8)
    assert difference("crop", cv2.imencode(".png", image)[1].tobytes()) <= 2


def test_clahe_has_no_twin() -> None:
    with pytest.raises(ArgumentError, match="clahe is"):
        Preprocess(clahe=2).graph()


def test_the_graph_refuses_what_is_no_whole_picture() -> None:
    jpeg = ENCODERS["jpeg grey"](Image.fromarray(head(97, 83)))
    png = ENCODERS["png grey"](Image.fromarray(head(97, 83)))
    cmyk = encode(Image.fromarray(head(97, 83)).convert("CMYK"), "JPEG")
    for encoded in (b"", b"text", b"GIF89a", jpeg[:-99], png[:-99], jpeg[:20], png[:20], cmyk):
        with pytest.raises(ReadError):
            read_image(encoded)
        with pytest.raises(tf.errors.InvalidArgumentError):
            GRAPHS["default"](encoded)


@pytest.mark.parametrize("side", [60_000, 2_000_000])
def test_the_graph_refuses_huge_headers_before_decoding(side: int) -> None:
    png = bytearray(ENCODERS["png grey"](Image.fromarray(head(97, 83))))
    png[16:24] = side.to_bytes(4, "big") * 2
    with pytest.raises(tf.errors.InvalidArgumentError, match="larger than"):
        GRAPHS["default"](bytes(png))
    jpeg = ENCODERS["jpeg grey"](Image.fromarray(head(97, 83)))
    frame = jpeg.index(b"\xff\xc0") + 5
    huge = jpeg[:frame] + (60_000).to_bytes(2, "big") * 2 + jpeg[frame + 4 :]
    with pytest.raises(tf.errors.InvalidArgumentError, match="larger than"):
        GRAPHS["default"](huge)


def mixed_batch() -> list[bytes]:
    pictures = [Image.fromarray(head(*size, seed)) for seed, size in enumerate(SIZES)]
    return [encoder(picture) for encoder, picture in zip(ENCODERS.values(), pictures, strict=False)]


def mapped(spec: Preprocess) -> Callable[[Any], Any]:
    graph = spec.graph()
    shape = tf.TensorSpec([spec.size, spec.size, 1], tf.uint8)
    return lambda encoded: tf.map_fn(graph, encoded, fn_output_signature=shape)


def test_inside_map_fn() -> None:
    batch, spec = mixed_batch(), SPECS["default"]
    found = tf.function(mapped(spec))(tf.constant(batch))
    np.testing.assert_array_equal(found, [GRAPHS["default"](encoded) for encoded in batch])


def test_inside_tf_data() -> None:
    batch = mixed_batch()
    found = tf.data.Dataset.from_tensor_slices(batch).map(SPECS["default"].graph()).batch(len(batch))
    assert found.element_spec.shape[1:] == (64, 64, 1)
    np.testing.assert_array_equal(next(iter(found)), [GRAPHS["default"](encoded) for encoded in batch])


def test_inside_a_saved_model(tmp_path: Path) -> None:
    batch, spec = mixed_batch(), SPECS["default"]
    module = tf.Module()
    module.serve = tf.function(mapped(spec), input_signature=[tf.TensorSpec([None], tf.string)])
    tf.saved_model.save(module, str(tmp_path), signatures=module.serve)
    served = tf.saved_model.load(str(tmp_path)).signatures["serving_default"]
    (found,) = served(tf.constant(batch)).values()
    np.testing.assert_array_equal(found, [GRAPHS["default"](encoded) for encoded in batch])
    assert b"PyFunc" not in (tmp_path / "saved_model.pb").read_bytes()


def largest_difference(spec: Preprocess, paths: Iterable[Path]) -> int:
    graph, largest = spec.graph(), 0
    for path in paths:
        encoded = path.read_bytes()
        found = graph(encoded).numpy().astype(int)
        largest = max(largest, int(np.abs(found - spec(read_image(encoded))).max()))
        assert largest <= 2, path
    return largest


@pytest.mark.realdata
def test_both_forms_agree_on_a_few_real_pictures(shared: Path) -> None:
    sartaj = sorted((shared / "data" / "sartaj").rglob("*.jpg"))
    assert largest_difference(Preprocess(), sartaj[::60]) <= 2


@pytest.mark.realdata
@pytest.mark.slow
def test_both_forms_agree_on_all_real_pictures(shared: Path) -> None:
    sartaj = sorted((shared / "data" / "sartaj").rglob("*.jpg"))
    figshare = sorted((shared / "data" / "figshare").rglob("*.jpg"))[::10]
    assert (len(sartaj), len(figshare)) == (3264, 307)
    logger.info("largest difference: %d grey levels", largest_difference(Preprocess(), [*sartaj, *figshare]))

"""The twin of `Preprocess` in TensorFlow operations alone: what a SavedModel runs on encoded pictures."""

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from mri_tumor.dataset.formats import jpeg, png
from mri_tumor.dataset.framing import GAP, STEP
from mri_tumor.dataset.preprocess import Preprocess
from mri_tumor.dataset.reader import MAX_PIXELS, MAX_SIDE
from mri_tumor.dataset.window import WINDOW_FLOOR, WINDOW_TOP

# .299, .587 and .114 in 15 bits: what OpenCV's own conversion to grey uses.
_LUMA = (9798, 19235, 3735)


def build(spec: Preprocess) -> Callable[..., Any]:
    """Return `spec` as a `tf.function`: scalar string -> uint8 (size, size, 1)."""

    def preprocess(encoded: Any) -> Any:
        image = decode(encoded)
        table = tf.range(256, dtype=tf.int64) if spec.window is None else _window_table(image, spec.window)
        if spec.crop:
            threshold = tf.reduce_sum(tf.cast(table <= spec.threshold, tf.int32)) - 1
            image = _crop(image, threshold, spec.coverage)
        windowed = tf.gather(tf.cast(table, tf.float32), tf.cast(image, tf.int32))
        return _fitted(windowed, spec.size, keep_proportions=spec.fit == "letterbox")

    signature = [tf.TensorSpec([], tf.string, name="image")]
    traced: Callable[..., Any] = tf.function(preprocess, input_signature=signature, autograph=False)
    return traced


def decode(encoded: Any) -> Any:
    """Return the grey picture of a JPEG's or PNG's bytes, uint8 (H, W), as `read_image` does."""
    is_jpeg = tf.strings.substr(encoded, 0, len(jpeg.MAGIC)) == jpeg.MAGIC
    is_png = tf.strings.substr(encoded, 0, len(png.MAGIC)) == png.MAGIC
    known = tf.debugging.Assert(is_jpeg | is_png, ["The bytes are not a JPEG or PNG file."])
    with tf.control_dependencies([known]):
        return tf.cond(is_jpeg, lambda: _decode_jpeg(encoded), lambda: _decode_png(encoded))


def _decode_jpeg(encoded: Any) -> Any:
    shape = tf.image.extract_jpeg_shape(encoded, output_type=tf.int64)
    with tf.control_dependencies([_small_enough(shape[0], shape[1])]):
        # The slow accurate transform is the one that OpenCV uses.
        return tf.image.decode_jpeg(encoded, channels=1, dct_method="INTEGER_ACCURATE")[..., 0]


def _decode_png(encoded: Any) -> Any:
    header = tf.cast(tf.io.decode_raw(tf.strings.substr(encoded, 16, 9), tf.uint8), tf.int64)
    places = tf.constant([1 << 24, 1 << 16, 1 << 8, 1], tf.int64)
    width, height = tf.reduce_sum(header[0:4] * places), tf.reduce_sum(header[4:8] * places)
    with tf.control_dependencies([_small_enough(height, width)]):
        return tf.cond(header[8] == 16, lambda: _png_of_16_bits(encoded), lambda: _png_of_8_bits(encoded))


def _small_enough(height: Any, width: Any) -> Any:
    within = (height * width <= MAX_PIXELS) & (tf.maximum(height, width) <= MAX_SIDE)
    limits = f"The picture is larger than {MAX_PIXELS} pixels, or than {MAX_SIDE} a side: height, width"
    return tf.debugging.Assert(within, [limits, height, width])


def _png_of_8_bits(encoded: Any) -> Any:
    return tf.cast(_luma(tf.image.decode_png(encoded, channels=3)), tf.uint8)


def _png_of_16_bits(encoded: Any) -> Any:
    """Keep the upper 8 of the bits that the highest value needs."""
    grey = _luma(tf.image.decode_png(encoded, channels=3, dtype=tf.uint16))
    limits = tf.constant([1 << bits for bits in range(8, 16)], tf.int32)
    shift = tf.reduce_sum(tf.cast(tf.reduce_max(grey) >= limits, tf.int32))
    return tf.cast(tf.bitwise.right_shift(grey, shift), tf.uint8)


def _luma(colours: Any) -> Any:
    """Return int32 (H, W) of RGB values up to 16 bits; equal channels stay as they are."""
    red, green, blue = tf.unstack(tf.cast(colours, tf.int32), axis=-1)
    weighted = red * _LUMA[0] + green * _LUMA[1] + blue * _LUMA[2]
    return tf.bitwise.right_shift(weighted + (1 << 14), 15)


def _crop(image: Any, threshold: Any, coverage: int) -> Any:
    mask = tf.cast(tf.cast(image[::STEP, ::STEP], tf.int32) > threshold, tf.int64)
    shape = tf.shape(mask, out_type=tf.int64)
    rows = tf.reduce_sum(mask, axis=1) * 100 >= coverage * shape[1]
    columns = tf.reduce_sum(mask, axis=0) * 100 >= coverage * shape[0]
    found = tf.reduce_any(rows) & tf.reduce_any(columns)
    top, bottom = _longest_run(rows | ~found)
    left, right = _longest_run(columns | ~found)
    # Beyond the picture's end a slice just stops.
    return image[STEP * top : STEP * bottom, STEP * left : STEP * right]


def _longest_run(hits: Any) -> tuple[Any, Any]:
    """Return (start, end) of the longest run of True; there is at least one."""
    places = tf.where(hits)[:, 0]
    most = tf.maximum(_int64(2), tf.size(hits, out_type=tf.int64) // GAP)
    breaks = places[1:] - places[:-1] > most
    starts = tf.boolean_mask(places, tf.concat([[True], breaks], 0))
    ends = tf.boolean_mask(places, tf.concat([breaks, [True]], 0))
    longest = tf.argmax(ends - starts)
    return starts[longest], ends[longest] + 1


def _window_table(image: Any, percentile: int) -> Any:
    levels = tf.range(256, dtype=tf.int64)
    sample = tf.cast(image[::STEP, ::STEP], tf.int32)
    counts = tf.math.bincount(sample, minlength=256, maxlength=256, dtype=tf.int64)
    below = tf.cumsum(tf.where(levels > WINDOW_FLOOR, counts, _int64(0)))
    reached = tf.cast(below * 100 >= percentile * below[-1], tf.int32)
    # Without a pixel above the floor there is nothing to bring to the top: level = top is the identity.
    level = tf.where(below[-1] > 0, tf.argmax(reached), _int64(WINDOW_TOP))
    return tf.minimum(_int64(255), (levels * WINDOW_TOP + level // 2) // level)


def _fitted(image: Any, size: int, *, keep_proportions: bool) -> Any:
    shape = tf.shape(image, out_type=tf.int64)
    new = tf.constant([size, size], tf.int64)
    if keep_proportions:
        longest = tf.reduce_max(shape)
        new = tf.maximum((2 * shape * size + longest) // (2 * longest), _int64(1))
    shrinks = tf.reduce_all(new <= shape)
    rows, columns = _kernel(shape[0], new[0], shrinks), _kernel(shape[1], new[1], shrinks)
    resized = rows @ image @ tf.transpose(columns)
    rounded = tf.cast(tf.clip_by_value(tf.round(resized), 0, 255), tf.uint8)
    before = (size - new) // 2
    padded = tf.pad(rounded, tf.stack([before, size - new - before], axis=1))
    return tf.ensure_shape(padded, [size, size])[..., tf.newaxis]


def _kernel(length: Any, new: Any, shrinks: Any) -> Any:
    """Return the weights, float32 (new, length), that make `new` pixels of `length` ones.

    Area: the share of each old pixel in each new one. Linear: between the centres of the two nearest pixels.
    Both are counted in whole numbers (an old pixel is `new` long, a new one `length`): nothing drifts.
    """
    old = tf.range(length)[tf.newaxis, :]
    cell = tf.range(new)[:, tf.newaxis]
    overlap = tf.minimum((old + 1) * new, (cell + 1) * length) - tf.maximum(old * new, cell * length)
    centre = tf.clip_by_value((2 * cell + 1) * length - new, 0, 2 * new * (length - 1))
    closeness = 2 * new - tf.abs(2 * new * old - centre)
    weight = tf.maximum(_int64(0), tf.where(shrinks, overlap, closeness))
    return tf.cast(weight, tf.float32) / tf.cast(tf.where(shrinks, length, 2 * new), tf.float32)


def _int64(value: int) -> Any:
    return tf.constant(value, tf.int64)

"""Preprocess: window, crop to the head, letterbox; one frozen spec for OpenCV and TensorFlow alike."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from mri_tumor.errors import ArgumentError
from mri_tumor.files import digest_of

Grey = npt.NDArray[np.uint8]

# The meaning of the fields. It goes up when the same fields would give other pixels, so that digests differ.
_VERSION = 1

WINDOW_FLOOR = 10
"""Pixels up to this grey level are background and do not count for the window."""

WINDOW_TOP = 230
"""The grey level that the window's percentile is brought to; what lies above runs on, clipped at 255."""

_LIMITS = {"size": (1, 4096), "threshold": (0, 254), "coverage": (1, 100), "window": (1, 100)}
_IDENTITY = np.arange(256, dtype=np.uint8)
_SCALED_LEVELS = np.arange(256) * WINDOW_TOP
# Above this many pixels OpenCV's float32 histogram can no longer count exactly.
_EXACT_HISTOGRAM = 2**24


@dataclasses.dataclass(frozen=True)
class Preprocess:
    """What is done to every picture, in training, at the client and in the exported model.

    1. *Window*: the grey level that `window` percent of the pixels above 10 do not exceed is brought to 230,
       the others in proportion, clipped at 255. Every second row is counted: half the work, the same level.
    2. *Crop* to the box from the first to the last row, and column, in which at least `coverage` percent
       of the pixels are then brighter than `threshold`; the whole picture when there is none.
    3. *Letterbox*: the longer side becomes `size`, the shorter one in proportion; area kernel when both sides
       shrink, linear otherwise; centred on black.

    Every decision is made in whole numbers, so that OpenCV and TensorFlow make the same one; only the
    resizing rounds differently, by at most 2 grey levels.

    Args:
        size: height and width of the result, 1-4096 pixels.
        crop: whether to crop to the head.
        threshold: grey level, 0-254, above which a pixel counts as head. It applies to the windowed picture,
            so that a darker copy is cropped alike.
        coverage: percentage, 1-100, of such pixels that a row or column of the head has.
        window: percentile, 1-100, or None for no window.

    Raises:
        ArgumentError: a value is of the wrong type or out of range.

    >>> spec = Preprocess(size=4, crop=False, window=None)
    >>> spec(np.full((2, 4), 7, np.uint8))[..., 0]
    array([[0, 0, 0, 0],
           [7, 7, 7, 7],
           [7, 7, 7, 7],
           [0, 0, 0, 0]], dtype=uint8)
    >>> Preprocess.from_dict(spec.to_dict()) == spec
    True
    """

    # Chosen on grouped folds of public training pictures, frozen MobileNetV2 0.35 and logistic regression,
    # every row counted for the window: .842 with a coverage of 8 percent, .835 with 2, .846 for whole
    # pictures without a window. The crop is kept because whole pictures show how they were framed.
    size: int = 224
    crop: bool = True
    threshold: int = 40
    coverage: int = 8
    window: int | None = 99

    def __post_init__(self) -> None:
        if not isinstance(self.crop, bool):
            raise ArgumentError(f"crop is {self.crop!r}", "True or False", "pass crop=True")
        for name, (low, high) in _LIMITS.items():
            value = getattr(self, name)
            if name == "window" and value is None:
                continue
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                found = f"{name} is {value!r}"
                raise ArgumentError(found, f"a whole number from {low} to {high}", f"leave {name} out")

    def __call__(self, image: Grey) -> Grey:
        """Preprocess one picture with OpenCV.

        Args:
            image: uint8 (H, W), 0-255, as `read_image` gives it.

        Returns:
            uint8 (size, size, 1), 0-255.

        Raises:
            ArgumentError: `image` is not a uint8 array of two dimensions with at least one pixel.
        """
        image = _checked(image)
        table = _IDENTITY if self.window is None else window_table(histogram(image[::2]), self.window)
        if self.crop:
            threshold = level_before(table, self.threshold)
            top, bottom, left, right = head_box(image, threshold=threshold, coverage=self.coverage)
            image = image[top:bottom, left:right]
        if self.window is not None:
            image = np.asarray(cv2.LUT(image, table), np.uint8)
        return letterbox(image, self.size)[..., np.newaxis]

    def graph(self) -> Callable[..., Any]:
        """Return the same steps as a TensorFlow function of encoded bytes: an exported model begins with it.

        Returns:
            a function of a scalar string tensor (a JPEG or PNG file's bytes) that gives a uint8 tensor
            (size, size, 1). It can be used in `tf.map_fn`, `tf.data` and a SavedModel. Bytes that are not a
            JPEG or PNG, are damaged, or exceed `reader.MAX_PIXELS` raise `tf.errors.InvalidArgumentError`.
        """
        from mri_tumor.dataset.preprocess_graph import build  # TensorFlow takes seconds to import

        return build(self)

    def to_dict(self) -> dict[str, Any]:
        """Return the spec as JSON values, for manifests.

        >>> Preprocess().to_dict()["size"]
        224
        """
        # A field that comes later is left out while it holds what version 1 did: old digests stay true.
        return {"version": _VERSION, **dataclasses.asdict(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> "Preprocess":
        """Make the spec that `to_dict` described.

        Raises:
            ArgumentError: `values` is no such description, or one of a newer release.
        """
        if not isinstance(values, Mapping):
            found = f"the preprocessing is {type(values).__name__}"
            raise ArgumentError(found, "a mapping made by Preprocess.to_dict()", "pass that mapping")
        fields = dict(values)
        version = fields.pop("version", None)
        unknown = sorted(set(fields) - {field.name for field in dataclasses.fields(cls)}, key=str)
        if version != _VERSION or unknown:
            found = f"the preprocessing has version {version!r} and the unknown fields {unknown}"
            raise ArgumentError(found, f"version {_VERSION} and no unknown field", "upgrade mri-tumor")
        return cls(**fields)

    @property
    def digest(self) -> str:
        """The SHA-256 of `to_dict()`: equal for equal specs, on every machine."""
        return digest_of(self.to_dict())


def head_box(image: Grey, *, threshold: int, coverage: int) -> tuple[int, int, int, int]:
    """Return (top, bottom, left, right) of the head, ends exclusive; the whole picture if there is none.

    >>> picture = np.zeros((10, 10), np.uint8)
    >>> picture[2:5, 3:9] = 100
    >>> head_box(picture, threshold=30, coverage=2)
    (2, 5, 3, 9)
    """
    height, width = image.shape
    mask = cv2.threshold(image, threshold, 1, cv2.THRESH_BINARY)[1]
    in_rows = cv2.reduce(mask, 1, cv2.REDUCE_SUM, dtype=cv2.CV_32S).ravel()
    in_columns = cv2.reduce(mask, 0, cv2.REDUCE_SUM, dtype=cv2.CV_32S).ravel()
    rows = np.flatnonzero(in_rows * 100 >= coverage * width)
    columns = np.flatnonzero(in_columns * 100 >= coverage * height)
    if not rows.size or not columns.size:
        return 0, height, 0, width
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def histogram(image: Grey) -> npt.NDArray[np.int64]:
    """Return how often each grey level occurs, int64 (256,)."""
    if image.size > _EXACT_HISTOGRAM:
        return np.bincount(image.ravel(), minlength=256)
    counts = cv2.calcHist([image], [0], None, [256], [0, 256]).ravel()
    return np.asarray(counts, np.int64)


def window_table(counts: npt.NDArray[np.int64], percentile: int) -> Grey:
    """Return the new grey level of each old one, uint8 (256,).

    Args:
        counts: how often each grey level occurs, int64 (256,).
        percentile: of the pixels above `WINDOW_FLOOR`, 1-100; that level becomes `WINDOW_TOP`.
    """
    up_to = np.cumsum(counts[WINDOW_FLOOR + 1 :])
    if up_to[-1] == 0:
        return _IDENTITY
    level = WINDOW_FLOOR + 1 + int(np.searchsorted(up_to * 100, percentile * up_to[-1]))
    return np.minimum(255, (_SCALED_LEVELS + level // 2) // level).astype(np.uint8)


def level_before(table: Grey, level: int) -> int:
    """Return the highest grey level that `table` brings to `level` or below: the same cut, before windowing.

    >>> table = np.minimum(255, np.arange(256) * 2).astype(np.uint8)
    >>> level_before(table, 41)
    20
    """
    return int(np.searchsorted(table, level, side="right")) - 1


def letterbox(image: Grey, size: int) -> Grey:
    """Return uint8 (size, size): the picture resized to fit, proportions kept, centred on black."""
    height, width = image.shape
    new_height, new_width = fitted(height, max(height, width), size), fitted(width, max(height, width), size)
    shrinks = new_height <= height and new_width <= width
    kernel = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    resized = cv2.resize(image, (new_width, new_height), interpolation=kernel)
    top, left = (size - new_height) // 2, (size - new_width) // 2
    result = np.zeros((size, size), np.uint8)
    result[top : top + new_height, left : left + new_width] = resized
    return result


def fitted(side: int, longest: int, size: int) -> int:
    """Return `side` x `size` / `longest`, rounded half up, at least 1.

    >>> fitted(100, 200, 224), fitted(3, 2000, 224)
    (112, 1)
    """
    return max(1, (2 * side * size + longest) // (2 * longest))


def _checked(image: Grey) -> Grey:
    is_array = isinstance(image, np.ndarray)
    if not is_array or image.dtype != np.uint8 or image.ndim != 2 or image.size == 0:
        found = f"an array {image.shape} of {image.dtype}" if is_array else f"a {type(image).__name__}"
        raise ArgumentError(
            f"the picture is {found}",
            "uint8 (H, W), grey, 0-255, as read_image() gives it",
            "convert the picture to grey and to 0-255 first",
        )
    return np.ascontiguousarray(image)

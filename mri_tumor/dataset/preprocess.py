"""Preprocess: window, crop to the head, resize; one frozen spec for OpenCV and TensorFlow alike."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from mri_tumor.dataset.framing import Box, find_head, letterbox, letterboxed, stretched, thinned
from mri_tumor.dataset.placement import Placement
from mri_tumor.dataset.window import WINDOW_TOP, histogram, level_before, window_level, windowed
from mri_tumor.errors import ArgumentError
from mri_tumor.files import digest_of

Grey = npt.NDArray[np.uint8]

# The meaning of the fields. It goes up when the same fields would give other pixels, so that digests differ.
_VERSION = 2

_LIMITS = {"size": (1, 4096), "threshold": (0, 254), "coverage": (1, 100), "window": (1, 100)}
_FITS = ("stretch", "letterbox")
_CLAHE_TILES = (8, 8)
_AGAIN = "upgrade mri-tumor; what was made before release 0.1 is made again"


@dataclasses.dataclass(frozen=True)
class Preprocess:
    """What is done to every picture, in training, at the client and in the exported model.

    1. *Window*: the grey level that `window` percent of the pixels above 10 do not exceed is brought to 230,
       the others in proportion, clipped at 255. Every second row and column is counted.
    2. *Crop* to the box of the head: the longest run of rows, and of columns, in which at least `coverage`
       percent of the pixels are then brighter than `threshold`; the whole picture when there is none.
    3. *CLAHE*, if wanted: contrast-limited adaptive histogram equalisation (Zuiderveld 1994), 8 x 8 tiles.
    4. *Fit* into the square: stretched over all of it, or letterboxed, that is with its proportions kept and
       centred on black; area kernel when both sides shrink, linear otherwise.

    Every decision is made in whole numbers, so that OpenCV and TensorFlow make the same one; only the
    resizing rounds differently, by at most 2 grey levels.

    Args:
        size: height and width of the result, 1-4096 pixels.
        crop: whether to crop to the head. Without it black margins cost a classifier up to a fifth of its
            hits.
        threshold: grey level, 0-254, above which a pixel counts as head. It applies to the windowed picture,
            so that a darker copy is cropped alike.
        coverage: percentage, 1-100, of such pixels that a row or column of the head has.
        window: percentile, 1-100, or None for no window. Without it a darker picture is another picture.
        fit: `"stretch"` or `"letterbox"`. Stretching hides a picture's proportions, which tell the classes of
            some data sets without any look at the head.
        clahe: clip limit, from above 0 to 100, or None for none. TensorFlow has no twin of it: `graph()`, and
            so the export of a model, refuses it.

    Raises:
        ArgumentError: a value is of the wrong type or out of range.

    The defaults were chosen on grouped folds of public training pictures: `benchmarks/preprocess.py` measures
    each option, on the pictures as they are and on held-out pictures that were framed, darkened or outlined.

    >>> spec = Preprocess(size=4, crop=False, window=None, fit="letterbox")
    >>> spec(np.full((2, 4), 7, np.uint8))[..., 0]
    array([[0, 0, 0, 0],
           [7, 7, 7, 7],
           [7, 7, 7, 7],
           [0, 0, 0, 0]], dtype=uint8)
    >>> Preprocess.from_dict(spec.to_dict()) == spec
    True
    """

    size: int = 224
    crop: bool = True
    threshold: int = 25
    coverage: int = 5
    window: int | None = 95
    fit: Literal["stretch", "letterbox"] = "stretch"
    clahe: float | None = None

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
        if self.fit not in _FITS:
            raise ArgumentError(f"fit is {self.fit!r}", " or ".join(map(repr, _FITS)), 'pass fit="stretch"')
        if self.clahe is not None:
            # 2 and 2.0 are the same clip limit and must have the same digest.
            object.__setattr__(self, "clahe", _clip_limit(self.clahe))

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
        box, level = self._frame(image)
        image = image[box[0] : box[1], box[2] : box[3]]
        image = windowed(image, level)
        if self.clahe is not None:
            image = cv2.createCLAHE(self.clahe, _CLAHE_TILES).apply(image)
        fit = stretched if self.fit == "stretch" else letterbox
        return fit(image, self.size)[..., np.newaxis]

    def placement(self, image: Grey) -> Placement:
        """Return where in its square a picture is put: for what belongs to it, as outlines and heat maps do.

        Args:
            image: uint8 (H, W), as it is preprocessed.

        Raises:
            ArgumentError: as for preprocessing it.

        >>> spec = Preprocess(size=4, crop=False, fit="letterbox")
        >>> spec.placement(np.full((2, 4), 7, np.uint8)).inside
        (1, 3, 0, 4)
        """
        image = _checked(image)
        box, _ = self._frame(image)
        inside = (0, self.size, 0, self.size)
        if self.fit == "letterbox":
            inside = letterboxed(box[1] - box[0], box[3] - box[2], self.size)
        return Placement(image.shape, box, inside, self.size)

    def _frame(self, image: Grey) -> tuple[Box, int]:
        """Return the box that is kept of a picture, and the grey level that its window brings to 230."""
        sample = thinned(image) if self.crop or self.window is not None else image
        level = WINDOW_TOP if self.window is None else window_level(histogram(sample), self.window)
        if not self.crop:
            return (0, image.shape[0], 0, image.shape[1]), level
        threshold = level_before(self.threshold, level)
        box = find_head(image, threshold=threshold, coverage=self.coverage, sample=sample)
        return box, level

    def graph(self) -> Callable[..., Any]:
        """Return the same steps as a TensorFlow function of encoded bytes: an exported model begins with it.

        Returns:
            a function of a scalar string tensor (a JPEG or PNG file's bytes) that gives a uint8 tensor
            (size, size, 1). It can be used in `tf.map_fn`, `tf.data` and a SavedModel. Bytes that are not a
            JPEG or PNG, are damaged, or exceed `reader.MAX_PIXELS` raise `tf.errors.InvalidArgumentError`.

        Raises:
            ArgumentError: the spec has CLAHE, which TensorFlow cannot do.
        """
        if self.clahe is not None:
            raise ArgumentError(
                f"clahe is {self.clahe}, an operation of OpenCV's that TensorFlow lacks",
                "clahe=None for a model that is exported",
                "train with Preprocess(clahe=None); CLAHE serves experiments only",
            )
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
            raise ArgumentError(found, f"version {_VERSION} and no unknown field", _AGAIN)
        return cls(**fields)

    @property
    def digest(self) -> str:
        """The SHA-256 of `to_dict()`: equal for equal specs, on every machine."""
        return digest_of(self.to_dict())


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


def _clip_limit(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 100:
        raise ArgumentError(f"clahe is {value!r}", "a number above 0, at most 100, or None", "pass clahe=2.0")
    return float(value)

"""Pictures to measure an engine by: the caller's, a few of many, or drawn here."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mri_tumor.dataset.catalog import Catalog
from mri_tumor.dataset.inputs import batches
from mri_tumor.dataset.phantom import phantom
from mri_tumor.dataset.preprocess import Preprocess
from mri_tumor.errors import ArgumentError
from mri_tumor.labels import LABELS

MOST = 512
"""So many of the caller's pictures are measured, spread over all; and at most half of them calibrate."""

DRAWN = 32
_CALIBRATING = 200
_ENOUGH = 20  # fewer pictures are not divided


@dataclass(frozen=True, eq=False)
class Sample:
    """Preprocessed pictures, and where they are from.

    Args:
        pictures: uint8 (N, size, size, 1).
        drawn: whether they are phantoms, which were drawn here.
        calibration: pictures for int8, None where none are needed.
        apart: whether none of `calibration` is among `pictures`.
    """

    pictures: NDArray[np.uint8]
    drawn: bool
    calibration: NDArray[np.uint8] | None = None
    apart: bool = True

    @property
    def origin(self) -> str:
        """What they are, in words."""
        kind = "phantoms, drawn here as no pictures were given" if self.drawn else "pictures"
        return f"{len(self.pictures)} {kind}"


def sample_of(images: Any, preprocess: Preprocess, *, calibrating: bool) -> Sample:
    """Return the pictures that an export is measured by, and with `calibrating` others to calibrate by.

    Args:
        images: what `predict` takes, or None for phantoms.
        preprocess: the model's own.
        calibrating: whether the precision needs pictures to be calibrated by.

    Raises:
        ArgumentError: there are none to calibrate by, or `images` cannot be taken.
        ReadError: a picture cannot be read.
    """
    if images is None and calibrating:
        raise ArgumentError(
            "int8 without pictures",
            "some of those that the classifier is for: their ranges are what int8 is calibrated by",
            "pass pictures=, such as the training Catalog; on the command line --pictures FOLDER",
        )
    if images is None:
        return Sample(phantoms(preprocess), drawn=True)
    pictures = _spread(images, preprocess)
    if not calibrating:
        return Sample(pictures, drawn=False)
    if len(pictures) < _ENOUGH:
        return Sample(pictures, False, pictures, apart=False)
    # Every other one: neighbours in a folder are of one class.
    first = pictures[::2][:_CALIBRATING]
    return Sample(np.concatenate([pictures[1::2], pictures[::2][_CALIBRATING:]]), False, first)


def phantoms(preprocess: Preprocess, count: int = DRAWN) -> NDArray[np.uint8]:
    """Return preprocessed phantoms (count, size, size, 1), the same at every call, of all classes in turn."""
    drawn = [phantom(LABELS[place % len(LABELS)], patient=place) for place in range(count)]
    return np.stack([preprocess(picture) for picture in drawn])


def _spread(images: Any, preprocess: Preprocess) -> NDArray[np.uint8]:
    """Return at most `MOST` pictures, evenly spread over all; those of a list or Catalog alone are read."""
    if isinstance(images, Catalog | list | tuple) and len(images) > MOST:
        chosen = np.linspace(0, len(images) - 1, MOST).round().astype(int).tolist()
        if isinstance(images, Catalog):
            images = images.select(ids=[images.ids[place] for place in chosen])
        else:
            images = [images[place] for place in chosen]
    kept: list[NDArray[np.uint8]] = []
    step = 1
    place = 0
    for _, batch in batches(images, preprocess):
        for picture in batch:
            if place % step == 0:
                kept.append(picture)
            place += 1
        if len(kept) > MOST:
            kept, step = kept[::2], 2 * step
    if not kept:
        raise ArgumentError("no picture", "at least one", "pass others, or none for phantoms")
    return np.stack(kept)

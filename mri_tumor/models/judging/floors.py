"""What is reached without learning anything about tumours: the numbers a model must beat.

A test set that a look at the pictures' sizes solves, or that holds copies of the training pictures, flatters
every model. These floors say by how much.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mri_tumor.dataset.catalog import Catalog, Record
from mri_tumor.dataset.decoding import read_ahead, read_record
from mri_tumor.errors import ArgumentError, LeakageError, ManifestMismatch
from mri_tumor.models.judging.scores import Scores
from mri_tumor.progress import track

SIDE = 24
"""Height and width of the thumbnails that nearest neighbours are looked for among, in pixels."""

_TREES = 100
_SEED = 0
_Look = tuple[tuple[int, int], NDArray[np.uint8]]


@dataclass(frozen=True)
class Floor:
    """One rule that learns nothing about tumours.

    Args:
        name: `"majority"`, `"size"` or `"thumbnail"`.
        about: what the rule is.
        answers: its class for each picture, in the data's order.
        all: its scores on all pictures.
        leaked: on the leaked ones; None if there are none, or nothing is known about leaks.
        clean: on the others, likewise.
    """

    name: str
    about: str
    answers: tuple[str, ...]
    all: Scores
    leaked: Scores | None = None
    clean: Scores | None = None


ABOUT = {
    "majority": "always the class that is most frequent in training",
    "size": "a random forest that sees width and height of the file and no pixel",
    "thumbnail": f"the class of the training picture whose {SIDE} x {SIDE} thumbnail correlates best",
}


@dataclass(frozen=True, eq=False)
class Looks:
    """What the floors see of N pictures.

    Args:
        labels: each picture's class.
        sizes: int64 `(N, 2)`, width and height of the files in pixels.
        thumbnails: uint8 `(N, 576)`, 0-255.
    """

    labels: NDArray[np.str_]
    sizes: NDArray[np.int64]
    thumbnails: NDArray[np.uint8]

    def take(self, places: NDArray[np.intp]) -> Self:
        """Return the looks at these places."""
        return type(self)(self.labels[places], self.sizes[places], self.thumbnails[places])


def look_at(catalog: Catalog) -> Looks:
    """Read a catalog's pictures once, as all floors need them.

    Raises:
        ReadError: a picture cannot be read; names it.
        MissingExtra: it is of a kind that needs an extra, as DICOM does.
    """
    seen = list(track(read_ahead(_look, catalog), "looking at pictures for the floors", len(catalog)))
    sizes, thumbnails = zip(*seen, strict=True)
    return Looks(np.array(catalog.labels), np.array(sizes, np.int64), np.stack(thumbnails))


def floor_answers(train: Looks, test: Looks) -> dict[str, tuple[str, ...]]:
    """Return floor -> its class for each test picture.

    Args:
        train: the pictures whose classes, sizes and thumbnails are known to the rules.
        test: the pictures to answer for.
    """
    counts = Counter(train.labels.tolist())
    majority = min(counts, key=lambda label: (-counts[label], label))
    return {
        "majority": (majority,) * len(test.labels),
        "size": _fitted(_forest(), train.sizes, train.labels, test.sizes),
        "thumbnail": _fitted(
            _neighbour(), _standard(train.thumbnails), train.labels, _standard(test.thumbnails)
        ),
    }


def check_train(train: Any, data: Any, labels: tuple[str, ...]) -> None:
    """Check that floors can be worked out from these training pictures for this data.

    Raises:
        ArgumentError: `train` is no Catalog, or holds no picture.
        ManifestMismatch: it has other labels than the classifier.
        LeakageError: both hold the same file, which would be its own nearest neighbour.
    """
    if not isinstance(train, Catalog):
        raise ArgumentError(f"train is a {type(train).__name__}", "a Catalog", "pass dataset.scan(folder)")
    if not len(train):
        raise ArgumentError("train holds no picture", "the training pictures", "check what was selected")
    unknown = sorted(set(train.labels) - set(labels))
    if unknown:
        raise ManifestMismatch(
            f"train has the labels {', '.join(unknown)}",
            f"only {', '.join(labels)}, the classifier's",
            "pass the catalog that the classifier was trained on",
        )
    both = sorted(
        str(path) for path in set(train.paths) & set(data.paths if isinstance(data, Catalog) else ())
    )
    if both:
        raise LeakageError(
            f"train and data both hold {len(both)} files, such as {both[0]}",
            "training pictures beside other ones",
            'pass pictures.select(split="Training") as train, and the test pictures as data',
        )


def _look(record: Record) -> _Look:
    import cv2

    image = read_record(record)
    thumbnail = cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return (image.shape[1], image.shape[0]), np.asarray(thumbnail, np.uint8).ravel()


def _standard(thumbnails: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Return thumbnails of mean 0 and deviation 1: the nearest is then the one of the highest correlation."""
    pixels = thumbnails.astype(np.float64)
    spread = pixels.std(axis=1, keepdims=True)
    centred = pixels - pixels.mean(axis=1, keepdims=True)
    return np.asarray(centred / np.where(spread > 0, spread, 1))


def _fitted(rule: Any, seen: NDArray[Any], labels: NDArray[np.str_], asked: NDArray[Any]) -> tuple[str, ...]:
    answers = rule.fit(seen.astype(np.float64), labels).predict(asked.astype(np.float64))
    return tuple(answers.tolist())


def _forest() -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(_TREES, random_state=_SEED)


def _neighbour() -> Any:
    from sklearn.neighbors import KNeighborsClassifier

    return KNeighborsClassifier(1, algorithm="brute")

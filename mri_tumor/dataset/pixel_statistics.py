"""What a set of pictures looks like in numbers: brightness, classes, sizes and empty borders, exactly."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mri_tumor.dataset.auditing.traits import bright_box
from mri_tumor.dataset.catalog import Catalog, Record
from mri_tumor.dataset.preprocess import Preprocess
from mri_tumor.dataset.tables import text_table
from mri_tumor.errors import ArgumentError

PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
_LEVELS = 256

Size = tuple[int, int]
Measured = tuple[str, Size, NDArray[np.int64], int]


@dataclass(frozen=True)
class Statistics:
    """Pixel statistics of a set of preprocessed pictures, by class; all of them follow from whole numbers.

    Args:
        labels: class names in order.
        counts: pictures a class, in that order.
        histograms: for each class how many pixels have each grey level, 0-255.
        sizes: (width, height) of the pictures -> how many have it, the commonest first. A catalog's are
            those of its files; shards know only the size they store.
        border: pixels that lie in rows and columns at the edges where nothing is brighter than 20.

    >>> dark = tuple([4] + [0] * 255)
    >>> found = Statistics(("none",), (1,), (dark,), {(2, 2): 1}, 4)
    >>> found.mean, found.std, found.border_share, found.percentile(50)
    (0.0, 0.0, 1.0, 0)
    """

    labels: tuple[str, ...]
    counts: tuple[int, ...]
    histograms: tuple[tuple[int, ...], ...]
    sizes: dict[Size, int]
    border: int

    @property
    def count(self) -> int:
        """The number of pictures."""
        return sum(self.counts)

    @property
    def histogram(self) -> tuple[int, ...]:
        """How many pixels have each grey level, over all classes: 256 whole numbers."""
        return tuple(map(sum, zip(*self.histograms, strict=True)))

    @property
    def mean(self) -> float:
        """Mean grey level of all pixels, 0-255."""
        return _mean(self.histogram)

    @property
    def std(self) -> float:
        """Standard deviation of the grey levels of all pixels (over N, not N-1)."""
        return _std(self.histogram)

    @property
    def border_share(self) -> float:
        """Share of all pixels that lie in the empty borders, 0-1."""
        return self.border / max(1, sum(self.histogram))

    def percentile(self, percent: float) -> int:
        """Return the smallest grey level that at least `percent` % of all pixels do not exceed.

        Args:
            percent: 0 to 100.

        Raises:
            ArgumentError: it lies outside.
        """
        if not 0 <= percent <= 100:
            raise ArgumentError(f"percent is {percent!r}", "0 to 100", "pass 50 for the median")
        below = np.cumsum(self.histogram)
        return int(np.searchsorted(below, max(1, np.ceil(below[-1] * percent / 100))))

    def to_dict(self) -> dict[str, Any]:
        """Return everything as a JSON object; sizes are written as `"512x512"`."""
        return {
            "count": self.count,
            "mean": self.mean,
            "std": self.std,
            "percentiles": {str(percent): self.percentile(percent) for percent in PERCENTILES},
            "border_share": self.border_share,
            "sizes": {f"{width}x{height}": count for (width, height), count in self.sizes.items()},
            "histogram": list(self.histogram),
            "classes": {
                label: {"count": count, "mean": _mean(levels), "std": _std(levels)}
                for label, count, levels in zip(self.labels, self.counts, self.histograms, strict=True)
            },
        }

    def summary(self) -> str:
        """Return the classes' numbers as a small table, and below it percentiles, sizes and borders."""
        by_class = zip(self.labels, self.counts, self.histograms, strict=True)
        lines = [("class", "pictures", "mean", "std")]
        lines += [_line(label, count, levels) for label, count, levels in by_class]
        lines.append(_line("all", self.count, self.histogram))
        levels = ", ".join(f"{percent} %: {self.percentile(percent)}" for percent in PERCENTILES)
        common = ", ".join(f"{width} x {height} ({n})" for (width, height), n in list(self.sizes.items())[:3])
        return "\n".join(
            (
                text_table(lines),
                f"grey levels by percentile: {levels}",
                f"sizes: {len(self.sizes)} different, such as {common}",
                f"empty borders: {100 * self.border_share:.1f} % of the pixels",
            )
        )


def statistics(source: Catalog | str | Path, preprocess: Preprocess | None = None) -> Statistics:
    """Measure the pictures of a catalog or a shard folder as training will see them, without augmentation.

    Sums are of whole numbers, so the order of pictures and the number of threads change nothing, and a
    catalog gives what the shards written from it give; only `sizes` differs. A preprocessing that crops
    leaves hardly any empty border: to see what the files have, pass `Preprocess(crop=False, window=None)`.

    Args:
        source: a Catalog, or a folder that `write_tfrecords` made.
        preprocess: for a catalog `Preprocess()` if None; for shards None or the one they were made with.

    Raises:
        ArgumentError: the source is neither.
        CatalogError: the catalog is empty.
        ReadError: a picture cannot be read; names its id.
        ShardError: a shard is damaged; names it and the record.
        ManifestMismatch: the shards have no manifest, or other preprocessing than asked for.
        MissingExtra: a picture is of a kind that needs an extra, as DICOM does.

    >>> import tempfile
    >>> from mri_tumor.dataset import make_phantoms
    >>> pictures = make_phantoms(tempfile.mkdtemp(), per_class=5, size=64)
    >>> found = statistics(pictures, Preprocess(size=32))
    >>> found.count, found.counts, sum(found.histogram) == 20 * 32 * 32
    (20, (5, 5, 5, 5), True)
    """
    if isinstance(source, Catalog):
        return _summed(source.classes, _of_catalog(source, preprocess))
    if isinstance(source, str | Path):
        from mri_tumor.dataset.stores import open_shards

        folder = open_shards(source, preprocess)
        side = folder.preprocess.size
        found = ((folder.labels[one.label], (side, side), one.picture) for one in folder.records())
        return _summed(folder.labels, (_measured(*picture) for picture in found))
    raise ArgumentError(
        f"source is a {type(source).__name__}",
        "a Catalog or the folder of shards",
        "pass dataset.scan(folder), or what write_tfrecords wrote",
    )


def _of_catalog(catalog: Catalog, preprocess: Preprocess | None) -> Iterator[Measured]:
    from mri_tumor.dataset.decoding import read_ahead, read_record
    from mri_tumor.dataset.tfrecord import check_catalog, checked_preprocess
    from mri_tumor.progress import track

    check_catalog(catalog)
    spec = checked_preprocess(preprocess) or Preprocess()

    def measure(record: Record) -> Measured:
        image = read_record(record)
        return _measured(record.label, (image.shape[1], image.shape[0]), spec(image))

    return track(read_ahead(measure, catalog), "measuring pictures", len(catalog))


def _measured(label: str, size: Size, picture: NDArray[np.uint8]) -> Measured:
    levels = np.bincount(picture.ravel(), minlength=_LEVELS)
    return label, size, levels, _border(picture[:, :, 0])


def _border(image: NDArray[np.uint8]) -> int:
    """Return how many pixels lie outside the smallest box around everything brighter than black."""
    top, bottom, left, right = bright_box(image)
    return image.size - (bottom - top) * (right - left)


def _summed(labels: Sequence[str], measured: Iterator[Measured]) -> Statistics:
    levels = {label: np.zeros(_LEVELS, np.int64) for label in labels}
    counts: Counter[str] = Counter()
    sizes: Counter[Size] = Counter()
    border = 0
    for label, size, found, empty in measured:
        levels[label] += found
        counts[label] += 1
        sizes[size] += 1
        border += empty
    ordered = dict(sorted(sizes.items(), key=lambda item: (-item[1], item[0])))
    histograms = tuple(tuple(levels[label].tolist()) for label in labels)
    return Statistics(tuple(labels), tuple(counts[label] for label in labels), histograms, ordered, border)


def _line(label: str, count: int, levels: Sequence[int]) -> tuple[str, str, str, str]:
    return label, str(count), f"{_mean(levels):.1f}", f"{_std(levels):.1f}"


def _mean(levels: Sequence[int]) -> float:
    return sum(level * count for level, count in enumerate(levels)) / max(1, sum(levels))


def _std(levels: Sequence[int]) -> float:
    """From whole sums: N * sum(x^2) - sum(x)^2 is exact, where floats would cancel."""
    total = sum(levels)
    first = sum(level * count for level, count in enumerate(levels))
    second = sum(level * level * count for level, count in enumerate(levels))
    return float((total * second - first * first) ** 0.5 / max(1, total))

"""Is this a brain MRI like those I was trained on? The distance of a picture's features from theirs."""

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

import keras
import numpy as np
from numpy.typing import NDArray

from mri_tumor.errors import ArgumentError, ManifestMismatch
from mri_tumor.files import whole_file

DIRECTIONS = 128
"""So many directions of the features' spread are known one by one, at most; the rest shares one variance."""

PER_DIRECTION = 4
"""So many pictures at least for each direction, and beyond one a class: what few lie along says nothing."""

_STEADIEST = 1e-3  # no direction has less variance; that of all standardised features is 1 in the mean
_CHUNK = 256


@dataclass(frozen=True, eq=False)
class Density:
    """Where the features of the training pictures lie: a mean a class, and how they spread about it.

    The squared Mahalanobis distance to the nearest class mean, with one covariance for all classes, says how
    foreign a picture is (Lee et al. 2018). As there are often more features than pictures, the covariance is
    that of probabilistic principal components (Tipping and Bishop 1999) of the features, each divided by its
    standard deviation within the classes: some directions with a variance each, and one variance for all the
    rest, so that what strays outside of the directions counts too.

    Args:
        means: float32 (K, F), one row a class.
        scale: float32 (F,), above 0: what each feature is divided by.
        directions: float32 (D, F), orthonormal rows.
        variances: float32 (D,), above 0: the variance along each direction.
        residual: float32 (1,), above 0: the variance in every other direction.

    >>> rng = np.random.default_rng(0)
    >>> labels = np.arange(200) % 2
    >>> features = rng.normal(labels[:, None] * 10.0, 1, (200, 5)).astype(np.float32)
    >>> density = Density.fit(features, labels)
    >>> near, between = density.distance(np.array([[10.0] * 5, [5.0] * 5], np.float32))
    >>> bool(near < 1 < between)
    True
    """

    means: NDArray[np.float32]
    scale: NDArray[np.float32]
    directions: NDArray[np.float32]
    variances: NDArray[np.float32]
    residual: NDArray[np.float32]

    @classmethod
    def fit(cls, features: NDArray[np.floating], labels: NDArray[np.integer]) -> Self:
        """Measure the features of training pictures.

        Args:
            features: float (N, F), finite.
            labels: whole numbers (N,), 0 to K - 1, each of them at least once; N from K + 4.

        Raises:
            ArgumentError: the shapes do not fit, a number is not finite, a class has no picture, or there are
                too few pictures.
        """
        from sklearn.decomposition import PCA

        values, labels = np.asarray(features, np.float64), np.asarray(labels)
        classes = _check(values, labels)
        means = np.stack([values[labels == label].mean(axis=0) for label in range(classes)])
        centred = values - means[labels]
        scale = _scale(centred.std(axis=0))
        count = max(1, min(DIRECTIONS, values.shape[1], (len(values) - classes) // PER_DIRECTION))
        with np.errstate(invalid="ignore"):  # it divides by the total variance, which may be 0
            pca = PCA(count, random_state=0).fit(centred / scale)
        variances = pca.explained_variance_ * (len(values) - 1) / (len(values) - classes)
        total = float(((centred / scale) ** 2).sum() / (len(values) - classes))
        # The mean variance of all other directions, those that no training picture strays into included.
        rest = (total - variances.sum()) / max(values.shape[1] - count, 1)
        return cls(
            means.astype(np.float32),
            scale.astype(np.float32),
            pca.components_.astype(np.float32),
            np.maximum(variances, _STEADIEST).astype(np.float32),
            np.array([max(rest, _STEADIEST)], np.float32),
        )

    @classmethod
    def side_by_side(cls, parts: Sequence["Density"]) -> Self:
        """Return the density of several networks' features side by side, each of the same width.

        To each class it has the mean of the networks' distances, which can be held against those that each
        network has alone.

        >>> rng = np.random.default_rng(0)
        >>> features = rng.normal(0, 1, (2, 40, 5)).astype(np.float32)
        >>> pair = [Density.fit(one, np.zeros(40, int)) for one in features]
        >>> both = Density.side_by_side(pair).distance(np.hstack(list(features)))
        >>> single = [one.distance(own) for one, own in zip(pair, features, strict=True)]
        >>> bool(np.allclose(both, np.mean(single, axis=0), rtol=1e-4))
        True
        """
        from scipy.linalg import block_diag

        # One residual variance for all: each network's own goes into the scale of its features.
        return cls(
            np.concatenate([one.means for one in parts], axis=1),
            np.concatenate([one.scale * np.sqrt(one.residual) for one in parts]),
            block_diag(*(one.directions for one in parts)).astype(np.float32),
            np.concatenate([one.variances / one.residual for one in parts]),
            np.ones(1, np.float32),
        )

    def measure(self, features: Any) -> Any:
        """Return the distances of features (N, F) as float32 (N,); written in `keras.ops`, to be traced.

        It is the squared Mahalanobis distance divided by F: about 1 for a training picture.
        """
        features = keras.ops.cast(features, "float32")
        apart = (features[:, None, :] - self.means) / self.scale
        directions = keras.ops.convert_to_tensor(self.directions)  # once: an export holds each constant
        along = keras.ops.matmul(apart, keras.ops.transpose(directions))
        beside = apart - keras.ops.matmul(along, directions)
        squared = keras.ops.sum(along * along / self.variances, axis=2)
        squared = squared + keras.ops.sum(beside * beside, axis=2) / self.residual
        return keras.ops.min(squared, axis=1) / self.scale.shape[0]

    def distance(self, features: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return the distances of features (N, F) as float64 (N,), from 0; what `measure` gives.

        Raises:
            ArgumentError: the features are not (N, F).
        """
        features = np.asarray(features, np.float32)
        if features.ndim != 2 or features.shape[1] != len(self.scale):
            raise ArgumentError(
                f"features have shape {features.shape}",
                f"(N, {len(self.scale)})",
                "pass the features of the network that it was fitted with",
            )
        parts = [self.measure(features[at : at + _CHUNK]) for at in range(0, len(features), _CHUNK)]
        return np.concatenate([np.empty(0), *map(keras.ops.convert_to_numpy, parts)]).astype(np.float64)

    def arrays(self) -> dict[str, NDArray[np.float32]]:
        """Return the arrays by name, as `from_arrays` takes them."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def from_arrays(cls, arrays: Any) -> Self:
        """Take over what `arrays` gave.

        Raises:
            ManifestMismatch: an array is missing, has another type or shape, or impossible values.
        """
        names = [field.name for field in fields(cls)]
        if set(arrays) != set(names):
            _refuse(f"the arrays are {', '.join(sorted(arrays)) or 'none'}", f"{', '.join(names)}")
        density = cls(**{name: np.asarray(arrays[name]) for name in names})
        for name, value in density.arrays().items():
            if value.dtype != np.float32 or not np.isfinite(value).all():
                _refuse(f"{name} is {value.dtype}, or holds what is no number", "finite float32")
        density._check_shapes()
        if not all((value > 0).all() for value in (density.scale, density.variances, density.residual)):
            _refuse("a scale or variance is not above 0", "numbers above 0")
        return density

    def save(self, path: Path) -> None:
        """Write the arrays as an npz file."""
        with whole_file(path) as partial:
            np.savez(partial, **self.arrays())  # type: ignore[arg-type] # numpy's stub confuses the names

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read what `save` wrote; nothing in the file is run, and it cannot grow beyond its own size.

        Raises:
            ManifestMismatch: the file holds something else.
        """
        try:
            with zipfile.ZipFile(path) as archive:
                if sum(entry.file_size for entry in archive.infolist()) > path.stat().st_size:
                    raise ValueError("it would grow when it is read")
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                return cls.from_arrays({name: arrays[name] for name in arrays.files})
        except (OSError, ValueError, TypeError, zipfile.BadZipFile, ManifestMismatch) as error:
            reason = error.found if isinstance(error, ManifestMismatch) else repr(error)
            raise ManifestMismatch(
                f"{path} cannot be used ({reason})",
                "where the training pictures' features lie, as it was saved",
                "copy the whole folder again",
            ) from error

    def _check_shapes(self) -> None:
        found = {name: value.shape for name, value in self.arrays().items()}
        size, count = self.scale.size, self.variances.size
        wanted = {
            "means": (self.means.shape[0] if self.means.ndim == 2 else 1, size),
            "scale": (size,),
            "directions": (count, size),
            "variances": (count,),
            "residual": (1,),
        }
        if found != wanted or not self.means.size or not count:
            _refuse(f"the arrays have the shapes {found}", "means (K, F), scale (F,), directions (D, F), ...")


def _scale(deviation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what features are divided by.

    A feature that hardly ever stirs in training would turn any stir of a new picture into a huge distance, so
    no feature counts as steadier than a tenth of the usual.
    """
    least = 0.1 * float(np.median(deviation))
    return np.maximum(deviation, least) if least > 0 else np.where(deviation > 0, deviation, 1.0)


def _check(values: NDArray[np.float64], labels: NDArray[Any]) -> int:
    """Check features and labels; return the number of classes."""
    whole = labels.ndim == 1 and labels.dtype.kind in "iu"
    if values.ndim != 2 or not values.shape[1] or not whole or len(labels) != len(values):
        raise ArgumentError(
            f"features of shape {values.shape} with labels {labels.dtype} {labels.shape}",
            "features (N, F) and whole numbers (N,)",
            "pass one label a row",
        )
    classes = int(labels.max()) + 1 if len(labels) else 0
    counts = np.bincount(labels, minlength=classes) if len(labels) and labels.min() >= 0 else np.zeros(1)
    if not counts.all() or len(values) < classes + PER_DIRECTION:
        raise ArgumentError(
            f"{len(values)} pictures in classes of {counts.tolist()}",
            f"some of each class, numbered from 0, and {PER_DIRECTION} more than classes",
            "fit it on all training pictures",
        )
    if not np.isfinite(values).all():
        raise ArgumentError(
            "a feature is not finite", "finite features", "look at the network: it may not have learned"
        )
    return classes


def _refuse(found: str, expected: str) -> None:
    raise ManifestMismatch(found, expected, "copy the whole folder again, or train again")

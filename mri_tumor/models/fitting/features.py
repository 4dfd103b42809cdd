"""Features of a frozen backbone: computed once, kept in the run's folder, and trained on in seconds."""

import logging
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mri_tumor.dataset.augment import Augment
from mri_tumor.dataset.decoding import read_ahead
from mri_tumor.errors import TrainingError
from mri_tumor.files import digest_of, whole_file
from mri_tumor.models.engines.looks import Look, expected_engine, look_by
from mri_tumor.models.engines.tensorflow_engine import pictures_a_call
from mri_tumor.models.fitting.sources import Source
from mri_tumor.progress import track

logger = logging.getLogger(__name__)


class Features(NamedTuple):
    """Pooled features: `values` float32 (N, F) and `labels` int64 (N,), in the pictures' order."""

    values: NDArray[np.float32]
    labels: NDArray[np.int64]


def compute_features(
    look: Look, batches: Iterable[Any], *, total: int, doing: str, mirrored: bool = False
) -> Features:
    """Run pictures through a backbone.

    Args:
        look: what `look_by` makes of the backbone, for batches of `pictures_a_call()`.
        batches: dicts with `"image"` uint8 (n, size, size, 1), n at most `pictures_a_call()`, and `"label"`
            int64 (n,).
        total: how many pictures there are.
        doing: what the progress says.
        mirrored: take each picture's mirror image, left and right exchanged.

    Raises:
        TrainingError: there are more or fewer pictures than `total`.
    """
    size = pictures_a_call()

    def features(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        padded = filled_up(images[:, :, ::-1] if mirrored else images)
        return look(padded)[: len(images)]

    labels: list[NDArray[np.int64]] = []

    def pictures() -> Iterator[NDArray[np.uint8]]:
        for batch in track(batches, doing, total=-(-total // size)):
            labels.append(np.asarray(batch["label"], np.int64))
            yield np.asarray(batch["image"])

    values = list(read_ahead(features, pictures(), threads=look.at_once, most=2 * look.at_once))
    found = sum(map(len, values))
    if found != total:
        raise TrainingError(
            f"{doing}: {found} pictures came", f"{total} pictures", "verify the data, then start again"
        )
    return Features(np.concatenate(values).astype(np.float32), np.concatenate(labels))


def filled_up(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return `pictures_a_call()` pictures, the rest of them black: a network is compiled for one shape."""
    padded = np.zeros((pictures_a_call(), *images.shape[1:]), np.uint8)
    padded[: len(images)] = images
    return padded


class FeatureCache:
    """Features in files, one a set of pictures and copy; a file that does not fit is not used.

    Features of two engines are never mixed: which one computed them is part of what they follow from, and it
    is chosen before the first of them are read.

    Args:
        directory: where the files lie.
        backbone: from uint8 (N, size, size, 1) to features (N, F).

    Attributes:
        engine: what computes the features: `"tensorflow"`, or `"openvino"` with its version.
    """

    def __init__(self, directory: Path, backbone: Any) -> None:
        self.directory, self.backbone = directory, backbone
        self.engine = expected_engine()
        self._look: Look | None = None
        self._digest = weights_digest(backbone)

    def originals(self, source: Source, name: str, *, mirrored: bool = False) -> Features:
        """Return the features of the pictures as they are, or of their mirror images."""
        return self._get(source, name, None, 0, 0, mirrored)

    def copy(self, source: Source, name: str, *, augment: Augment, seed: int, copy: int) -> Features:
        """Return the features of augmented copies, drawn as for epoch `copy` (from 1) of a run."""
        return self._get(source, name, augment, seed, copy, False)

    def _get(
        self, source: Source, name: str, augment: Augment | None, seed: int, copy: int, mirrored: bool
    ) -> Features:
        drawn = None if augment is None else [augment.to_dict(), seed, copy]
        kind = "mirrored" if mirrored else f"copy {copy}" if copy else "originals"
        look = self._chosen_look(source)  # before anything is read: the path names its engine
        path = self._path(source, name, kind, drawn)
        found = self._read(path, source.count)
        if found is not None:
            return found
        order = np.arange(source.count)
        batches = source.batches(
            batch_size=pictures_a_call(), augment=augment, seed=seed, epoch=copy, order=order
        )
        doing = f"features of {name}, {kind}"
        found = compute_features(look, batches, total=source.count, doing=doing, mirrored=mirrored)
        with whole_file(path) as partial:
            np.savez(partial, values=found.values, labels=found.labels)
        return found

    def _chosen_look(self, source: Source) -> Look:
        """Return what looks at everything: chosen once, by the first pictures that it is asked for."""
        if self._look is None:
            count = pictures_a_call()
            order = np.arange(min(count, source.count))
            first = next(iter(source.batches(batch_size=count, augment=None, seed=0, epoch=0, order=order)))
            self._look = look_by(self.backbone, filled_up(np.asarray(first["image"])))
            self.engine = self._look.engine
        return self._look

    def _path(self, source: Source, name: str, kind: str, drawn: Any) -> Path:
        key = digest_of([self._digest, source.section, drawn, kind == "mirrored", self.engine])
        return self.directory / f"{name}-{kind.replace(' ', '-')}-{key[:16]}.npz"

    @staticmethod
    def _read(path: Path, count: int) -> Features | None:
        try:
            # Opened here: NumPy leaves a damaged file open.
            with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
                found = Features(arrays["values"], arrays["labels"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
            logger.warning("%s cannot be read (%s); the features are computed again", path, error)
            return None
        return found if len(found.values) == len(found.labels) == count else None


@dataclass(frozen=True)
class Scaling:
    """Mean and standard deviation of each feature; what standardises it to 0 and 1.

    Args:
        mean: float64 (F,).
        deviation: float64 (F,), above 0; 1 for a feature that never varies.
    """

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]

    @classmethod
    def of(cls, values: NDArray[np.float32]) -> Self:
        """Measure features (N, F).

        >>> Scaling.of(np.array([[1, 5], [3, 5]], np.float32)).deviation.tolist()
        [1.0, 1.0]
        """
        wide = values.astype(np.float64)
        deviation = wide.std(axis=0)
        return cls(wide.mean(axis=0), np.where(deviation > 1e-6, deviation, 1.0))

    def __call__(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return standardised features, float32 (N, F)."""
        return ((values - self.mean) / self.deviation).astype(np.float32)

    def fold(self, layer: Any) -> None:
        """Change a dense layer that was trained on standardised features so that it takes plain ones."""
        kernel, bias = (np.asarray(weight, np.float64) for weight in layer.get_weights())
        kernel = kernel / self.deviation[:, None]
        layer.set_weights([kernel, bias - self.mean @ kernel])


def foldable(head: Any) -> bool:
    """Tell whether a head is one dense layer with a bias, dropout aside: only there scaling folds in."""
    kinds = [layer for layer in head.layers if not isinstance(layer, keras.layers.InputLayer)]
    dense = [layer for layer in kinds if isinstance(layer, keras.layers.Dense) and layer.use_bias]
    rest = [layer for layer in kinds if not isinstance(layer, keras.layers.Dropout)]
    return len(dense) == 1 and rest == dense


def weights_digest(model: Any) -> str:
    """Return a SHA-256 over the values of a model's weights, in order."""
    import hashlib

    digest = hashlib.sha256()
    for weight in model.get_weights():
        digest.update(f"{weight.dtype}{weight.shape}".encode())
        digest.update(np.ascontiguousarray(weight).tobytes())
    return digest.hexdigest()


def head_batches(
    features: Features, weights: NDArray[np.float32], order: NDArray[np.int64], batch_size: int
) -> tf.data.Dataset:
    """Return batches of (features, labels, weights) in an order; `weights` holds one weight a class."""
    values, labels = tf.constant(features.values), tf.constant(features.labels)
    by_class = tf.constant(weights)

    def pick(places: Any) -> tuple[Any, Any, Any]:
        chosen = tf.gather(labels, places)
        return tf.gather(values, places), chosen, tf.gather(by_class, chosen)

    return tf.data.Dataset.from_tensor_slices(order).batch(batch_size).map(pick)

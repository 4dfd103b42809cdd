"""Features of a frozen backbone: computed once, kept in the run's folder, and trained on in seconds."""

import logging
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeAlias

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from mri_tumor.dataset.augment import Augment
from mri_tumor.dataset.decoding import read_ahead
from mri_tumor.errors import TrainingError
from mri_tumor.files import digest_of, whole_file
from mri_tumor.models.fitting.sources import Source
from mri_tumor.progress import track

logger = logging.getLogger(__name__)

_ON_CPU, _ON_GPU = 4, 64
"""Pictures a batch. On a CPU four are twice as fast as 32: the early layers' outputs stay in its cache."""


_AT_ONCE = 2  # batches: what one has to wait for between its layers, the other makes use of


class Features(NamedTuple):
    """Pooled features: `values` float32 (N, F) and `labels` int64 (N,), in the pictures' order."""

    values: NDArray[np.float32]
    labels: NDArray[np.int64]


Look: TypeAlias = Callable[[NDArray[np.uint8]], Any]
"""From pictures, uint8 (batch_size(), size, size, 1), to their features (batch_size(), F)."""


def compute_features(
    look: Look, batches: Iterable[Any], *, total: int, doing: str, mirrored: bool = False
) -> Features:
    """Run pictures through a backbone.

    Args:
        look: what `compiled` makes of the backbone.
        batches: dicts with `"image"` uint8 (n, size, size, 1), n at most `batch_size()`, and `"label"` int64
            (n,).
        total: how many pictures there are.
        doing: what the progress says.
        mirrored: take each picture's mirror image, left and right exchanged.

    Raises:
        TrainingError: there are more or fewer pictures than `total`.
    """
    size = batch_size()

    def features(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        # One shape is traced once; the last batch is filled up with black pictures.
        padded = np.zeros((size, *images.shape[1:]), np.uint8)
        padded[: len(images)] = images[:, :, ::-1] if mirrored else images
        return np.asarray(look(padded))[: len(images)]

    labels: list[NDArray[np.int64]] = []

    def pictures() -> Iterator[NDArray[np.uint8]]:
        for batch in track(batches, doing, total=-(-total // size)):
            labels.append(np.asarray(batch["label"], np.int64))
            yield np.asarray(batch["image"])

    values = list(read_ahead(features, pictures(), threads=_AT_ONCE, most=2 * _AT_ONCE))
    found = sum(map(len, values))
    if found != total:
        raise TrainingError(
            f"{doing}: {found} pictures came", f"{total} pictures", "verify the data, then start again"
        )
    return Features(np.concatenate(values).astype(np.float32), np.concatenate(labels))


def batch_size() -> int:
    """Return how many pictures a batch holds where a network only looks at them."""
    return _ON_GPU if tf.config.list_logical_devices("GPU") else _ON_CPU


class FeatureCache:
    """Features in files, one a set of pictures and copy; a file that does not fit is not used.

    Args:
        directory: where the files lie.
        backbone: from uint8 (N, size, size, 1) to features (N, F).
    """

    def __init__(self, directory: Path, backbone: Any) -> None:
        self.directory, self.backbone = directory, backbone
        self._digest = weights_digest(backbone)

    @cached_property
    def _look(self) -> Look:
        return compiled(self.backbone)

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
        key = digest_of([self._digest, source.section, drawn, mirrored])
        kind = "mirrored" if mirrored else f"copy {copy}" if copy else "originals"
        path = self.directory / f"{name}-{kind.replace(' ', '-')}-{key[:16]}.npz"
        found = self._read(path, source.count)
        if found is None:
            order = np.arange(source.count)
            batches = source.batches(
                batch_size=batch_size(), augment=augment, seed=seed, epoch=copy, order=order
            )
            doing = f"features of {name}, {kind}"
            found = compute_features(self._look, batches, total=source.count, doing=doing, mirrored=mirrored)
            with whole_file(path) as partial:
                np.savez(partial, values=found.values, labels=found.labels)
        return found

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


def compiled(backbone: Any) -> Look:
    """Return a backbone in inference mode as a function of batches of `batch_size()`, traced once.

    Its weights are constants there: TensorFlow then joins convolutions with the normalisation behind them.
    """
    shape = (batch_size(), *backbone.inputs[0].shape[1:])
    weights = [
        [keras.ops.convert_to_numpy(one) for one in kind]
        for kind in (backbone.trainable_variables, backbone.non_trainable_variables)
    ]

    def run(images: Any) -> Any:
        trainable, rest = ([tf.constant(one) for one in kind] for kind in weights)
        return backbone.stateless_call(trainable, rest, images, training=False)[0]

    look: Look = tf.function(run, input_signature=[tf.TensorSpec(shape, tf.uint8)])
    return look


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

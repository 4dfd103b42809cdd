"""MixUp: training on weighted means of two pictures and of their labels."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

from mri_tumor.dataset.draws import check_whole, uniform
from mri_tumor.dataset.tensors import Specs, aligned, check_images, check_indices, differ, run, shown
from mri_tumor.errors import ArgumentError
from mri_tumor.files import digest_of
from mri_tumor.labels import LABELS


@dataclass(frozen=True)
class MixUp:
    """Blends every picture of a batch with another one of it, and their labels in the same shares.

    Zhang, Cisse, Dauphin and Lopez-Paz, "mixup: Beyond Empirical Risk Minimization", ICLR 2018. A picture
    keeps the share `s` and gets `1 - s` of its partner, rounded to whole grey levels.

    `s` is drawn from Beta(alpha, alpha) and depends on (seed, epoch, index) only. The partner is another
    picture of the batch, so it depends on (seed, epoch) and on which indices the batch holds, but neither on
    their order nor on threads: numbers drawn from (seed, epoch, index) sort the batch, and each picture's
    partner is the next one, the last one's the first. So every picture is a partner once. One that is alone
    in its batch stays as it is.

    Args:
        alpha: above 0, up to 100. At 0.2 two thirds of the shares are below 0.1 or above 0.9, so most
            pictures are nearly unmixed; at 1 all shares are equally likely; above 1 the middle ones are.
        classes: how many classes the labels have, from 1.

    Raises:
        ArgumentError: a value is outside its range.

    >>> images = np.array([0, 200], np.uint8).reshape(2, 1, 1, 1)
    >>> mixed, rows = MixUp(alpha=1, classes=2)(images, [0, 1], [0, 1], seed=0, epoch=0)
    >>> mixed.numpy().ravel().tolist(), rows.numpy().round(2).astype(str).tolist()
    ([65, 187], [['0.68', '0.32'], ['0.07', '0.93']])
    """

    alpha: float = 0.2
    classes: int = len(LABELS)

    def __post_init__(self) -> None:
        number = isinstance(self.alpha, int | float | np.number) and not isinstance(self.alpha, bool)
        if not number or not 0 < self.alpha <= 100:
            raise ArgumentError(f"alpha is {self.alpha!r}", "a number above 0, up to 100", "pass alpha=0.2")
        object.__setattr__(self, "alpha", float(self.alpha))
        object.__setattr__(self, "classes", check_whole("classes", self.classes, 1))

    def __call__(self, images: Any, labels: Any, indices: Any, *, seed: int, epoch: int) -> tuple[Any, Any]:
        """Return the mixed pictures and labels; works eagerly and inside a `tf.function` or `Dataset.map`.

        Args:
            images: uint8 `(N, S, S, 1)`, 0-255.
            labels: class numbers `(N,)` from 0, or rows `(N, classes)` that add up to 1.
            indices: each picture's position in its data set, whole numbers `(N,)`.
            seed: from 0.
            epoch: from 0.

        Returns:
            Tensors: uint8 `(N, S, S, 1)`, and float32 `(N, classes)` of which each row adds up to 1.

        Raises:
            ArgumentError: a wrong type, shape, label, seed or epoch. Inside a graph a label outside the
                classes is met late, as a `tf.errors.OpError` whose text holds ours.
        """
        seed, epoch = check_whole("seed", seed, 0), check_whole("epoch", epoch, 0)

        def mixed(
            pictures: NDArray[np.uint8], given: NDArray[Any], places: NDArray[Any]
        ) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
            rows = _rows(given, self.classes)
            partners, shares = self._drawn(places, seed, epoch)
            kept = shares[:, None]
            blend = kept * rows + (1 - kept) * rows[partners]
            return _blended(pictures, partners, shares), blend.astype(np.float32)

        made, rows = run(mixed, images, labels, indices, specs=self._specs)
        return made, rows

    def describe(self, indices: Any, *, seed: int, epoch: int) -> dict[str, list[Any]]:
        """Return what is drawn for a batch, in the order of `indices`.

        Args:
            indices: the batch's positions in the data set, whole numbers `(N,)`.
            seed: from 0.
            epoch: from 0.

        Returns:
            `partner`, the index of each picture's partner, and `share`, what each picture keeps of itself.

        >>> MixUp().describe([4, 9, 2], seed=0, epoch=1)["partner"]
        [2, 4, 9]
        """
        places = np.asarray(indices)
        check_indices(places, (None,))
        partners, shares = self._drawn(places, seed, epoch)
        return {"partner": places[partners].tolist(), "share": shares.tolist()}

    def to_dict(self) -> dict[str, Any]:
        """Return the arguments as a JSON object."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Return the MixUp that `to_dict` described.

        Raises:
            ArgumentError: a name is unknown or missing, or a value outside its range.
        """
        if not isinstance(values, Mapping) or set(values) != {"alpha", "classes"}:
            found = sorted(map(str, values)) if isinstance(values, Mapping) else type(values).__name__
            raise ArgumentError(f"a MixUp of {found}", "exactly alpha and classes", "use MixUp.to_dict")
        return cls(**values)

    @property
    def digest(self) -> str:
        """SHA-256 of `to_dict()`."""
        return digest_of(self.to_dict())

    def _drawn(
        self, indices: NDArray[Any], seed: int, epoch: int
    ) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
        """Return each picture's partner, as a place in the batch, and the share it keeps."""
        from scipy.special import betaincinv

        shares: NDArray[np.float64] = betaincinv(
            self.alpha, self.alpha, uniform("mixup share", seed, epoch, indices)
        )
        order = np.argsort(uniform("mixup order", seed, epoch, indices), kind="stable")
        partners = np.empty(len(order), np.intp)
        partners[order] = np.roll(order, -1)
        return partners, shares

    def _specs(self, images: Any, labels: Any, indices: Any) -> Specs:
        shape = check_images(images)
        check_indices(indices, shape)
        dtype, form = shown(labels)
        numbers = len(form) == 1 and np.issubdtype(dtype, np.integer)
        rows = len(form) == 2 and not differ(form[1], self.classes) and dtype != "bool"
        if not (numbers or rows) or differ(form[0], shape[0]):
            raise ArgumentError(
                f"labels are {dtype} {form} for images {shape}",
                f"class numbers (N,) or rows (N, {self.classes})",
                "pass the 'label' of the same batch",
            )
        return [("uint8", shape), ("float32", (shape[0], self.classes))]


def _rows(labels: NDArray[Any], classes: int) -> NDArray[np.float64]:
    """Return one row a picture that adds up to 1, float64 (N, classes)."""
    if labels.ndim == 2:
        rows = labels.astype(np.float64)
        if not (np.abs(rows.sum(axis=1) - 1) < 1e-3).all() or (rows < 0).any():
            raise ArgumentError("rows of labels that don't add up to 1", "shares of 1", "pass one-hot rows")
        return rows
    if ((labels < 0) | (labels >= classes)).any():
        raise ArgumentError(
            f"labels from {labels.min()} to {labels.max()}", f"0 to {classes - 1}", "pass the right classes="
        )
    found: NDArray[np.float64] = np.eye(classes)[labels]
    return found


def _blended(
    images: NDArray[np.uint8], partners: NDArray[np.intp], shares: NDArray[np.float64]
) -> NDArray[np.uint8]:
    result = aligned(images.shape)
    pictures = np.ascontiguousarray(images)[..., 0]
    pairs = zip(partners.tolist(), shares.tolist(), strict=True)
    for place, (partner, share) in enumerate(pairs):
        into = result[place, :, :, 0]
        cv2.addWeighted(pictures[place], share, pictures[partner], 1 - share, 0.0, dst=into)
    return result

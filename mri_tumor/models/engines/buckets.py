"""Batches of any size in few shapes, since every shape that a network is called with is compiled once."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mri_tumor.dataset.decoding import read_ahead
from mri_tumor.models.engines.engine import Outputs

_AT_ONCE = 2  # calls: what one has to wait for between its layers, the other makes use of


def buckets(count: int, most: int) -> Iterator[tuple[int, int]]:
    """Yield how many pictures each call takes, and to which shape they are filled up: a power of two.

    Args:
        count: the pictures there are.
        most: the largest shape, a power of two.

    >>> list(buckets(11, 4))
    [(4, 4), (4, 4), (3, 4)]
    >>> list(buckets(1, 4))
    [(1, 1)]
    """
    for start in range(0, count, most):
        taken = min(most, count - start)
        yield taken, 1 << (taken - 1).bit_length()


def in_buckets(call: Callable[[Any], Outputs], images: NDArray[np.uint8], most: int) -> Outputs:
    """Return what `call` says about all pictures, called with few shapes, two at a time.

    Args:
        call: from uint8 (n, size, size, 1) to outputs of n rows, n a power of two up to `most`.
        images: uint8 (N, size, size, 1), N from 1.
        most: the most pictures a call, a power of two.
    """
    parts = list(_parts(images, most))
    if len(parts) == 1:
        return _called(call, parts[0])
    found = list(read_ahead(lambda part: _called(call, part), parts, _AT_ONCE, 2 * _AT_ONCE))
    return {name: np.concatenate([outputs[name] for outputs in found]) for name in found[0]}


def _parts(images: NDArray[np.uint8], most: int) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    start = 0
    for taken, shape in buckets(len(images), most):
        part = images[start : start + taken]
        start += taken
        if taken < shape:
            part = np.concatenate([part, np.zeros((shape - taken, *part.shape[1:]), np.uint8)])
        yield taken, part


def _called(call: Callable[[Any], Outputs], part: tuple[int, NDArray[np.uint8]]) -> Outputs:
    taken, images = part
    return {name: values[:taken] for name, values in call(images).items()}

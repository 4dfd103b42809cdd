"""Random numbers that depend on (purpose, seed, epoch, index) and on nothing else.

Batches, threads, the number of pictures and earlier draws do not count, so one picture of one epoch can be
made again alone. The generator is SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number
generators", OOPSLA 2014): integer arithmetic only, the same in NumPy and in a TensorFlow graph, the same in
any version of either.
"""

import hashlib
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mri_tumor.errors import ArgumentError

_STEP = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def uniform(purpose: str, seed: int, epoch: int, indices: Any) -> NDArray[np.float64]:
    """Return one number a picture, uniform in [0, 1).

    Args:
        purpose: what is drawn, such as `"rotation"`; every purpose has a sequence of its own, so that a new
            one changes none of the others.
        seed: from 0.
        epoch: from 0.
        indices: whole numbers from 0, `(N,)`.

    >>> both, alone = uniform("mirror", 7, 0, [3, 4]), uniform("mirror", 7, 0, [4])
    >>> bool(both[1] == alone[0])
    True
    """
    counters = np.asarray(indices).astype(np.uint64).reshape(-1)
    bits: NDArray[np.uint64] = _mixed(counters, _key(purpose, seed, epoch)) // np.uint64(2**11)
    return bits.astype(np.float64) * 2.0**-53


def shuffled(count: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Return the order of an epoch: a permutation of 0..count-1, int64.

    >>> sorted(shuffled(5, seed=0, epoch=1).tolist())
    [0, 1, 2, 3, 4]
    """
    bits = _mixed(np.arange(count, dtype=np.uint64), _key("shuffle", seed, epoch))
    return np.argsort(bits, kind="stable").astype(np.int64)


def check_whole(name: str, value: Any, least: int) -> int:
    """Return `value` as an int.

    Raises:
        ArgumentError: it is no whole number, or less than `least`.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise ArgumentError(
            f"{name} is {value!r}", f"a whole number from {least}", f"pass {name}={least} or more"
        )
    return int(value)


def _key(purpose: str, seed: int, epoch: int) -> np.uint64:
    seed, epoch = check_whole("seed", seed, 0), check_whole("epoch", epoch, 0)
    digest = hashlib.sha256(f"{purpose}/{seed}/{epoch}".encode()).digest()
    return np.uint64(int.from_bytes(digest[:8], "little"))


def _mixed(counters: Any, key: np.uint64) -> Any:
    # `//` by a power of two is the shift that NumPy arrays and TensorFlow tensors both have.
    state = counters * _STEP + key
    state = (state ^ (state // np.uint64(2**30))) * _FIRST
    state = (state ^ (state // np.uint64(2**27))) * _SECOND
    return state ^ (state // np.uint64(2**31))

"""How good a heat map is: against the outline of what it should show, and against the network itself.

The first three hold a heat map against an outline drawn by hand: they say whether the network goes by what a
person would. `deletion` needs no outline: it says whether the network goes by what the map shows.
"""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from mri_tumor.errors import ArgumentError

SHARES = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0)
"""The shares of the pixels that `deletion` replaces."""

Ask = Callable[[NDArray[np.uint8]], NDArray[np.floating]]
"""From pictures, uint8 (n, size, size, 1), to the probability of one class, float (n,)."""


def pointing(heat: NDArray[np.floating], outline: NDArray[np.bool_]) -> bool:
    """Tell whether the hottest pixel lies inside (the pointing game, Zhang et al. 2018, arXiv:1608.00507).

    Args:
        heat: float (H, W), not below 0; without any heat the answer is no.
        outline: bool (H, W), which pixels lie inside.

    >>> pointing(np.array([[0, 1], [0.5, 0]]), np.array([[False, True], [False, False]]))
    True
    """
    _check_outline(heat, outline)
    return bool(heat.any() and outline.ravel()[heat.argmax()])


def energy(heat: NDArray[np.floating], outline: NDArray[np.bool_]) -> float:
    """Return which share of all heat lies inside (Wang et al. 2020, arXiv:1910.01279), 0-1; 0 without heat.

    >>> energy(np.array([[0, 1], [3, 0]]), np.array([[False, True], [False, False]]))
    0.25
    """
    _check_outline(heat, outline)
    total = float(heat.sum())
    return float(heat[outline].sum()) / total if total else 0.0


def overlap(heat: NDArray[np.floating], outline: NDArray[np.bool_]) -> float:
    """Return the intersection over union of the outline and the hottest area as large as it, 0-1.

    So there is no threshold to choose. Pixels without heat are never part of the hottest area.

    >>> overlap(np.array([[0, 1], [3, 2]]), np.array([[False, True], [True, False]]))
    0.3333333333333333
    """
    _check_outline(heat, outline)
    hottest = np.zeros(heat.size, np.bool_)
    hottest[order(heat)[: int(outline.sum())]] = True
    hottest &= heat.ravel() > 0
    either = (hottest | outline.ravel()).sum()
    return float((hottest & outline.ravel()).sum() / either) if either else 0.0


def deletion(
    ask: Ask,
    picture: NDArray[np.uint8],
    heat: NDArray[np.floating],
    instead: NDArray[np.uint8],
    *,
    shares: Sequence[float] = SHARES,
) -> float:
    """Return the area under the class's probability while the hottest pixels are replaced, 0-1.

    The lower, the sooner the network loses what it went by (Petsiuk et al. 2018, arXiv:1806.07421). Pixels of
    the same heat go in an order that is drawn once for all pictures.

    Args:
        ask: gives the probability of the explained class.
        picture: uint8 (size, size), as the network sees it.
        heat: float (size, size).
        instead: uint8 (size, size), what is shown where pixels were taken away, such as `occlusion.blur` of
            the picture.
        shares: of the pixels to replace, from 0 to 1, ascending; between them the curve is straight.

    Raises:
        ArgumentError: the shapes differ, or the shares do not go from 0 to 1.

    >>> bright = lambda shown: shown.mean(axis=(1, 2, 3)) / 255
    >>> deletion(bright, np.full((2, 2), 255, np.uint8), np.eye(2), np.zeros((2, 2), np.uint8), shares=(0, 1))
    0.5
    """
    _check(heat, picture)
    _check(heat, instead)
    if list(shares) != sorted(set(shares)) or (shares[0], shares[-1]) != (0, 1):
        raise ArgumentError(f"shares are {tuple(shares)}", "ascending from 0 to 1", "leave shares= out")
    hottest = order(heat)
    shown = np.repeat(picture.reshape(1, -1), len(shares), axis=0)
    for one, share in zip(shown, shares, strict=True):
        gone = hottest[: round(share * heat.size)]
        one[gone] = instead.ravel()[gone]
    found = np.asarray(ask(shown.reshape(-1, *picture.shape, 1)), np.float64)
    return float(np.trapezoid(found, np.asarray(shares)))


def order(heat: NDArray[np.floating]) -> NDArray[np.intp]:
    """Return the places of all pixels, the hottest first; equals in an order that is drawn once."""
    shuffled = np.random.default_rng(0).permutation(heat.size)
    return np.asarray(shuffled[np.argsort(-heat.ravel()[shuffled], kind="stable")], np.intp)


def _check_outline(heat: NDArray[np.floating], outline: NDArray[np.bool_]) -> None:
    _check(heat, outline)
    if outline.dtype != np.bool_:  # 0 and 255 would be taken for places
        raise ArgumentError(f"an outline of {outline.dtype}", "a bool mask", "pass outline > 0")


def _check(heat: NDArray[np.floating], other: NDArray[np.generic]) -> None:
    if heat.ndim != 2 or heat.shape != other.shape:
        raise ArgumentError(
            f"heat {heat.shape} and an array {other.shape}",
            "both (H, W)",
            "bring the outline to the heat map's square with Preprocess.placement(image).carry(mask)",
        )

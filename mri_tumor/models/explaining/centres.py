"""Which pixels the cells of a network's maps look at: the middle of what each cell sees.

A convolution that halves a picture of an even size pads it on one side only, so the cells of the next map sit
half a pixel further down and to the right than evenly spread ones; half a pixel of every later map is more of
the picture. In the last map of MobileNetV2 it has come to 15 pixels of 224, half a cell. Araujo et al. 2019
("Computing receptive fields of convolutional neural networks", Distill, doi:10.23915/distill.00021) follow
both numbers of an `Axis` through the layers, as is done here.
"""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from mri_tumor.models.explaining.maps import tensors


@dataclass(frozen=True)
class Axis:
    """How the cells of a map lie along the height or the width of the picture.

    Args:
        cells: how many there are.
        first: the pixel, counted from 0, in the middle of what the first one sees.
        step: pixels from one to the next.
    """

    cells: int
    first: float = 0.0
    step: float = 1.0

    def window(self, size: int, stride: int, before: float, cells: int) -> Self:
        """Return the axis of what slides a window over this one.

        Args:
            size: cells that the window covers from its first to its last.
            stride: cells from one window to the next.
            before: cells of padding before the first cell.
            cells: how many windows there are.
        """
        first = self.first + ((size - 1) / 2 - before) * self.step
        return type(self)(cells, first, self.step * stride)

    def spread(self, cells: int) -> Self:
        """Return that many cells, evenly over the same stretch."""
        step = self.step * self.cells / cells
        return type(self)(cells, self.first + (step - self.step) / 2, step)

    def to_pixels(self, size: int) -> NDArray[np.float32]:
        """Return weights (size, cells): a pixel's value is the mean of the cells on both sides of it.

        >>> Axis(2, first=1.0, step=2.0).to_pixels(4).tolist()
        [[1.0, 0.0], [1.0, 0.0], [0.5, 0.5], [0.0, 1.0]]
        """
        places = np.clip((np.arange(size) - self.first) / self.step, 0, self.cells - 1)
        distance = np.abs(places[:, None] - np.arange(self.cells))
        return np.asarray(np.maximum(1 - distance, 0), np.float32)


Grid = tuple[Axis, Axis]
"""Height and width."""


def to_pixels(model: Any, maps: list[Any]) -> list[tuple[NDArray[np.float32], ...]]:
    """Return for each map the weights of its rows (height, h) and columns (width, w) in the picture's pixels.

    Args:
        model: a functional network of pictures (N, height, width, 1).
        maps: tensors of it, symbolic (N, h, w, C).

    >>> import keras
    >>> image = keras.Input((8, 8, 1))
    >>> halved = keras.layers.Conv2D(1, 3, strides=2, padding="same")(image)
    >>> [(rows, columns)] = to_pixels(keras.Model(image, halved), [halved])
    >>> int(rows[:, 1].argmax())  # of eight rows; evenly spread it would be between 2 and 3
    3
    """
    known, picture = grids(model), model.inputs[0].shape[1:3]
    found = []
    for one in maps:
        axes = known.get(id(one)) or [
            Axis(size).spread(cells) for size, cells in zip(picture, one.shape[1:3], strict=True)
        ]
        found.append(tuple(axis.to_pixels(size) for axis, size in zip(axes, picture, strict=True)))
    return found


def grids(model: Any) -> dict[int, Grid]:
    """Return the grids of a network's maps, by the `id` of the symbolic tensor, where they can be followed.

    What is no convolution, pool, padding or cropping and keeps height and width keeps its places as well;
    what changes them otherwise is taken to spread its cells evenly.
    """
    found: dict[int, Grid] = {id(one): (Axis(one.shape[1]), Axis(one.shape[2])) for one in model.inputs}
    for layer in model.operations:
        before = [found[id(one)] for one in tensors(layer.input) if id(one) in found]
        for output in tensors(layer.output):
            if before and len(output.shape) == 4 and None not in output.shape[1:3]:
                found.setdefault(id(output), _grid(layer, before, output.shape[1:3]))
    return found


def _grid(layer: Any, before: list[Grid], shape: tuple[int, int]) -> Grid:
    axes = zip(*before, strict=True)  # of all inputs, height and width
    height, width = (_axis(layer, place, list(one), shape[place]) for place, one in enumerate(axes))
    return height, width


def _axis(layer: Any, place: int, inputs: list[Axis], cells: int) -> Axis:
    """Return one axis of a layer's output.

    Args:
        layer: the layer.
        place: 0 for height, 1 for width.
        inputs: this axis of each of its inputs.
        cells: how many the output has.
    """
    most = max(axis.cells for axis in inputs)  # beside a map, squeezed ones have a single cell
    one = _mean([axis for axis in inputs if axis.cells == most])
    cut = getattr(layer, "padding", None) or getattr(layer, "cropping", None)
    if isinstance(cut, tuple):
        sign = 1 if hasattr(layer, "padding") else -1
        return one.window(1, 1, sign * cut[place][0], cells)
    size = getattr(layer, "kernel_size", None) or getattr(layer, "pool_size", None)
    if size is not None and cut in ("same", "valid") and cells <= one.cells:
        stride, dilation = layer.strides[place], getattr(layer, "dilation_rate", (1, 1))[place]
        covered = (size[place] - 1) * dilation + 1
        missing = max((cells - 1) * stride + covered - one.cells, 0) if cut == "same" else 0
        return one.window(covered, stride, missing // 2, cells)
    return one if one.cells == cells else one.spread(cells)


def _mean(axes: list[Axis]) -> Axis:
    """Return what lies between branches that meet: a block and its shortcut may halve a map differently."""
    first, step = (float(np.mean([getattr(axis, name) for axis in axes])) for name in ("first", "step"))
    return Axis(axes[0].cells, first, step)

"""The learning rate of every step: a height, which a plateau may lower, times a curve over the epochs."""

import math
from collections.abc import Sequence
from typing import Any

import keras

from mri_tumor.models.recipe import Recipe


def curve(
    position: float, *, schedule: str = "constant", epochs: int, warmup: int = 0, floor: float = 0.0
) -> float:
    """Return which share of the full learning rate a step has.

    It follows from the position alone, so a run that was interrupted goes on along the same curve, and
    so does a run on more pictures, whose epochs have more steps.

    The rate first rises in a straight line (Goyal et al., "Accurate, large minibatch SGD", 2017). After that
    `"cosine"` lets it fall along half a cosine (Loshchilov and Hutter, "SGDR", 2017); the others keep it.

    Args:
        position: where the step is, in epochs from the beginning of the phase, below `epochs`.
        schedule: `"plateau"`, `"cosine"` or `"constant"`.
        epochs: the whole length of the phase, whether or not it stops early.
        warmup: epochs in which the rate rises; with `epochs` or more it never ends.
        floor: the share at the very end of the cosine, from 0 to 1.

    Returns:
        From 0 to 1.

    >>> [curve(position, epochs=4, warmup=2, schedule="cosine") for position in (0, 1, 2, 3)]
    [0.0, 0.5, 1.0, 0.5]
    """
    if position < warmup:
        return position / warmup
    if schedule != "cosine":
        return 1.0
    done = (position - warmup) / (epochs - warmup)
    return floor + (1 - floor) * (1 + math.cos(math.pi * done)) / 2


class Pace(keras.callbacks.Callback):  # type: ignore[misc]  # keras has no types
    """Give every step its learning rate: that in the middle of the step, so that no step has the rate 0.

    Between the epochs the optimizer has the height of the curve as its rate: that is what
    `ReduceLROnPlateau` reads and lowers, and what a checkpoint keeps.

    Args:
        recipe: schedule, warm-up and the smallest rate.
        epochs: the length of the phase.
        steps: steps an epoch.
        peak: the full learning rate of the phase.
        heights: the height in each epoch, instead of the optimizer's own.
    """

    def __init__(
        self, recipe: Recipe, *, epochs: int, steps: int, peak: float, heights: Sequence[float] | None = None
    ) -> None:
        super().__init__()
        self.recipe, self.epochs, self.steps, self.heights = recipe, epochs, steps, heights
        self.floor = min(recipe.min_learning_rate / peak, 1.0)
        self.epoch, self.height, self.rate = 0, 0.0, 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Take the epoch's height."""
        self.epoch = epoch
        if self.heights is not None:
            self.model.optimizer.learning_rate = self.heights[epoch]
        self.height = self.rate = float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate))

    def on_train_batch_begin(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Set the step's rate."""
        share = curve(
            self.epoch + (batch + 0.5) / self.steps,
            schedule=self.recipe.schedule,
            epochs=self.epochs,
            warmup=self.recipe.warmup,
            floor=self.floor,
        )
        if self.rate != self.height * share:
            self.rate = self.height * share
            self.model.optimizer.learning_rate = self.rate

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Give the optimizer the height again; `rate` stays that of the last step."""
        self.model.optimizer.learning_rate = self.height

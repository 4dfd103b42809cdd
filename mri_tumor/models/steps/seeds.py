"""The states of the layers' generators of random numbers: what dropout draws from."""

from typing import Any

import numpy as np


def seed_states(model: Any) -> list[Any]:
    """Return the variables that the layers draw from, in the order of the layers."""
    return [variable for variable in model.variables if variable.name == "seed_generator_state"]


def seed_layers(model: Any, *, seed: int, epoch: int, worker: int = 0) -> None:
    """Set what the layers draw in an epoch: it follows from these numbers alone.

    Args:
        model: built.
        seed: from 0.
        epoch: from 0.
        worker: worker 0 draws what one process would draw; the others draw something else, since they have
            other pictures.
    """
    for number, state in enumerate(seed_states(model)):
        place = [worker] if worker else []
        draw = np.random.default_rng([seed, epoch, number, *place]).integers(2**31)
        state.assign(np.array([draw, 0]).astype(state.dtype))

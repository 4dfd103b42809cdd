"""Hyperparameters as the platform keeps them: names and texts."""

import json
import re
from collections.abc import Mapping
from typing import Any

from mri_tumor.errors import ArgumentError

NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
"""The form of names of hyperparameters and channels."""

_MOST = 100
_LONGEST = 2500


def as_texts(hyperparameters: Mapping[str, Any]) -> dict[str, str]:
    """Return hyperparameters as texts; what is no text already is written as JSON.

    Raises:
        ArgumentError: a value cannot be written, or is above a limit of the platform.

    >>> as_texts({"model": "small_cnn", "epochs": 3, "augment": None})
    {'model': 'small_cnn', 'epochs': '3', 'augment': 'null'}
    """
    if not isinstance(hyperparameters, Mapping) or len(hyperparameters) > _MOST:
        raise ArgumentError(
            "hyperparameters is no mapping, or has too many names",
            f"at most {_MOST} of them",
            "leave some out",
        )
    return {name: _as_text(name, value) for name, value in hyperparameters.items()}


def check_values(hyperparameters: Mapping[str, str], *, instance_count: int = 1) -> None:
    """Read hyperparameters as the job will, so that what is wrong is known before an instance is paid for.

    What the values of a network's own options may be, and whether a recipe suits it, the job alone knows.

    Args:
        hyperparameters: name -> text.
        instance_count: how many hosts the job has.

    Raises:
        ArgumentError: a value is of the wrong kind, outside its range, or means nothing on several hosts.
    """
    from mri_tumor.cloud.container.settings import parse

    argv = [word for name, value in hyperparameters.items() for word in (f"--{name}", value)]
    settings = parse(argv)
    settings.recipe_for(instance_count)
    settings.check_options()


def _as_text(name: str, value: Any) -> str:
    try:
        text = value if isinstance(value, str) else json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise ArgumentError(
            f"the hyperparameter {name!r} is {value!r:.80}",
            "a number, text, boolean or None, or a list or object of these",
            "convert it; files are passed to fit as channels",
        ) from error
    # A single quote ends SageMaker's start-up before the job's first line.
    if not isinstance(name, str) or not NAME.fullmatch(name) or "'" in text or len(text) > _LONGEST:
        raise ArgumentError(
            f"the hyperparameter {name!r} is {text!r:.80}",
            f"1 to 64 letters, digits, '.', '_' and '-' in its name; at most {_LONGEST} characters and no ' "
            "in its value",
            "change it",
        )
    return text

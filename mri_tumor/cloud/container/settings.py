"""Hyperparameters: from the command line of a job to typed choices."""

import ast
import difflib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from mri_tumor.errors import ArgumentError

if TYPE_CHECKING:
    from mri_tumor.models.recipe import Recipe

_OWN = ("model", "weights", "preset", "refit", "allow_leakage")
# What SDKs and the platform's tuning add for themselves.
_FOREIGN = ("sagemaker_", "_tuning_", "model_dir")


@dataclass(frozen=True)
class Settings:
    """What a job's hyperparameters say.

    Args:
        model: one of `models.available()`.
        weights: None or `"imagenet"`; a file of weights comes as the channel `weights`.
        preset: a named recipe, or None; `choices` change fields of it.
        refit: after selection on validation, train anew on all.
        allow_leakage: train although the two channels share pictures or groups.
        choices: fields of `Recipe`.
        augment: fields of `Augment`.
        options: what is left, for `models.build`: dropout, frozen and the network's own options.
    """

    model: str = "small_cnn"
    weights: str | None = None
    preset: str | None = None
    refit: bool = False
    allow_leakage: bool = False
    choices: Mapping[str, Any] = field(default_factory=dict)
    augment: Mapping[str, Any] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)

    @staticmethod
    def known() -> tuple[str, ...]:
        """Return the names that every job knows, whatever its network."""
        choices, augment = _names()
        return (*_OWN, "dropout", "frozen", *choices, *augment)

    def check_options(self) -> None:
        """Refuse a network or options of it that there are not; nothing is built.

        Raises:
            ArgumentError: it names what every job knows, and what may have been meant.
        """
        from mri_tumor.models.builders import check_options

        try:
            check_options(self.model, self.weights, **self.options)
        except ArgumentError as error:
            if not self.options:
                raise
            known = f"{error.expected}; besides, every job knows {', '.join(self.known())}"
            near = [
                match for name in self.options for match in difflib.get_close_matches(name, self.known(), 1)
            ]
            fix = f"did you mean {near[0]!r}?" if near else error.fix
            raise ArgumentError(error.found, known, fix) from error

    def recipe(self) -> "Recipe":
        """Return the recipe.

        Raises:
            ArgumentError: a value is of the wrong kind or outside its range.
        """
        from mri_tumor.dataset.augment import Augment
        from mri_tumor.models.recipe import Recipe, preset_fields

        named = {} if self.preset is None else preset_fields(self.preset)
        choices = {**named, **self.choices}
        given = choices.pop("augment", True)
        if given is None or given is False:
            if self.augment:
                raise ArgumentError(
                    f"augment is off, and {', '.join(self.augment)} given", "one of the two", "leave one out"
                )
            return Recipe.from_dict({**choices, "augment": None})
        if given is not True and not isinstance(given, Mapping):
            raise ArgumentError(f"augment is {given!r}", "true, false or an object", "leave it out")
        changes = {**(given if given is not True else {}), **self.augment}
        return Recipe.from_dict({**choices, "augment": {**Augment().to_dict(), **changes}})

    def recipe_for(self, hosts: int) -> "Recipe":
        """Return the recipe for a job on so many hosts; several work through the steps together.

        Raises:
            ArgumentError: a value is outside its range, or several hosts cannot share the recipe's work.
        """
        recipe = self.recipe()
        if hosts == 1:
            return recipe
        devices = self.choices.get("devices", "workers")
        if recipe.head_solver == "newton" or devices != "workers":
            found = (
                "solves its head at once" if recipe.head_solver == "newton" else f"has devices={devices!r}"
            )
            raise ArgumentError(
                f"the job runs on {hosts} hosts, and its recipe {found}",
                "a recipe whose steps several hosts can share",
                "set instance_count to 1, or leave devices out and pass head_solver='adamw'",
            )
        if recipe.batch_size % hosts:
            raise ArgumentError(
                f"the job runs on {hosts} hosts, which share batches, and batch_size is {recipe.batch_size}",
                f"a multiple of {hosts}",
                f"pass batch_size={hosts * -(-recipe.batch_size // hosts)}",
            )
        return recipe.replace(devices="workers")


def parse(argv: Sequence[str]) -> Settings:
    """Read hyperparameters from a command line, with values in JSON or as Python writes them.

    Args:
        argv: `--name value` or `--name=value`, again and again.

    Raises:
        ArgumentError: something else, or a value that its name does not take.

    >>> settings = parse(["--epochs", "3", "--refit", "True", "--rotation", "10", "--model_dir", "s3://b/m"])
    >>> settings.refit, settings.recipe().epochs, settings.recipe().augment.rotation
    (True, 3, 10.0)
    """
    values = {name: value_of(text) for name, text in _pairs(argv) if not name.startswith(_FOREIGN)}
    choices, augment = _names()
    settings = Settings(
        **{name: values.pop(name) for name in _OWN if name in values},
        choices={name: values.pop(name) for name in choices if name in values},
        augment={name: values.pop(name) for name in augment if name in values},
        options=values,
    )
    _check(settings)
    settings.recipe()
    return settings


def value_of(text: str) -> Any:
    """Return the value that a text stands for; a text that is neither JSON nor Python stands for itself.

    >>> value_of("true"), value_of("True"), value_of("1e-3"), value_of("small_cnn"), value_of('"8"')
    (True, True, 0.001, 'small_cnn', 8)
    """
    for read in (json.loads, ast.literal_eval):
        try:
            value = read(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
        # SageMaker's tuning puts its choices into quotes of their own.
        return value_of(value) if isinstance(value, str) and value != text else value
    return text


def _pairs(argv: Sequence[str]) -> list[tuple[str, str]]:
    pairs, rest = [], list(argv)
    while rest:
        name, equals, value = rest.pop(0).partition("=")
        if not name.startswith("--") or not (equals or rest):
            raise ArgumentError(
                f"the hyperparameter {name[:80]!r} "
                + ("has no value" if name.startswith("--") else "has no --"),
                "--name value",
                f"give them as --name value, the names being {', '.join(Settings.known())}",
            )
        pairs.append((name.removeprefix("--").replace("-", "_"), value if equals else rest.pop(0)))
    return pairs


def _names() -> tuple[tuple[str, ...], tuple[str, ...]]:
    from mri_tumor.dataset.augment import Augment
    from mri_tumor.models.recipe import Recipe

    return tuple(item.name for item in fields(Recipe)), tuple(item.name for item in fields(Augment))


def _check(settings: Settings) -> None:
    text, either = (str, "a text"), (bool, "true or false")
    or_none = (str | None, "a text, or null")
    kinds: dict[str, tuple[Any, str]] = {
        "model": text,
        "weights": or_none,
        "preset": or_none,
        "refit": either,
        "allow_leakage": either,
    }
    for name, (kind, expected) in kinds.items():
        value = getattr(settings, name)
        if not isinstance(value, kind):
            raise ArgumentError(f"the hyperparameter {name} is {value!r}", expected, f"leave {name} out")

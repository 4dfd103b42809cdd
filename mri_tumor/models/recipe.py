"""Every choice of a training run in one frozen object that is written into the run's manifest."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from mri_tumor.errors import ArgumentError
from mri_tumor.files import digest_of

if TYPE_CHECKING:
    from mri_tumor.dataset.augment import Augment

CLASS_WEIGHTS = ("balanced", "none")
"""What `Recipe.class_weights` may be."""

_NUMBERS: tuple[tuple[str, str, Callable[[float], bool]], ...] = (
    ("learning_rate", "above 0", lambda value: value > 0),
    ("weight_decay", "from 0", lambda value: value >= 0),
    ("lr_factor", "between 0 and 1", lambda value: 0 < value < 1),
    ("min_learning_rate", "from 0", lambda value: value >= 0),
)


def _default_augment() -> "Augment":
    from mri_tumor.dataset.augment import Augment

    return Augment()


@dataclass(frozen=True)
class Recipe:
    """Every training choice; the defaults suit a frozen pretrained backbone and a small network alike.

    Args:
        epochs: at most so many passes over the training pictures, 1 or more. With cached features a pass
            covers the originals and all their copies.
        batch_size: pictures a step, 1 or more.
        learning_rate: AdamW's step size at the start, above 0.
        weight_decay: AdamW's decoupled decay a step, as a share of the learning rate; 0 or more. It does not
            touch biases and normalisation.
        augment: how training pictures are varied, None for not at all. A whole network sees another variation
            in every epoch; a frozen backbone sees the originals and `copies` variations.
        copies: augmented copies of every training picture whose features are cached, 0 or more. Counts only
            where features are cached and `augment` is given.
        cache_features: compute a frozen backbone's features once and train the layers after it on those.
            False runs the whole network on line.
        class_weights: `"balanced"` weighs a picture by total / (classes x pictures of its class), so that
            every class counts the same; `"none"` weighs all pictures alike.
        patience: stop after so many epochs without a lower validation loss, 1 or more; None never stops.
        lr_patience: reduce the learning rate after so many epochs without a lower validation loss, 1 or
            more; None never reduces it.
        lr_factor: what the learning rate is multiplied by then, between 0 and 1, both excluded.
        min_learning_rate: the learning rate is not reduced below this, 0 or more.
        seed: what shuffling, augmentation and dropout are drawn from, together with the epoch; from 0 to
            2**31 - 1.

    Raises:
        ArgumentError: a value is outside its range.

    >>> recipe = Recipe(epochs=5, augment=None)
    >>> Recipe.from_dict(recipe.to_dict()) == recipe
    True
    >>> recipe.replace(seed=1).digest == recipe.digest
    False
    """

    epochs: int = 60
    batch_size: int = 32
    learning_rate: float = 1e-3
    weight_decay: float = 1e-2
    augment: "Augment | None" = field(default_factory=_default_augment)
    copies: int = 2
    cache_features: bool = True
    class_weights: str = "balanced"
    patience: int | None = 8
    lr_patience: int | None = 3
    lr_factor: float = 0.5
    min_learning_rate: float = 1e-6
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            _check_whole(name, getattr(self, name), 1)
        for name in ("patience", "lr_patience"):
            if getattr(self, name) is not None:
                _check_whole(name, getattr(self, name), 1, " or None")
        _check_whole("copies", self.copies, 0)
        _check_whole("seed", self.seed, 0)
        if self.seed >= 2**31:
            raise ArgumentError(f"seed is {self.seed}", "a whole number below 2**31", "pass seed=0")
        for name, expected, good in _NUMBERS:
            _check_number(name, getattr(self, name), expected, good)
            # 1 and 1.0 are the same recipe and must have the same digest.
            object.__setattr__(self, name, float(getattr(self, name)))
        _check_choices(self)

    def replace(self, **changes: Any) -> Self:
        """Return a recipe with some fields changed.

        Raises:
            ArgumentError: a field is unknown, or a value is outside its range.
        """
        _check_known(changes)
        return dataclasses.replace(self, **changes)

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as a JSON object."""
        card = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        return card | {"augment": None if self.augment is None else self.augment.to_dict()}

    @classmethod
    def from_dict(cls, card: Mapping[str, Any]) -> Self:
        """Read what `to_dict` wrote; fields that are left out have their defaults.

        Raises:
            ArgumentError: a field is unknown, or a value is outside its range.
        """
        from mri_tumor.dataset.augment import Augment

        if not isinstance(card, Mapping):
            raise ArgumentError(
                f"the recipe is {card!r:.60}", "a JSON object", "pass what Recipe.to_dict gives"
            )
        _check_known(card)
        fields = dict(card)
        if isinstance(fields.get("augment"), Mapping):
            fields["augment"] = Augment.from_dict(fields["augment"])
        return cls(**fields)

    @property
    def digest(self) -> str:
        """SHA-256 over all fields."""
        return digest_of(self.to_dict())


def _check_known(given: Mapping[str, Any]) -> None:
    known = [item.name for item in dataclasses.fields(Recipe)]
    unknown = [str(name) for name in given if name not in known]
    if unknown:
        raise ArgumentError(
            f"a recipe has no {', '.join(unknown)}", f"some of {', '.join(known)}", "check the spelling"
        )


def _check_whole(name: str, value: Any, least: int, more: str = "") -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ArgumentError(
            f"{name} is {value!r}",
            f"a whole number from {least}{more}",
            f"pass {name}={max(least, 1)} or more",
        )


def _check_number(name: str, value: Any, expected: str, good: Callable[[float], bool]) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not math.isfinite(value) or not good(value):
        raise ArgumentError(
            f"{name} is {value!r}", f"a number {expected}", f"leave {name} out for the default"
        )


def _check_choices(recipe: Recipe) -> None:
    from mri_tumor.dataset.augment import Augment

    if recipe.augment is not None and not isinstance(recipe.augment, Augment):
        raise ArgumentError(
            f"augment is {recipe.augment!r:.60}", "an Augment or None", "pass augment=Augment()"
        )
    if not isinstance(recipe.cache_features, bool):
        raise ArgumentError(
            f"cache_features is {recipe.cache_features!r}", "True or False", "pass one of them"
        )
    if recipe.class_weights not in CLASS_WEIGHTS:
        raise ArgumentError(
            f"class_weights is {recipe.class_weights!r}",
            f"one of {', '.join(CLASS_WEIGHTS)}",
            'pass class_weights="balanced"',
        )

"""Every choice of a training run in one frozen object that is written into the run's manifest."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

from mri_tumor.errors import ArgumentError
from mri_tumor.files import digest_of
from mri_tumor.models.fitting.choices import Check, flag, number, numbers, one_of, optional, whole

if TYPE_CHECKING:
    from mri_tumor.dataset.augment import Augment

_TOP: dict[str, Any] = {
    "head_solver": "newton",
    "tta": "mirror",
    "fine_epochs": 10,
    "fine_share": 1.0,
    "fine_learning_rate": 3e-4,
    "schedule": "cosine",
    "warmup": 1,
    "label_smoothing": 0.1,
    "clip_norm": 1.0,
    "ema": 0.98,
}

PRESETS: dict[str, dict[str, Any]] = {
    "fast": {"head_solver": "newton", "copies": 0},
    "standard": _TOP,
    "best": _TOP | {"folds": 5},
}
"""What `Recipe.preset` knows: name -> the fields that differ from the defaults."""


def _default_augment() -> "Augment":
    from mri_tumor.dataset.augment import Augment

    return Augment()


@dataclass(frozen=True)
class Recipe:
    """Every training choice; the defaults suit a frozen pretrained backbone and a small network alike.

    A run has one or two phases. The first trains what is free in the network that is given: the whole of it,
    or the head of a frozen backbone. If `fine_epochs` is above 0, a second one goes on with the top of the
    backbone as well, at its own smaller rate.

    Args:
        epochs: at most so many passes over the training pictures in the first phase, 1 or more. With cached
            features a pass covers the originals and all their copies.
        batch_size: pictures a step, 1 or more.
        learning_rate: AdamW's step size in the first phase, above 0; where it starts, or with a warm-up what
            it rises to.
        weight_decay: AdamW's decoupled decay a step, as a share of the learning rate; 0 or more. It does not
            touch biases and normalisation.
        schedule: `"plateau"` multiplies the rate by `lr_factor` after `lr_patience` epochs without a lower
            validation loss; `"cosine"` lets it fall to `min_learning_rate` along half a cosine; `"constant"`
            keeps it.
        warmup: epochs in which the rate rises in a straight line from 0 at the beginning of a phase, from 0.
        lr_patience: see `schedule`, 1 or more.
        lr_factor: see `schedule`, between 0 and 1, both excluded.
        min_learning_rate: the rate is not reduced below this, 0 or more.
        patience: stop a phase after so many epochs without a lower validation loss, 1 or more; None never
            stops. The best epoch is kept in any case.
        fine_epochs: at most so many epochs of the second phase, 0 for none. It needs a frozen backbone.
        fine_share: the share of the backbone's layers that the second phase trains, counted from the
            features down, above 0, up to 1. Batch normalisation with given weights stays as it is.
        fine_learning_rate: the step size of the second phase, above 0.
        head_solver: how the layers after cached features are fitted: `"adamw"` in steps, or `"newton"`, which
            needs one dense layer there and finds the optimum of its logistic regression with an L2 penalty.
        strengths: with `"newton"` what is tried as scikit-learn's C, each above 0: the weight of the data
            beside the penalty, so the larger, the closer the fit. The one with the lowest validation loss is
            taken.
        augment: how training pictures are varied, None for not at all. A whole network sees another variation
            in every epoch; a frozen backbone sees the originals and `copies` variations.
        copies: augmented copies of every training picture whose features are cached, 0 or more. Counts only
            where features are cached and `augment` is given.
        cache_features: compute a frozen backbone's features once and train the layers after it on those.
            False runs the whole network on line.
        mixup: blend pictures and labels by `dataset.MixUp` with this alpha, from 0 (not at all) to 100.
        label_smoothing: the share of each label that is spread over all classes, from 0 to below 1.
        class_weights: `"balanced"` weighs a picture by total / (classes x pictures of its class), so that
            every class counts the same; `"sampling"` draws every class equally often instead; `"none"` takes
            all pictures alike.
        ema: the momentum of a moving average of the weights which is validated and kept instead of the
            weights themselves, between 0 and 1; None for none.
        clip_norm: the gradients' common norm is cut to this, above 0; None leaves it.
        folds: train so many networks on training and validation pictures together, each selected by another
            part of the groups and never shown one more part, and answer by the mean of their logits; 3 or
            more. None trains one network.
        tta: `"mirror"` answers by the mean of the logits of a picture and its mirror image (test-time
            augmentation); `"none"` by the picture alone.
        precision: `"mixed_bfloat16"` or `"mixed_float16"` compute in half precision; weights, logits and the
            finished classifier are float32 in any case.
        devices: `"one"` device; `"mirrored"` spreads each batch over all GPUs of this machine; `"workers"`
            over several machines, as `TF_CONFIG` names them.
        tensorboard: write logs for TensorBoard into the run's folder.
        seed: what shuffling, augmentation, MixUp and dropout are drawn from, together with epoch and index;
            from 0 to 2**31 - 1.

    Raises:
        ArgumentError: a value is outside its range, or fields contradict each other.

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
    schedule: str = "plateau"
    warmup: int = 0
    lr_patience: int = 3
    lr_factor: float = 0.5
    min_learning_rate: float = 1e-6
    patience: int | None = 8
    fine_epochs: int = 0
    fine_share: float = 0.3
    fine_learning_rate: float = 1e-5
    head_solver: str = "adamw"
    strengths: tuple[float, ...] = (0.001, 0.003, 0.01, 0.03)
    augment: "Augment | None" = field(default_factory=_default_augment)
    copies: int = 2
    cache_features: bool = True
    mixup: float = 0.0
    label_smoothing: float = 0.0
    class_weights: str = "balanced"
    ema: float | None = None
    clip_norm: float | None = None
    folds: int | None = None
    tta: str = "none"
    precision: str = "float32"
    devices: str = "one"
    tensorboard: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        from mri_tumor.dataset.augment import check_augment

        for name, check in _CHECKS.items():
            object.__setattr__(self, name, check(name, getattr(self, name)))
        check_augment(self.augment)
        _check_together(self)

    @classmethod
    def preset(cls, name: str, **changes: Any) -> Self:
        """Return a named recipe, with some fields changed.

        * `"fast"`: a frozen backbone's features, once, and the optimum of the head.
        * `"standard"`: the same with augmented copies, then the whole network, pictures varied anew in every
          epoch: tens of times the work of `"fast"`, so take a GPU.
        * `"best"`: `standard` on five folds, answered by all five networks together.

        Raises:
            ArgumentError: the name or a field is unknown, or a value is outside its range.

        >>> Recipe.preset("fast", seed=3).head_solver
        'newton'
        """
        _check_known(changes)
        return cls(**(preset_fields(name) | changes))

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
        card["strengths"] = list(self.strengths)
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


def preset_fields(name: str) -> dict[str, Any]:
    """Return the fields of a preset that differ from the defaults.

    Raises:
        ArgumentError: the name is unknown.
    """
    if name not in PRESETS:
        raise ArgumentError(
            f"there is no preset {name!r}", f"one of {', '.join(PRESETS)}", "correct the name"
        )
    return dict(PRESETS[name])


def _positive(value: float) -> bool:
    return value > 0


def _from_zero(value: float) -> bool:
    return value >= 0


def _inside(value: float) -> bool:
    return 0 < value < 1


_CHECKS: dict[str, Check] = {
    "epochs": whole(1),
    "batch_size": whole(1),
    "learning_rate": number("above 0", _positive),
    "weight_decay": number("from 0", _from_zero),
    "schedule": one_of("plateau", "cosine", "constant"),
    "warmup": whole(0),
    "lr_patience": whole(1),
    "lr_factor": number("between 0 and 1", _inside),
    "min_learning_rate": number("from 0", _from_zero),
    "patience": optional(whole(1)),
    "fine_epochs": whole(0),
    "fine_share": number("above 0, up to 1", lambda value: 0 < value <= 1),
    "fine_learning_rate": number("above 0", _positive),
    "head_solver": one_of("adamw", "newton"),
    "strengths": numbers("above 0", _positive),
    "copies": whole(0),
    "cache_features": flag,
    "mixup": number("from 0 to 100", lambda value: 0 <= value <= 100),
    "label_smoothing": number("from 0 to below 1", lambda value: 0 <= value < 1),
    "class_weights": one_of("balanced", "sampling", "none"),
    "ema": optional(number("between 0 and 1", _inside)),
    "clip_norm": optional(number("above 0", _positive)),
    "folds": optional(whole(3)),
    "tta": one_of("none", "mirror"),
    "precision": one_of("float32", "mixed_bfloat16", "mixed_float16"),
    "devices": one_of("one", "mirrored", "workers"),
    "tensorboard": flag,
    "seed": whole(0, below=2**31),
}

_FIRST_STEPS = ("epochs", "learning_rate")
"""Fields that mean something only where the first phase changes weights step by step."""

_ANY_STEPS = (
    *("mixup", "label_smoothing", "ema", "clip_norm", "warmup", "tensorboard", "batch_size", "weight_decay"),
    *("schedule", "lr_patience", "lr_factor", "min_learning_rate", "patience"),
)
"""Fields that mean something only where some phase does."""


def _check_known(given: Mapping[str, Any]) -> None:
    known = [item.name for item in dataclasses.fields(Recipe)]
    unknown = [str(name) for name in given if name not in known]
    if unknown:
        raise ArgumentError(
            f"a recipe has no {', '.join(unknown)}", f"some of {', '.join(known)}", "check the spelling"
        )


def _check_together(recipe: Recipe) -> None:
    """Refuse fields that would be set aside in silence."""
    if recipe.head_solver != "newton":
        return
    if not recipe.cache_features:
        raise ArgumentError(
            "head_solver is 'newton' without cached features",
            "cache_features=True, since the solver sees all features at once",
            'pass head_solver="adamw", or cache the features',
        )
    if recipe.class_weights == "sampling":
        raise ArgumentError(
            "class_weights is 'sampling' with head_solver='newton', which draws nothing",
            "'balanced', which has the same aim, or 'none'",
            'pass class_weights="balanced"',
        )
    usual = {item.name: item.default for item in dataclasses.fields(Recipe)}
    idle = _FIRST_STEPS if recipe.fine_epochs else _FIRST_STEPS + _ANY_STEPS
    unused = [name for name in idle if getattr(recipe, name) != usual[name]]
    if unused:
        raise ArgumentError(
            f"{', '.join(unused)} with head_solver='newton', whose first phase takes no steps",
            "head_solver='adamw', or fine_epochs and fine_learning_rate for a second phase",
            f"leave {', '.join(unused)} out",
        )
    if not (recipe.copies or recipe.fine_epochs) and recipe.augment not in (None, _default_augment()):
        raise ArgumentError(
            "augment is given with head_solver='newton', no copies and no second phase: nothing is varied",
            "copies above 0, so that the head sees augmented copies too",
            "pass copies=2, or leave augment out",
        )

import json
from dataclasses import FrozenInstanceError, fields

import pytest

from mri_tumor.dataset.augment import Augment
from mri_tumor.errors import ArgumentError
from mri_tumor.models.recipe import PRESETS, Recipe


def test_a_recipe_survives_json():
    recipe = Recipe(epochs=3, augment=Augment(rotation=5), patience=None, class_weights="none", strengths=[1])
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe
    assert Recipe.from_dict({"augment": None}).augment is None


def test_every_field_counts_for_the_digest_and_is_documented():
    other = {
        "epochs": 1, "batch_size": 3, "learning_rate": 0.5, "weight_decay": 0.5, "schedule": "cosine",
        "warmup": 2, "lr_patience": 5, "lr_factor": 0.9, "min_learning_rate": 0.1, "patience": None,
        "fine_epochs": 4, "fine_share": 1.0, "fine_learning_rate": 1e-4, "head_solver": "newton",
        "strengths": (1.0,), "augment": None, "copies": 9, "cache_features": False, "mixup": 0.2,
        "label_smoothing": 0.1, "class_weights": "none", "ema": 0.9, "clip_norm": 1.0, "folds": 5,
        "tta": "mirror", "precision": "mixed_bfloat16", "devices": "mirrored", "tensorboard": True, "seed": 5,
    }  # fmt: skip
    assert set(other) == {item.name for item in fields(Recipe)}
    digests = {Recipe().replace(**{name: value}).digest for name, value in other.items()}
    assert len(digests | {Recipe().digest}) == len(other) + 1
    assert all(f"        {name}: " in str(Recipe.__doc__) for name in other)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("epochs", 0),
        ("epochs", 1.5),
        ("epochs", True),
        ("batch_size", 0),
        ("learning_rate", 0.0),
        ("learning_rate", "0.1"),
        ("learning_rate", float("nan")),
        ("weight_decay", -1e-9),
        ("augment", {"rotation": 5}),
        ("copies", -1),
        ("cache_features", 1),
        ("class_weights", "yes"),
        ("class_weights", None),
        ("patience", 0),
        ("schedule", "linear"),
        ("warmup", -1),
        ("lr_patience", "3"),
        ("lr_patience", None),
        ("lr_factor", 1.0),
        ("min_learning_rate", -1.0),
        ("fine_epochs", -1),
        ("fine_share", 0.0),
        ("fine_learning_rate", 0),
        ("head_solver", "sgd"),
        ("strengths", ()),
        ("strengths", "0.1"),
        ("strengths", (0.1, 0.0)),
        ("mixup", 101),
        ("label_smoothing", 1.0),
        ("ema", 1.0),
        ("clip_norm", 0.0),
        ("folds", 1),
        ("tta", "flip"),
        ("precision", "float16"),
        ("devices", "all"),
        ("tensorboard", "yes"),
        ("seed", -1),
        ("seed", 2**31),
    ],
)
def test_values_outside_their_range_are_refused_by_name(name, value):
    with pytest.raises(ArgumentError, match=name):
        Recipe(**{name: value})
    with pytest.raises(ArgumentError, match=name):
        Recipe().replace(**{name: value})


def test_unknown_fields_are_refused_and_the_known_ones_listed():
    with pytest.raises(ArgumentError, match=r"learning_rte.*batch_size.*learning_rate"):
        Recipe.from_dict({"learning_rte": 0.1})
    with pytest.raises(ArgumentError, match="epoch"):
        Recipe().replace(epoch=3)
    with pytest.raises(ArgumentError, match="JSON object"):
        Recipe.from_dict("fast")


def test_a_recipe_cannot_be_changed():
    with pytest.raises(FrozenInstanceError):
        Recipe().epochs = 3


def test_whole_numbers_are_the_same_recipe_as_their_floats():
    assert (
        Recipe(learning_rate=1, weight_decay=0).digest == Recipe(learning_rate=1.0, weight_decay=0.0).digest
    )


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_recipes_that_can_be_changed(name):
    recipe = Recipe.preset(name, seed=7, strengths=(0.1,))
    assert recipe == Recipe(**(PRESETS[name] | {"seed": 7, "strengths": (0.1,)}))
    with pytest.raises(ArgumentError, match="epoch"):
        Recipe.preset(name, epoch=3)


def test_an_unknown_preset_is_refused_and_the_known_ones_listed():
    with pytest.raises(ArgumentError, match=r"quick.*fast, standard, best"):
        Recipe.preset("quick")


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"cache_features": False}, "cached features"),
        ({"class_weights": "sampling"}, "draws nothing"),
        ({"mixup": 0.2, "ema": 0.9}, "mixup, ema"),
        ({"label_smoothing": 0.1}, "no steps"),
        ({"tensorboard": True}, "tensorboard.* no steps"),
        ({"batch_size": 7, "patience": None}, "batch_size, patience .* no steps"),
        ({"epochs": 3, "learning_rate": 5.0}, "epochs, learning_rate .* first phase"),
        ({"augment": Augment(rotation=45), "copies": 0}, "nothing is varied"),
    ],
)
def test_fields_that_the_solver_would_set_aside_are_refused(fields, text):
    with pytest.raises(ArgumentError, match=text):
        Recipe(head_solver="newton", **fields)
    if "no steps" in text:
        assert Recipe(head_solver="newton", fine_epochs=1, **fields).fine_epochs == 1

import json
from dataclasses import FrozenInstanceError, fields

import pytest

from mri_tumor.dataset.augment import Augment
from mri_tumor.errors import ArgumentError
from mri_tumor.models.recipe import Recipe


def test_a_recipe_survives_json():
    recipe = Recipe(epochs=3, augment=Augment(rotation=5), patience=None, class_weights="none")
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe
    assert Recipe.from_dict({"augment": None}).augment is None


def test_every_field_counts_for_the_digest_and_is_documented():
    other = {
        "epochs": 1, "batch_size": 3, "learning_rate": 0.5, "weight_decay": 0.5, "augment": None, "copies": 9,
        "cache_features": False, "class_weights": "none", "patience": None, "lr_patience": None,
        "lr_factor": 0.9, "min_learning_rate": 0.1, "seed": 5,
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
        ("patience", 0),
        ("lr_patience", "3"),
        ("lr_factor", 1.0),
        ("min_learning_rate", -1.0),
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

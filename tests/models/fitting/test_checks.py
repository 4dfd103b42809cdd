from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from mri_tumor.dataset.preprocess import Preprocess
from mri_tumor.errors import ArgumentError, LeakageError, ManifestMismatch, TrainingError
from mri_tumor.models.fitting.checks import check_leaks, check_learnable, check_recipe, check_sources
from mri_tumor.models.fitting.sources import PlainSource
from mri_tumor.models.recipe import Recipe
from mri_tumor.models.seen import Known


@pytest.fixture(scope="module")
def plain() -> PlainSource:
    data = tf.data.Dataset.from_tensor_slices((np.zeros((2, 32, 32, 1), np.uint8), [0, 1]))
    return PlainSource(data, "train", Preprocess(size=32), 4)


@pytest.mark.parametrize(
    ("fields", "frozen", "cached"),
    [
        ({}, False, False),
        ({}, True, True),
        ({"head_solver": "newton"}, True, True),
        ({"fine_epochs": 2}, True, True),
        ({"fine_epochs": 2, "mixup": 0.2}, True, True),
        ({"mixup": 0.2}, False, False),
        ({"mixup": 0.2, "cache_features": False}, True, False),
        ({"folds": 3, "class_weights": "sampling"}, True, True),
    ],
)
def test_what_can_be_had_is_not_refused(make_network, pool, fields, frozen, cached):
    sources = list(pool.sources.values())
    check_recipe(Recipe(**fields), make_network(frozen=frozen), sources, cached=cached)


@pytest.mark.parametrize(
    ("fields", "frozen", "cached", "text"),
    [
        (
            {"fine_epochs": 2},
            False,
            False,
            "fine_epochs is 2 for tiny, which is trained as a whole.*pretrained",
        ),
        ({"head_solver": "newton"}, False, False, "'newton' with a backbone that is not frozen"),
        (
            {"head_solver": "newton"},
            True,
            False,
            "'newton' with plain Datasets, whose features are not cached",
        ),
        ({"mixup": 0.2}, True, True, "mixup is 0.2 while only a head is trained.*cache_features=False"),
    ],
)
def test_what_network_and_data_cannot_have_is_refused(make_network, pool, fields, frozen, cached, text):
    sources = list(pool.sources.values())
    with pytest.raises(ArgumentError, match=text):
        check_recipe(Recipe(**fields), make_network(frozen=frozen), sources, cached=cached)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"folds": 3}, "folds is 3 with a plain Dataset"),
        ({"class_weights": "sampling"}, "class_weights is 'sampling' with a plain Dataset"),
        ({"folds": 3, "class_weights": "sampling"}, "folds is 3 and class_weights is 'sampling' with"),
    ],
)
def test_pictures_of_a_plain_dataset_cannot_be_chosen(make_network, pool, plain, fields, text):
    network, shards = make_network(), pool.sources["train"]
    for sources in ([plain, plain], [shards, plain], [plain, shards]):
        with pytest.raises(ArgumentError, match=text):
            check_recipe(Recipe(**fields), network, sources, cached=False)
    check_recipe(Recipe(), network, [plain, plain], cached=False)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"folds": 3}, "folds is 3 for tiny, whose head has several layers"),
        ({"head_solver": "newton"}, "head_solver is 'newton' for tiny, whose head has several layers"),
    ],
)
def test_several_layers_after_the_features_are_refused(make_network, pool, fields, text):
    sources = list(pool.sources.values())
    with pytest.raises(ArgumentError, match=text):
        check_recipe(Recipe(**fields), make_network(frozen=True, hidden=3), sources, cached=True)
    check_recipe(Recipe(), make_network(frozen=True, hidden=3), sources, cached=True)


def test_training_pictures_must_be_enough_and_of_every_class():
    check_learnable(np.array([0, 1, 0, 1, 0, 1]), ["a", "b"], "train")
    with pytest.raises(TrainingError, match="fold 2 has no picture of a, c"):
        check_learnable(np.array([1] * 9), ["a", "b", "c"], "fold 2")
    with pytest.raises(TrainingError, match=r"train has 5 pictures.*at least 6, 4 more than classes"):
        check_learnable(np.array([0, 1, 0, 1, 0]), ["a", "b"], "train")


def source(**changes: object) -> SimpleNamespace:
    """Return what `check_sources` looks at: twelve pictures of two classes."""
    fields = {"labels": ("a", "b"), "preprocess": Preprocess(size=32), "count": 12}
    return SimpleNamespace(**(fields | {"label_indices": np.arange(12) % 2} | changes))


@pytest.mark.parametrize(
    ("train", "validation", "options", "error", "text"),
    [
        ({}, {"labels": ("b", "a")}, {}, ManifestMismatch, "train has the labels a, b, validation b, a"),
        ({}, {"preprocess": Preprocess(size=40)}, {}, ManifestMismatch, "same preprocessing"),
        ({}, {}, {"size": 40}, ManifestMismatch, "size 40 and 2 classes.*build the model with size=32"),
        ({}, {}, {"classes": 4}, ManifestMismatch, "size 32 and 4 classes"),
        ({"count": 0}, {}, {}, TrainingError, "train is empty"),
        ({}, {"count": 0}, {}, TrainingError, "validation is empty"),
        ({"label_indices": np.zeros(12, int)}, {}, {}, TrainingError, "train has no picture of b"),
    ],
)
def test_sources_that_do_not_fit_are_refused(train, validation, options, error, text):
    fits = {"size": 32, "classes": 2}
    check_sources(source(), source(), **fits)
    with pytest.raises(error, match=text):
        check_sources(source(**train), source(**validation), **(fits | options))


def test_leaks_are_refused_or_recorded():
    train = Known(("a", "b"), ("one", None))
    clean, leaky = Known(("c",), ("two",)), Known(("b", "c"), (None, "one"))
    nothing = {"allowed": False, "checked": True, "shared_pictures": 0, "shared_groups": 0}
    assert check_leaks(train, clean, allow=False) == nothing
    with pytest.raises(LeakageError, match=r"1 pictures \(b\) and 1 groups \(one\)"):
        check_leaks(train, leaky, allow=False)
    recorded = {"allowed": True, "checked": True, "shared_pictures": 1, "shared_groups": 1}
    assert check_leaks(train, leaky, allow=True) == recorded
    assert check_leaks(Known((), (None,)), clean, allow=False) == nothing | {"checked": False}

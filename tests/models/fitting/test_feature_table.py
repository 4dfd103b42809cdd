import numpy as np
import pytest

from mri_tumor.dataset.augment import Augment
from mri_tumor.models.builders import backbone
from mri_tumor.models.fitting import features as module
from mri_tumor.models.fitting.feature_table import FeatureTable
from mri_tumor.models.recipe import Recipe

RECIPE = Recipe(augment=Augment(rotation=10), copies=2, tta="mirror", seed=6)
PLACES = np.array([27, 3, 0, 22])


@pytest.fixture(scope="module")
def network(make_network):
    return make_network(frozen=True)


def expected(network, pool, *, augment: Augment | None = None, copy: int = 0, mirrored: bool = False):
    """Return what the backbone gives of the pictures at `PLACES`, without a cache."""
    options = {"batch_size": 8, "augment": augment, "seed": RECIPE.seed, "epoch": copy}
    images = np.concatenate([batch["image"] for batch in pool.batches(PLACES, **options)])
    images = np.ascontiguousarray(images[:, :, ::-1]) if mirrored else images
    return np.asarray(backbone(network)(images))


def test_a_head_learns_from_the_originals_and_then_the_copies(network, pool, tmp_path):
    found = FeatureTable(network, pool, RECIPE, tmp_path).training(PLACES)
    parts = [
        expected(network, pool),
        expected(network, pool, augment=RECIPE.augment, copy=1),
        expected(network, pool, augment=RECIPE.augment, copy=2),
    ]
    np.testing.assert_allclose(found.values, np.concatenate(parts), atol=1e-5)
    assert found.labels.tolist() == [*pool.label_indices[PLACES]] * 3
    assert not np.allclose(parts[1], parts[2], atol=1e-3)


def test_the_views_are_those_that_predictions_take(network, pool, tmp_path):
    both = FeatureTable(network, pool, RECIPE, tmp_path).views(PLACES)
    np.testing.assert_allclose(both[0].values, expected(network, pool), atol=1e-5)
    np.testing.assert_allclose(both[1].values, expected(network, pool, mirrored=True), atol=1e-5)
    assert not np.allclose(both[0].values, both[1].values, atol=1e-3)
    assert both[0].labels.tolist() == both[1].labels.tolist() == pool.label_indices[PLACES].tolist()
    alone = FeatureTable(network, pool, RECIPE.replace(tta="none"), tmp_path).views(PLACES)
    assert len(alone) == 1


def test_only_what_is_asked_for_is_computed_and_only_once(network, pool, tmp_path, monkeypatch):
    done = []
    compute = module.compute_features

    def counted(*args, doing, **options):
        done.append(doing)
        return compute(*args, doing=doing, **options)

    monkeypatch.setattr(module, "compute_features", counted)
    table = FeatureTable(network, pool, RECIPE, tmp_path)
    assert done == []
    table.views(PLACES)
    table.views(PLACES[:2])
    assert sorted(done) == sorted(
        f"features of {name}, {kind}"
        for name in ("train", "validation")
        for kind in ("originals", "mirrored")
    )
    table.training(PLACES)
    assert len(done) == 8
    FeatureTable(network, pool, RECIPE, tmp_path).training(PLACES)
    assert len(done) == 8


def test_without_variation_there_are_no_copies(network, pool, tmp_path):
    for recipe in (RECIPE.replace(augment=None), RECIPE.replace(copies=0)):
        assert len(FeatureTable(network, pool, recipe, tmp_path).training(PLACES).labels) == len(PLACES)

import numpy as np
import pytest

from mri_tumor.models.builders import backbone
from mri_tumor.models.fitting.feature_table import FeatureTable
from mri_tumor.models.fitting.observing import observed
from mri_tumor.models.recipe import Recipe

PLACES = np.array([25, 1, 29, 2, 0])


@pytest.fixture(scope="module")
def network(make_network):
    return make_network(frozen=True)


@pytest.fixture(scope="module")
def images(pool) -> np.ndarray:
    batches = pool.batches(PLACES, batch_size=8, augment=None, seed=0, epoch=0)
    return np.concatenate([batch["image"] for batch in batches])


@pytest.mark.parametrize("tta", ["none", "mirror"])
@pytest.mark.parametrize("cached", [False, True])
def test_it_is_what_the_network_says_of_its_views(network, pool, images, tmp_path, tta, cached):
    table = FeatureTable(network, pool, Recipe(tta=tta), tmp_path) if cached else None
    found = observed(network, pool, PLACES, tta, table)
    views = [images] + ([np.ascontiguousarray(images[:, :, ::-1])] if tta == "mirror" else [])
    logits = np.mean([network(view, training=False) for view in views], axis=0)
    features = np.mean([backbone(network)(view, training=False) for view in views], axis=0)
    np.testing.assert_allclose(found.logits, logits, atol=1e-5)
    np.testing.assert_allclose(found.features, features, atol=1e-5)
    assert found.logits.dtype == found.features.dtype == np.float32


def test_the_two_views_differ(network, pool):
    one, both = (observed(network, pool, PLACES, tta, None) for tta in ("none", "mirror"))
    assert np.abs(one.logits - both.logits).max() > 1e-3

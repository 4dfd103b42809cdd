"""Every network of `build` is trained, saved, loaded, explained, and exported as endpoints take it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

from mri_tumor.cloud.operations import refused_operations
from mri_tumor.dataset.catalog import Catalog, scan
from mri_tumor.dataset.preprocess import Preprocess
from mri_tumor.models import Classifier, Recipe, available, build, train

QUICK = {"small_cnn": {"width": 4}, "mobilenet_v2": {"alpha": 0.35}}
ALL = [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in available()]
SIZE = 80  # Xception and InceptionResNetV2 take no smaller one


@pytest.fixture
def sides(make_folder: Callable[..., Path]) -> tuple[Catalog, Catalog]:
    catalog = scan(make_folder(per_class=5))
    return catalog.select(ids=catalog.ids[::2]), catalog.select(ids=catalog.ids[1::2])


@pytest.mark.usefixtures("timed_briefly")
@pytest.mark.parametrize("name", ALL)
def test_train_save_load_export_explain(name: str, sides: tuple[Catalog, Catalog], tmp_path: Path) -> None:
    # Backwards through all layers only where that takes seconds.
    network = build(name, size=SIZE, frozen=name != "small_cnn", **QUICK.get(name, {}))
    before = [np.array(weight, copy=True) for weight in network.trainable_weights]
    recipe = Recipe(epochs=1, batch_size=4)
    classifier = train(
        network, *sides, recipe=recipe, run_dir=tmp_path / "run", preprocess=Preprocess(size=SIZE)
    )
    after = classifier.model.trainable_weights
    assert any(not np.array_equal(one, other) for one, other in zip(before, after, strict=True))

    classifier.save(tmp_path / "saved")
    back = Classifier.load(tmp_path / "saved")
    expected = classifier.predict(sides[1])
    for one, other in zip(back.predict(sides[1]), expected, strict=True):
        assert one.top == other.top
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-5)

    back.export(tmp_path / "exported", pictures=sides[1].paths[:4])
    exported = SavedModel.FromString((tmp_path / "exported" / "saved_model.pb").read_bytes())
    assert refused_operations(exported.meta_graphs[0]) == []  # an endpoint takes it

    for method in ("gradcam", "occlusion"):
        (one,) = back.explain(sides[1].paths[0], method=method)
        assert one.label == expected[0].top
        assert one.heat.shape == one.picture.shape == (SIZE, SIZE)
        assert one.heat.max() == 1  # there is something to see

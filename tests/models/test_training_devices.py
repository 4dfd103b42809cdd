"""Where and how precisely a run computes, end to end: it ends with a classifier like any other."""

import sys

import numpy as np
import pytest

from mri_tumor.errors import MissingExtra
from mri_tumor.models.classifier import Classifier
from mri_tumor.models.recipe import Recipe
from mri_tumor.models.training import train

RECIPE = Recipe(epochs=2, batch_size=8, learning_rate=0.01, augment=None, seed=3)


def losses(classifier: Classifier, folder) -> list[float]:
    lines = (folder / "history.csv").read_text().splitlines()
    return [float(line.split(",")[lines[0].split(",").index("val_loss")]) for line in lines[1:]]


@pytest.mark.parametrize("frozen", [False, True])
def test_a_mirror_of_one_device_trains_as_one_device(make_network, sides, tmp_path, frozen):
    found = {}
    for devices in ("one", "mirrored"):
        options = {"recipe": RECIPE.replace(devices=devices), "run_dir": tmp_path / devices}
        found[devices] = train(make_network(frozen=frozen), *sides, **options)
    one, mirrored = (found[name].model.get_weights() for name in ("one", "mirrored"))
    assert not np.allclose(one[-2], make_network().get_weights()[-2], atol=1e-3)
    for weight, other in zip(one, mirrored, strict=True):
        np.testing.assert_allclose(weight, other, atol=1e-4)
    loaded = Classifier.load(tmp_path / "mirrored")
    assert loaded.predict(sides[1]) == found["mirrored"].predict(sides[1])


@pytest.mark.parametrize("frozen", [False, True])
def test_a_run_in_half_precision_ends_with_a_classifier_in_single(make_network, sides, tmp_path, frozen):
    found = {}
    for precision in ("float32", "mixed_bfloat16"):
        options = {"recipe": RECIPE.replace(precision=precision), "run_dir": tmp_path / precision}
        found[precision] = train(make_network(frozen=frozen), *sides, **options)
    half = found["mixed_bfloat16"]
    assert {layer.dtype_policy.name for layer in half.model.layers} == {"float32"}
    assert all(weight.dtype == np.float32 for weight in half.model.get_weights())
    differences = [
        np.abs(one - other).max()
        for one, other in zip(half.model.get_weights(), found["float32"].model.get_weights(), strict=True)
    ]
    assert max(differences) > 0
    expected = losses(found["float32"], tmp_path / "float32")
    assert losses(half, tmp_path / "mixed_bfloat16") == pytest.approx(expected, abs=0.05)


def test_logs_for_tensorboard_lie_in_the_folder(make_network, sides, tmp_path):
    pytest.importorskip("tensorboard")
    train(make_network(), *sides, recipe=RECIPE.replace(tensorboard=True), run_dir=tmp_path)
    written = list((tmp_path / "tensorboard").rglob("events.*"))
    assert {path.parent.name for path in written} == {"train", "validation"}


def test_without_tensorboard_its_logs_are_refused(make_network, sides, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(MissingExtra, match=r"mri-tumor\[tensorboard\]"):
        train(make_network(), *sides, recipe=RECIPE.replace(tensorboard=True), run_dir=tmp_path)

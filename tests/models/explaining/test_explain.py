from collections.abc import Callable
from pathlib import Path

import cv2
import keras
import numpy as np
import pytest
from keras import layers

from mri_tumor import dataset
from mri_tumor.errors import ArgumentError, ReadError
from mri_tumor.labels import LABELS, NOTICE
from mri_tumor.models.builders import available, build
from mri_tumor.models.classifier import Classifier
from mri_tumor.models.explaining.explain import METHODS
from mri_tumor.models.networks.ensemble import merge

QUICK = ("small_cnn", "squeeze_excite_cnn")
GRADIENTS = [one for one in METHODS if one != "occlusion"]
Make = Callable[..., Classifier]


def pictures(count: int = 5, size: int = 32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 1), dtype=np.uint8)


def heats(found: list) -> np.ndarray:
    return np.stack([one.heat for one in found])


# --- what lights up ---


@pytest.mark.parametrize("method", METHODS)
def test_what_a_class_goes_by_lights_up(region_classifier: Classifier, method: str) -> None:
    image = np.random.default_rng(1).integers(20, 30, (1, 32, 32, 1)).astype(np.uint8)
    inside, outside = (slice(4, 10), slice(18, 26)), (slice(20, 26), slice(4, 12))
    image[0][inside] = image[0][outside] = 220
    for label, own, other in (("glioma", inside, outside), ("meningioma", outside, inside)):
        (one,) = region_classifier.explain(image, method=method, target=label)
        assert one.heat[own].mean() > 4 * one.heat[other].mean()
        row, column = one.peak
        assert own[0].start - 2 <= row < own[0].stop + 2
        assert own[1].start - 2 <= column < own[1].stop + 2


def test_a_peak_of_a_maximum_is_found(make_manifest: Callable) -> None:
    image = keras.Input((32, 32, 1), dtype="uint8", name="image")
    x = layers.AveragePooling2D(4)(layers.Rescaling(1 / 255)(image))
    features = layers.Identity(name="features")(layers.GlobalMaxPooling2D()(x))
    model = keras.Model(image, layers.Dense(2, dtype="float32", name="logits")(features))
    model.get_layer("logits").set_weights([np.array([[-1.0, 1.0]]), np.zeros(2)])
    spot = np.full((1, 32, 32, 1), 40, np.uint8)
    spot[0, 20:24, 8:12] = 220
    (one,) = Classifier(model, make_manifest(("none", "tumour"))).explain(spot)
    assert one.label == "tumour"
    assert one.heat[22, 10] > 0.95
    assert one.heat[:16].max() == 0


@pytest.mark.parametrize("method", METHODS)
def test_however_sure_a_network_is_there_is_heat(
    region_network: Callable, make_manifest: Callable, method: str
) -> None:
    network = region_network()
    network.get_layer("logits").set_weights([1e5 * np.eye(2, 4), np.zeros(4)])
    image = np.full((1, 32, 32, 1), 5, np.uint8)
    image[0, 4:10, 18:26] = 220
    (one,) = Classifier(network, make_manifest(LABELS, size=32)).explain(image, method=method)
    assert (one.label, one.probability) == ("glioma", 1.0)
    assert 2 <= one.peak[0] < 12
    assert 16 <= one.peak[1] < 28


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("shift", [(0, 8), (-12, 4), (5, -7)])
def test_a_shifted_picture_has_shifted_heat(
    spot_classifier: Classifier, method: str, shift: tuple[int, int]
) -> None:
    spot = np.zeros((64, 64), np.float32)
    spot[29:36, 28:34] = 255
    here = cv2.GaussianBlur(spot, (0, 0), 2)
    images = np.stack([here, np.roll(here, shift, (0, 1))]).astype(np.uint8)[..., None]
    first, second = spot_classifier.explain(images, method=method, target="glioma")
    cell = 9 if method == "occlusion" else 4
    assert np.abs(np.subtract(second.peak, first.peak) - shift).max() <= cell
    assert np.abs(np.subtract(first.peak, (32, 31))).max() <= cell


@pytest.mark.parametrize("method", METHODS)
def test_a_picture_of_one_grey_has_no_heat(make_classifier: Make, method: str) -> None:
    flat = np.full((2, 32, 32, 1), 80, np.uint8)
    flat[1, 0, 0] = 81
    plain, other = make_classifier().explain(flat, method=method)
    assert not plain.heat.any()
    assert plain.peak is None
    assert plain.box() is None
    assert np.isfinite(other.heat).all()


@pytest.mark.parametrize("method", METHODS)
def test_heat_is_from_0_to_1_and_finite(make_classifier: Make, method: str) -> None:
    found = make_classifier().explain(pictures(6), method=method)
    every = heats(found)
    assert every.dtype == np.float32
    assert every.shape == (6, 32, 32)
    assert np.isfinite(every).all()
    assert every.min() == 0
    assert set(every.max(axis=(1, 2)).tolist()) <= {0.0, 1.0}
    assert every.any()


def test_a_broken_network_gives_no_heat_and_no_warning(make_classifier: Make) -> None:
    classifier = make_classifier()
    classifier.model.get_layer("last").set_weights(
        [np.full_like(one, np.nan) for one in classifier.model.get_layer("last").get_weights()]
    )
    for method in METHODS:
        assert not heats(classifier.explain(pictures(2), method=method, target="none")).any()


# --- which class, which layer ---


def test_the_most_likely_class_is_explained_unless_one_is_named(make_deciding: Make) -> None:
    classifier = make_deciding()
    said, found = classifier.predict(pictures(20)), classifier.explain(pictures(20))
    assert [one.label for one in found] == [one.top for one in said]
    assert any(one.prediction.abstained for one in found)
    assert [one.prediction for one in found] == said
    named = classifier.explain(pictures(20), target="none")
    assert {one.label for one in named} == {"none"}
    same = [place for place, one in enumerate(said) if one.top == "none"]
    np.testing.assert_allclose(heats(named)[same], heats(found)[same], atol=1e-6)
    assert named[0].probability == said[0].probabilities["none"]


def test_two_classes_speak_for_other_places(make_classifier: Make) -> None:
    one, other = (make_classifier().explain(pictures(1), target=label)[0] for label in LABELS[:2])
    assert not np.allclose(one.heat, other.heat, atol=0.1)


def test_one_number_more_for_all_logits_changes_nothing(make_classifier: Make) -> None:
    classifier = make_classifier()
    before = heats(classifier.explain(pictures(), target="none"))
    head = classifier.model.get_layer("logits")
    kernel, bias = head.get_weights()
    head.set_weights([kernel + np.linspace(-1, 1, len(kernel))[:, None], bias + 3])
    np.testing.assert_allclose(heats(classifier.explain(pictures(), target="none")), before, atol=1e-3)


def test_a_single_layer_can_be_looked_at(make_classifier: Make) -> None:
    classifier = make_classifier()
    last = heats(classifier.explain(pictures(), method="gradcam", layer="last"))
    named = heats(classifier.explain(pictures(), method="gradcam", layer="last_relu"))
    early = heats(classifier.explain(pictures(), method="gradcam", layer="step0_relu"))
    assert not np.allclose(last, early, atol=0.1)
    np.testing.assert_allclose(last, named, atol=1e-5)


def test_grad_cam_of_the_last_map_is_what_its_paper_says(make_classifier: Make) -> None:
    classifier = make_classifier()
    (one,) = classifier.explain(pictures(1), method="gradcam", layer="last_relu", target="none")
    both = keras.Model(classifier.model.inputs[0], classifier.model.get_layer("last_relu").output)
    values = np.asarray(both(pictures(1)))[0]
    kernel = np.asarray(classifier.model.get_layer("logits").kernel)
    kernel = kernel[:, 2] - kernel.mean(axis=1)  # the features are means and maxima of the channels
    channels = values.shape[-1]
    weight = (kernel[:channels] + kernel[channels:]) / values[..., 0].size
    coarse = np.maximum(values @ weight, 0)
    # Where the four cells look, because every halving pads at the bottom and at the right.
    cells = one.heat[8::16, 8::16]
    np.testing.assert_allclose(cells, coarse / coarse.max(), atol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "lime"}, r"method is 'lime'.*layercam, gradcam, gradcam\+\+, occlusion"),
        ({"method": ["gradcam"]}, "method is"),
        ({"target": "tumour"}, "target is 'tumour'.*glioma, meningioma, none, pituitary"),
        ({"target": 1}, "target is 1"),
        ({"layer": "conv7"}, "has no layer 'conv7'"),
        ({"layer": "logits"}, "has no map"),
        ({"method": "occlusion", "layer": "last"}, "looks into no layer"),
        ({"batch_size": 0}, "batch_size is 0"),
    ],
)
def test_what_cannot_be_explained_is_refused_before_a_picture_is_read(
    make_classifier: Make, options: dict, message: str
) -> None:
    with pytest.raises(ArgumentError, match=message):
        make_classifier().explain("not-there.png", **options)


def test_a_layer_that_no_gradient_reaches_is_refused(make_manifest: Callable) -> None:
    image = keras.Input((32, 32, 1), dtype="uint8", name="image")
    x = layers.Conv2D(2, 3, name="cut")(layers.Rescaling(1 / 255)(image))
    x = layers.GlobalAveragePooling2D()(keras.ops.stop_gradient(x))
    features = layers.Identity(name="features")(x)
    model = keras.Model(image, layers.Dense(2, dtype="float32", name="logits")(features))
    classifier = Classifier(model, make_manifest(("none", "tumour")))
    with pytest.raises(ArgumentError, match=r"no gradient of the logits reaches cut.*occlusion"):
        classifier.explain(pictures(1), layer="cut")
    assert len(classifier.explain(pictures(1), method="occlusion")) == 1


# --- pictures in, explanations out ---


@pytest.mark.parametrize("method", METHODS)
def test_batches_change_nothing(make_classifier: Make, method: str) -> None:
    classifier = make_classifier()
    whole = classifier.explain(pictures(7), method=method)
    parts = classifier.explain(pictures(7), method=method, batch_size=3)
    alone = [classifier.explain(one, method=method)[0] for one in pictures(7)]
    assert [one.id for one in whole] == [one.id for one in parts] == list("0123456")
    np.testing.assert_allclose(heats(parts), heats(whole), atol=1e-4)
    np.testing.assert_allclose(heats(alone), heats(whole), atol=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_twice_the_same(make_classifier: Make, method: str) -> None:
    first, second = (heats(make_classifier().explain(pictures(), method=method)) for _ in range(2))
    np.testing.assert_allclose(first, second, atol=1e-5)  # sums by several threads round differently


def test_all_that_predict_takes(make_classifier: Make, make_folder: Callable, tmp_path: Path) -> None:
    classifier = make_classifier()
    catalog = dataset.scan(make_folder(per_class=2))
    dataset.write_tfrecords(catalog, tmp_path / "shards", preprocess=classifier.preprocess)
    raw = [dataset.read_image(path) for path in catalog.paths]
    expected = heats(classifier.explain(catalog))
    for given in (
        list(catalog.paths),
        [path.read_bytes() for path in catalog.paths],
        raw,
        np.stack([classifier.preprocess(one) for one in raw]),
        tmp_path / "shards",
        dataset.load(catalog, classifier.preprocess),
    ):
        np.testing.assert_allclose(heats(classifier.explain(given)), expected, atol=1e-5)
    assert [one.id for one in classifier.explain(catalog)] == list(catalog.ids)
    assert [one.id for one in classifier.explain(list(catalog.paths))] == list(map(str, catalog.paths))
    found = classifier.explain(raw[0])[0]
    np.testing.assert_array_equal(found.picture, classifier.preprocess(raw[0])[..., 0])
    assert classifier.explain([]) == []


def test_a_picture_that_cannot_be_read_is_named(make_classifier: Make, tmp_path: Path) -> None:
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(ReadError, match=r"text\.png"):
        make_classifier().explain(tmp_path / "text.png")


def test_training_after_the_first_call_counts(make_classifier: Make) -> None:
    classifier = make_classifier()
    before = heats(classifier.explain(pictures(), target="none"))
    head = classifier.model.get_layer("logits")
    kernel, bias = head.get_weights()
    head.set_weights([kernel[:, ::-1], bias])
    assert not np.allclose(heats(classifier.explain(pictures(), target="none")), before, atol=0.1)


# --- what kind of classifier ---


@pytest.mark.parametrize("method", METHODS)
def test_a_classifier_that_also_looks_at_mirror_images_has_mirrored_heat(
    make_classifier: Make, method: str
) -> None:
    classifier = make_classifier().with_decision({"tta": "mirror"})
    images = pictures()
    here = heats(classifier.explain(images, method=method, target="none"))
    there = heats(classifier.explain(images[:, :, ::-1], method=method, target="none"))
    np.testing.assert_allclose(there[:, :, ::-1], here, atol=1e-4)


def test_an_ensemble_is_explained(make_classifier: Make) -> None:
    one = make_classifier()
    twins = Classifier(merge([one.model, one.model]), one.manifest)
    expected = heats(one.explain(pictures()))
    np.testing.assert_allclose(heats(twins.explain(pictures())), expected, atol=1e-4)
    keras.utils.set_random_seed(5)
    other = build("small_cnn", size=32, width=2)
    merged = Classifier(merge([one.model, other]), one.manifest)
    assert heats(merged.explain(pictures())).any()


def test_after_saving_and_loading(make_classifier: Make, tmp_path: Path) -> None:
    classifier = make_classifier()
    classifier.save(tmp_path / "c")
    loaded = Classifier.load(tmp_path / "c")
    for method in METHODS:
        np.testing.assert_allclose(
            heats(loaded.explain(pictures(), method=method)),
            heats(classifier.explain(pictures(), method=method)),
            atol=1e-5,
        )


@pytest.mark.parametrize(
    "name", [one if one in QUICK else pytest.param(one, marks=pytest.mark.slow) for one in available()]
)
def test_every_network_can_be_explained(make_classifier: Make, name: str) -> None:
    classifier = make_classifier(size=96, name=name)
    for method in GRADIENTS:  # tests/models/test_networks.py asks every network by occlusion
        found = classifier.explain(pictures(2, size=96), method=method)
        assert np.isfinite(heats(found)).all()
        assert heats(found).any(axis=(1, 2)).all()


@pytest.mark.parametrize("name", QUICK)
def test_the_deepest_map_of_a_network_can_be_looked_at_alone(make_classifier: Make, name: str) -> None:
    (one,) = make_classifier(size=96, name=name).explain(pictures(1, size=96), method="gradcam", layer="last")
    assert one.heat.any()


def test_the_notice_travels_with_it(make_classifier: Make) -> None:
    assert make_classifier().explain(pictures(1))[0].notice == NOTICE

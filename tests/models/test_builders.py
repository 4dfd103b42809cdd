from collections.abc import Callable, Iterator
from pathlib import Path

import keras
import numpy as np
import pytest

from mri_tumor.dataset.catalog import Catalog
from mri_tumor.errors import ArgumentError
from mri_tumor.manifest import Manifest
from mri_tumor.models import Classifier, builders, train
from mri_tumor.models.builders import build
from mri_tumor.models.networks.copies import copy_of
from mri_tumor.models.networks.ensemble import merge
from mri_tumor.models.networks.file import load_network, save_network
from mri_tumor.models.steps.precision import with_precision


def pictures(count: int = 3, size: int = 32, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, size, size, 1), dtype=np.uint8)


def values(weights: list) -> list[np.ndarray]:
    """Return copies: an array made without copying would follow the weight."""
    return [np.array(weight, copy=True) for weight in weights]


def same(first: list, second: list) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(first, values(second), strict=True))


@pytest.fixture(scope="module")
def small() -> keras.Model:
    return build("small_cnn", size=32, width=2)


@pytest.fixture(scope="module")
def mobile() -> keras.Model:
    return build("mobilenet_v2", size=32, alpha=0.35)


@pytest.fixture(params=["small_cnn", "mobilenet_v2"])
def model(request: pytest.FixtureRequest) -> keras.Model:
    return request.getfixturevalue({"small_cnn": "small", "mobilenet_v2": "mobile"}[request.param])


def test_takes_uint8_pictures_and_gives_float32_logits(model: keras.Model) -> None:
    assert model.inputs[0].dtype == "uint8"
    assert model.inputs[0].name == "image"
    logits = model(pictures())
    assert tuple(logits.shape) == (3, 4)
    assert logits.dtype == "float32"
    assert np.asarray(logits).std(axis=0).min() > 0  # the answer depends on the picture


def test_no_model_is_nested_and_every_layer_is_of_keras(model: keras.Model) -> None:
    assert not [layer for layer in model.layers if isinstance(layer, keras.Model | keras.layers.Lambda)]
    assert all(type(layer).__module__.startswith("keras.") for layer in model.layers)


def test_backbone_and_head_together_are_the_model(model: keras.Model) -> None:
    features = builders.backbone(model)(pictures())
    assert len(features.shape) == 2
    np.testing.assert_array_equal(builders.head(model)(features), model(pictures()))


def test_backbone_and_head_share_the_weights(small: keras.Model) -> None:
    shared = {
        id(weight) for part in (builders.backbone(small), builders.head(small)) for weight in part.weights
    }
    assert shared == {id(weight) for weight in small.weights}


def test_training_the_head_alone_changes_the_model() -> None:
    model = build("small_cnn", size=32, width=2)
    before = np.asarray(model(pictures()))
    head = builders.head(model)
    head.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    head.fit(np.ones((4, head.input_shape[1]), "float32"), np.zeros(4), verbose=0)
    assert np.abs(np.asarray(model(pictures())) - before).max() > 0


def test_last_convolution(small: keras.Model, mobile: keras.Model) -> None:
    assert builders.last_convolution(small).name == "last"
    assert builders.last_convolution(mobile).name == "Conv_1"
    maps = keras.Model(mobile.inputs[0], builders.last_convolution(mobile).output)(pictures())
    assert tuple(maps.shape) == (3, 1, 1, 1280)


@pytest.mark.parametrize(
    ("name", "arguments", "expected"),
    [
        ("small_cnn", {}, {"weights": None, "dropout": 0.2, "frozen": False, "options": {}}),
        ("small_cnn", {"width": 3, "classes": 2, "dropout": 0.5}, {"dropout": 0.5, "options": {"width": 3}}),
        ("small_cnn", {"dropout": 0.0, "frozen": True}, {"dropout": 0.0, "frozen": True}),
        ("mobilenet_v2", {"alpha": 0.35}, {"weights": None, "frozen": False, "options": {"alpha": 0.35}}),
    ],
)
def test_description_survives_saving(name: str, arguments: dict, expected: dict, tmp_path: Path) -> None:
    model = build(name, size=32, **arguments)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    found = builders.describe(loaded)
    assert found == builders.describe(model)
    assert found | expected == found
    assert (found["name"], found["size"], found["classes"]) == (name, 32, arguments.get("classes", 4))
    np.testing.assert_allclose(loaded(pictures()), model(pictures()), atol=1e-6)


def test_description_builds_the_same_network_again(small: keras.Model) -> None:
    found = builders.describe(small)
    again = build(found.pop("name"), **found.pop("options"), **found)
    assert [weight.shape for weight in again.weights] == [weight.shape for weight in small.weights]
    assert builders.describe(again) == builders.describe(small)


def test_a_model_of_ones_own_is_described_by_its_name() -> None:
    image = keras.Input((32, 32, 1), dtype="uint8")
    scaled = keras.layers.Rescaling(1 / 255)(image)
    features = keras.layers.GlobalAveragePooling2D(name="features")(scaled)
    own = keras.Model(image, keras.layers.Dense(2, name="logits")(features), name="my-own-net")
    assert builders.describe(own)["name"] == "my-own-net"
    assert builders.describe(own)["options"] == {}
    with pytest.raises(ArgumentError, match="no convolution"):
        builders.last_convolution(own)


@pytest.mark.parametrize("function", [builders.describe, builders.backbone, builders.head])
def test_a_model_of_another_form_is_refused(function: object) -> None:
    other = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, name="logits")])
    with pytest.raises(ArgumentError, match="layers named 'features' and 'logits'"):
        function(other)  # type: ignore[operator]
    with pytest.raises(ArgumentError, match="'int'"):
        function(3)  # type: ignore[operator]


def test_frozen_means_that_only_the_head_learns() -> None:
    model = build("small_cnn", size=32, width=2, frozen=True)
    assert {weight.path.split("/")[0] for weight in model.trainable_weights} == {"logits"}
    before = values(builders.backbone(model).weights)
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(pictures(8), np.arange(8) % 4, verbose=0)
    assert same(before, builders.backbone(model).weights)
    builders.set_frozen(model, False)
    assert len(model.trainable_weights) == len(build("small_cnn", size=32, width=2).trainable_weights)


def test_given_weights_are_loaded_and_frozen(tmp_path: Path) -> None:
    file = tmp_path / "mine.weights.h5"
    source = keras.applications.MobileNetV2(
        weights=None, include_top=False, input_shape=(64, 64, 3), alpha=0.35
    )
    source.save_weights(file)
    model = build("mobilenet_v2", file, size=32, alpha=0.35)
    assert builders.describe(model)["weights"].startswith("sha256.")
    assert {weight.path.split("/")[0] for weight in model.trainable_weights} == {"logits"}
    assert same(values(source.weights), builders.backbone(model).weights)


def test_given_batch_normalisation_stays_in_inference_mode_when_the_rest_is_free(tmp_path: Path) -> None:
    file = tmp_path / "mine.weights.h5"
    keras.applications.MobileNetV2(
        weights=None, include_top=False, input_shape=(32, 32, 3), alpha=0.35
    ).save_weights(file)
    model = build("mobilenet_v2", file, size=32, alpha=0.35, frozen=False)
    norms = [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]
    before = values([weight for layer in norms for weight in layer.weights])
    in_training = model.get_layer("features").output
    np.testing.assert_array_equal(
        keras.Model(model.inputs[0], in_training)(pictures(), training=True),
        builders.backbone(model)(pictures()),
    )
    assert same(before, [weight for layer in norms for weight in layer.weights])
    learning = {weight.path.split("/")[0] for weight in model.trainable_weights}
    assert {"Conv1", "Conv_1", "logits"} <= learning
    assert not learning & {layer.name for layer in norms}


def test_batch_normalisation_from_scratch_follows_the_pictures() -> None:
    model = build("mobilenet_v2", size=32, alpha=0.35)
    norm = model.get_layer("bn_Conv1")
    before = values(norm.weights)
    model(pictures(), training=True)
    assert not same(before, norm.weights)
    assert norm.gamma.path in {weight.path for weight in model.trainable_weights}


def layers_that_learn(model: keras.Model) -> list[str]:
    return [layer.name for layer in builders.backbone(model).layers if layer.trainable_weights]


@pytest.mark.parametrize(("share", "count"), [(1e-9, 1), (0.1, 1), (0.2, 2), (0.5, 5), (0.75, 8), (1.0, 10)])
def test_the_top_is_freed_from_the_features_down(share: float, count: int) -> None:
    model = build("small_cnn", size=32, width=2, frozen=True)
    weighty = [layer.name for layer in builders.backbone(model).layers if layer.weights]
    assert len(weighty) == 10
    builders.free_top(model, share)
    assert layers_that_learn(model) == weighty[-count:]
    assert "logits" in {weight.path.split("/")[0] for weight in model.trainable_weights}


def test_given_batch_normalisation_of_the_top_stays_frozen(tmp_path: Path) -> None:
    file = tmp_path / "mine.weights.h5"
    keras.applications.MobileNetV2(
        weights=None, include_top=False, input_shape=(32, 32, 3), alpha=0.35
    ).save_weights(file)
    for weights, norms in ((file, False), (None, True)):
        model = build("mobilenet_v2", weights, size=32, alpha=0.35, frozen=True)
        builders.free_top(model, 0.1)
        learning = layers_that_learn(model)
        assert "Conv_1" in learning
        assert "Conv1" not in learning
        assert ("Conv_1_bn" in learning) == norms


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"name": "vgg"}, "small_cnn.*mobilenet_v2.*vgg16"),
        ({"name": ["small_cnn"]}, "small_cnn.*mobilenet_v2"),
        ({"name": "small_cnn", "alpha": 3}, "no option alpha.*of its own depth, width"),
        ({"name": "mobilenet_v2", "width": 3}, "no option width.*of its own alpha"),
        ({"name": "small_cnn", "width": 0}, "width is 0"),
        ({"name": "residual_cnn", "depth": 6}, "depth is 6 for pictures of 32 pixels.*2 to 5"),
        ({"name": "squeeze_excite_cnn", "depth": True}, "depth is True"),
        ({"name": "xception", "size": 64}, "size is 64 for xception.*from 71"),
        ({"name": "mobilenet_v2", "alpha": 0.4}, "alpha is 0.4.*0.35"),
        ({"name": "small_cnn", "size": 31}, "size is 31.*from 32"),
        ({"name": "small_cnn", "size": 64.0}, "size is 64.0"),
        ({"name": "small_cnn", "classes": 1}, "classes is 1"),
        ({"name": "small_cnn", "dropout": 1.0}, "dropout is 1.0"),
        ({"name": "small_cnn", "frozen": "yes"}, "frozen is 'yes'"),
        ({"name": "small_cnn", "weights": "imagenet"}, "no ready weights"),
        ({"name": "mobilenet_v2", "weights": "nowhere.weights.h5"}, "nowhere.weights.h5 is not there"),
        ({"name": "mobilenet_v2", "weights": 3}, "weights is 3"),
    ],
)
def test_bad_arguments(arguments: dict, words: str) -> None:
    with pytest.raises(ArgumentError, match=words):
        build(**{"size": 32, **arguments})


def test_small_cnn_learns_four_patterns_in_a_few_steps() -> None:
    keras.utils.set_random_seed(1)
    rng = np.random.default_rng(0)
    labels = np.arange(64) % 4
    images = rng.integers(60, 120, (64, 32, 32, 1), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        row, column = (label // 2) * 16 + 4, (label % 2) * 16 + 4
        image[row : row + 6, column : column + 6] += np.uint8(80 if label in (0, 3) else 40)
        image[: 4 * label] //= 2
    model = build("small_cnn", size=32, width=4, dropout=0.0)
    model.compile(keras.optimizers.Adam(0.02), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(images, labels, batch_size=16, epochs=10, verbose=0)
    found = np.argmax(model(images, training=False), axis=1)
    assert (found == labels).mean() > 0.9


@pytest.fixture
def half_precision() -> Iterator[None]:
    """Let Keras build networks of half precision, as somebody's program may have told it to."""
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy("float32")


@pytest.mark.usefixtures("half_precision")
@pytest.mark.parametrize("name", ["small_cnn", "mobilenet_v2"])
def test_half_precision_is_refused_where_a_network_is_built(name: str) -> None:
    with pytest.raises(ArgumentError, match=r'computes in bfloat16.*set_dtype_policy\("float32"\)'):
        build(name, size=32)


def test_a_network_of_half_precision_is_refused_wherever_it_is_given(
    make_manifest: Callable[..., Manifest], sides: tuple[Catalog, Catalog], tmp_path: Path
) -> None:
    network = with_precision(build("small_cnn", size=32, width=2), "mixed_float16")
    save_network(network, tmp_path / "model.keras")
    for given in (network, load_network(tmp_path / "model.keras")):
        with pytest.raises(ArgumentError, match=r"small_cnn-width-2 computes in float16.*mixed_float16"):
            Classifier(given, make_manifest())
    with pytest.raises(ArgumentError, match="computes in float16"):
        train(network, *sides, run_dir=tmp_path / "run")


def test_networks_of_float32_stay_so_under_another_policy(
    small: keras.Model, request: pytest.FixtureRequest
) -> None:
    pair = [small, build("small_cnn", size=32, width=2)]
    expected = [np.asarray(one(pictures(), training=False)) for one in pair]
    request.getfixturevalue("half_precision")
    np.testing.assert_array_equal(copy_of(small)(pictures(), training=False), expected[0])
    merged = merge(pair)
    np.testing.assert_allclose(merged(pictures(), training=False), np.mean(expected, axis=0), atol=1e-6)

import keras
import numpy as np
import pytest
import tensorflow as tf

from mri_tumor.errors import ArgumentError
from mri_tumor.models.builders import available, build, head
from mri_tumor.models.loop import run_epochs
from mri_tumor.models.recipe import Recipe
from mri_tumor.models.steps.precision import synchronised, with_precision

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (40, 32, 32, 1)).astype(np.uint8)
LABELS = np.arange(40) % 4
for number, label in enumerate(LABELS):
    IMAGES[number, 8 * label : 8 * label + 8] //= 3
RECIPE = Recipe(epochs=6, batch_size=8, learning_rate=0.001, augment=None)


def network() -> keras.Model:
    keras.utils.set_random_seed(1)
    return build("small_cnn", size=32, width=2, dropout=0)


def train(directory, precision, **options):
    def data(epoch: int) -> tf.data.Dataset:
        order = np.random.default_rng(epoch).permutation(32)
        ones = np.ones(32, np.float32)
        return tf.data.Dataset.from_tensor_slices((IMAGES[order], LABELS[order], ones)).batch(8)

    model = network()
    validation = tf.data.Dataset.from_tensor_slices((IMAGES[32:], LABELS[32:])).batch(8)
    recipe = RECIPE.replace(precision=precision)
    options = {"steps": 4, "recipe": recipe, "directory": directory, "validation": validation} | options
    return model, run_epochs(model, data, **options)


def distance(one: keras.Model, other: keras.Model) -> float:
    pairs = zip(one.get_weights(), other.get_weights(), strict=True)
    return float(np.sqrt(sum(np.square(first - second).sum() for first, second in pairs)))


class Look(keras.callbacks.Callback):
    """Keep what was trained, as it is at the end."""

    def on_train_end(self, logs=None):
        self.trained, self.weights = self.model, self.model.get_weights()


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_a_copy_computes_in_half_precision_with_the_same_weights(precision):
    plain = network()
    mixed = with_precision(plain, precision)
    for layer in mixed.layers:
        full = layer.name in ("image", "logits")
        assert layer.compute_dtype == ("float32" if full else precision.removeprefix("mixed_"))
    assert mixed.inputs[0].dtype == "uint8"
    assert {variable.dtype for variable in mixed.weights} == {"float32"}
    assert all(map(np.array_equal, plain.get_weights(), mixed.get_weights()))
    assert mixed.output.dtype == "float32"
    exact, coarse = plain.predict(IMAGES, verbose=0), mixed.predict(IMAGES, verbose=0)
    assert 0 < np.abs(exact - coarse).max() < 0.05 * np.abs(exact).max()
    assert plain.get_layer("last").compute_dtype == "float32"


def test_a_head_on_features_has_a_copy_too():
    plain = head(network())
    mixed = with_precision(plain, "mixed_bfloat16")
    features = RNG.normal(size=(5, plain.input_shape[-1])).astype(np.float32)
    np.testing.assert_allclose(mixed(features), plain(features), rtol=0.05, atol=0.05)
    assert synchronised(plain).output_names == ["logits"]


def test_what_is_frozen_is_frozen_in_the_copy():
    plain = build("small_cnn", size=32, width=2, frozen=True)
    mixed = with_precision(plain, "mixed_bfloat16")
    assert len(mixed.trainable_weights) == len(plain.trainable_weights) == 2


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_training_in_half_precision_ends_near_float32(tmp_path, precision):
    look = Look()
    exact, expected = train(tmp_path / "float32", "float32")
    model, outcome = train(tmp_path / precision, precision, callbacks=[look])
    # It was another network that was trained, and the one that was given has its very weights.
    assert look.trained is not model
    assert look.trained.get_layer("last").compute_dtype == precision.removeprefix("mixed_")
    scaled = isinstance(look.trained.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (precision == "mixed_float16")
    assert all(map(np.array_equal, model.get_weights(), look.weights))
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}
    # Measured: 3 % of the way that the weights went with bfloat16, 1.3 % with float16; losses within 1 %.
    assert distance(model, exact) < 0.06 * distance(exact, network())
    np.testing.assert_allclose(outcome.column("loss"), expected.column("loss"), rtol=0.02)


def test_a_run_in_half_precision_goes_on_exactly(tmp_path):
    class Killed(Exception):
        pass

    class Dies(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 2:
                raise Killed

    whole, outcome = train(tmp_path / "whole", "mixed_float16")
    with pytest.raises(Killed):
        train(tmp_path / "killed", "mixed_float16", callbacks=[Dies()])
    model, again = train(tmp_path / "killed", "mixed_float16")
    assert again == outcome
    assert all(map(np.array_equal, model.get_weights(), whole.get_weights()))


def test_synchronised_changes_batch_normalisation_alone():
    copy = synchronised(network())
    kinds = [layer for layer in copy.layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert kinds
    assert all(layer.synchronized for layer in kinds)


def test_a_network_that_cannot_be_rebuilt_is_refused():
    class Own(keras.Model):
        def call(self, inputs):
            return inputs

    with pytest.raises(ArgumentError, match="cannot be rebuilt"):
        with_precision(Own(), "mixed_bfloat16")


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name == "small_cnn" else pytest.mark.slow) for name in available()],
)
def test_every_network_computes_in_half_precision(name):
    plain = build(name, size=80)
    mixed = with_precision(plain, "mixed_bfloat16")
    kinds = {layer.compute_dtype for layer in mixed.layers if isinstance(layer, keras.layers.Conv2D)}
    assert kinds == {"bfloat16"}
    pictures = np.random.default_rng(0).integers(0, 256, (2, 80, 80, 1), np.uint8)
    logits = mixed(pictures)
    assert logits.dtype == "float32"
    np.testing.assert_allclose(logits, plain(pictures), atol=0.1)

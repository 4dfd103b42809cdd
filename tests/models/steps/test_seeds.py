import itertools

import keras
import numpy as np

from mri_tumor.models.steps.seeds import seed_layers, seed_states


def network() -> keras.Model:
    inputs = keras.Input((50,))
    x = keras.layers.Dropout(0.5)(keras.layers.Dropout(0.5)(inputs))
    return keras.Model(inputs, keras.layers.GaussianNoise(0.1)(x))


def test_what_layers_draw_follows_from_seed_epoch_and_worker():
    model, other, inputs = network(), network(), np.ones((2, 50), np.float32)
    drawn = []
    for seed, epoch, worker in itertools.product(range(2), repeat=3):
        for each in (model, other):
            seed_layers(each, seed=seed, epoch=epoch, worker=worker)
        drawn.append(model(inputs, training=True).numpy())
        np.testing.assert_array_equal(drawn[-1], other(inputs, training=True))
        assert not np.array_equal(drawn[-1], model(inputs, training=True))
    assert len({values.tobytes() for values in drawn}) == 8


def test_every_layer_has_a_state_of_its_own():
    model = network()
    seed_layers(model, seed=0, epoch=0)
    assert len({tuple(state.numpy()) for state in seed_states(model)}) == 3

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import layers

from mri_tumor.models.builders import available, build
from mri_tumor.models.explaining.centres import Axis, grids, to_pixels
from mri_tumor.models.explaining.maps import pooled_maps

QUICK = ("small_cnn", "mobilenet_v2")


def middle(weights: np.ndarray) -> np.ndarray:
    """Return the centre of mass of (h, w) along both axes."""
    sums = [weights.sum(axis=1 - axis) for axis in (0, 1)]
    return np.array([np.average(np.arange(len(one)), weights=one) for one in sums])


@given(st.integers(1, 9), st.integers(9, 40), st.randoms(use_true_random=False))
def test_evenly_spread_cells_are_enlarged_as_pictures_are(cells: int, size: int, random: object) -> None:
    values = np.array([[random.random()] for _ in range(cells)], np.float32)
    expected = tf.image.resize(values[:, :, None], (size, 1))[..., 0]
    found = Axis(size).spread(cells).to_pixels(size) @ values
    np.testing.assert_allclose(found, expected, atol=1e-5)


@given(st.integers(1, 12), st.floats(-20, 40), st.floats(0.5, 40), st.integers(1, 60))
def test_a_pixel_is_a_mean_of_cells(cells: int, first: float, step: float, size: int) -> None:
    weights = Axis(cells, first, step).to_pixels(size)
    assert weights.shape == (size, cells)
    assert (weights >= 0).all()
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-5)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["conv", "depthwise", "average", "padding", "cropping"]),
        st.integers(1, 4),  # the window, or how much is padded or cropped before
        st.integers(1, 2),  # the stride or the dilation, or how much is after
        st.sampled_from(["same", "valid"]),
    ),
    min_size=1,
    max_size=3,
)
"""So few and so small that a cell in the middle of 128 pixels sees no border."""


def step(kind: str, size: int, stride: int, padding: str) -> layers.Layer:
    if kind == "conv":
        return layers.Conv2D(1, size, strides=stride, padding=padding, kernel_initializer="ones")
    if kind == "depthwise":
        return layers.DepthwiseConv2D(
            size, padding=padding, dilation_rate=stride, depthwise_initializer="ones"
        )
    if kind == "average":
        return layers.AveragePooling2D(size, strides=stride, padding=padding)
    sides = ((size, stride), (stride, size))
    return layers.ZeroPadding2D(sides) if kind == "padding" else layers.Cropping2D(sides)


@settings(max_examples=40)
@given(STEPS)
def test_a_cell_lies_in_the_middle_of_what_it_sees(steps: list) -> None:
    image = x = keras.Input((128, 128, 1), name="image")
    for one in steps:
        x = step(*one)(x)
    network, cell = keras.Model(image, x), x.shape[1] // 2
    stripes = np.broadcast_to(np.eye(128, dtype=np.float32)[:, :, None, None], (128, 128, 128, 1))
    rows, columns = (
        np.asarray(network(pictures))[:, cell, cell, 0] for pictures in (stripes, stripes.swapaxes(1, 2))
    )
    found = [np.average(np.arange(128), weights=seen) for seen in (rows, columns)]
    places = [axis.first + cell * axis.step for axis in grids(network)[id(x)]]
    np.testing.assert_allclose(found, places, atol=1e-3)


@pytest.mark.parametrize(
    "name", [one if one in QUICK else pytest.param(one, marks=pytest.mark.slow) for one in available()]
)
def test_the_maps_of_a_network_lie_where_they_look(name: str) -> None:
    keras.utils.set_random_seed(0)
    network = build(name, size=160)
    first = next(one.input for one in network.operations if getattr(one, "kernel_size", None))
    known, maps = grids(network), pooled_maps(network)
    maps = [maps[0], maps[-1]]
    model = keras.Model(network.inputs[0], [first, *maps])
    pictures = tf.random.stateless_uniform((4, 160, 160, 1), (0, 0), 0, 256, tf.int32)

    @tf.function
    def squared_gradients() -> list:
        early, *late = model(tf.cast(pictures, tf.uint8), training=False)
        cells = [one[:, one.shape[1] // 2, one.shape[2] // 2] for one in late]
        draws = [tf.random.stateless_normal(one.shape, (0, 1)) for one in cells]
        values = [tf.reduce_sum(one * draw) for one, draw in zip(cells, draws, strict=True)]
        return [tf.reduce_sum(tf.gradients(value, early)[0] ** 2, axis=(0, 3)) for value in values]

    (start, _), allowed = known[id(first)], 0.45 if name == "xception" else 0.2
    for one, squares in zip(maps, squared_gradients(), strict=True):
        found = start.first + start.step * middle(squares.numpy())
        places = [axis.first + axis.cells // 2 * axis.step for axis in known[id(one)]]
        # Random weights pull the middle to and fro, those of Xception's shortcuts most.
        np.testing.assert_allclose(found, places, atol=allowed * known[id(one)][0].step)


def test_a_map_that_was_squeezed_and_widened_again_is_spread_evenly() -> None:
    image = keras.Input((16, 16, 1))
    small = layers.Resizing(4, 4)(layers.Conv2D(1, 3, padding="same")(image))
    wide = layers.UpSampling2D(2)(small)
    found = to_pixels(keras.Model(image, wide), [small, wide])
    for (rows, _), cells in zip(found, (4, 8), strict=True):
        np.testing.assert_array_equal(rows, Axis(16).spread(cells).to_pixels(16))


def test_what_lies_behind_a_layer_that_is_used_twice_is_spread_evenly() -> None:
    image = keras.Input((16, 16, 1))
    twice = layers.Conv2D(1, 3, strides=2, padding="same")
    network = keras.Model(image, layers.ReLU()(twice(twice(image))))
    [(rows, columns)] = to_pixels(network, network.outputs)
    np.testing.assert_array_equal(rows, Axis(16).spread(4).to_pixels(16))
    np.testing.assert_array_equal(rows, columns)

import json
import socket

import keras
import numpy as np
import pytest
import tensorflow as tf

from mri_tumor.errors import ArgumentError, TrainingError
from mri_tumor.models.recipe import Recipe
from mri_tumor.models.steps.devices import Devices, devices_of, training_copy

ADDRESSES = [f"127.0.0.1:{socket.IPPORT_USERRESERVED + number}" for number in range(3)]


def test_one_device_needs_no_strategy():
    devices = devices_of(Recipe())
    assert (devices.worker, devices.workers, devices.here, devices.chief) == (0, 1, 1, True)
    np.testing.assert_array_equal(devices.total(np.arange(3)), [0, 1, 2])


def test_one_processor_alone_is_a_mirror_too():
    devices = devices_of(Recipe(devices="mirrored"))
    assert devices is devices_of(Recipe(devices="mirrored"))
    assert (devices.here, devices.workers) == (1, 1)
    parts = devices.parts((tf.range(3), tf.ones((3, 2))))
    values = [devices.strategy.experimental_local_results(part)[0] for part in parts]
    assert [value.shape for value in values] == [(3,), (3, 2)]


@pytest.mark.parametrize(
    "value",
    [
        "",
        "{",
        "[]",
        '{"cluster": {}}',
        json.dumps({"cluster": {"worker": ADDRESSES}, "task": {"type": "ps"}}),
    ],
)
def test_workers_that_are_not_named_are_refused(monkeypatch, value):
    monkeypatch.setenv("TF_CONFIG", value)
    with pytest.raises(ArgumentError, match="TF_CONFIG"):
        devices_of(Recipe(devices="workers"))


@pytest.mark.parametrize(("kind", "index", "place"), [("chief", 0, 0), ("worker", 0, 1), ("worker", 1, 2)])
def test_workers_are_counted_from_the_chief(monkeypatch, kind, index, place):
    from mri_tumor.models.steps.devices import _place

    cluster = {"worker": ADDRESSES[1:], "chief": ADDRESSES[:1]}
    assert _place(json.dumps({"cluster": cluster, "task": {"type": kind, "index": index}})) == (place, 3)


def test_workers_must_be_connected_before_anything_else(monkeypatch):
    task = {"type": "worker", "index": 1}
    monkeypatch.setenv("TF_CONFIG", json.dumps({"cluster": {"worker": ADDRESSES[:2]}, "task": task}))
    tf.constant(1.0) + 1  # TensorFlow is in use
    with pytest.raises(ArgumentError, match="before the network is built"):
        devices_of(Recipe(devices="workers"))


def test_a_layer_with_a_state_of_its_own_is_refused():
    inputs = keras.Input((3,))
    layer = keras.layers.SpectralNormalization(keras.layers.Dense(2, name="inner"), name="spectral")
    model = keras.Model(inputs, layer(inputs))
    with pytest.raises(ArgumentError, match=r"spectral .*keeps a state"):
        training_copy(model, devices_of(Recipe(devices="mirrored")), lambda network: network)


def test_a_worker_that_is_lost_is_named_as_such():
    text = "Graph execution error:\n\nCollective ops is aborted by: the tasks have crashed.\nmore"
    expected = pytest.raises(TrainingError, match=r"worker 1 lost another worker \(the tasks have crashed")
    with expected, Devices(worker=1, workers=2).together():
        raise tf.errors.UnavailableError(None, None, text)
    with pytest.raises(tf.errors.UnavailableError), Devices().together():
        raise tf.errors.UnavailableError(None, None, text)

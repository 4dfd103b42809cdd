"""Models that only compute are allowed, whatever network they are; all others are refused by name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.framework import op_def_registry

from mri_tumor import LABELS, dataset, models
from mri_tumor.cloud.operations import ALLOWED, refused_operations
from mri_tumor.manifest import Manifest
from mri_tumor.models.deciding.conformal import METHODS
from mri_tumor.models.networks.ensemble import merge
from mri_tumor.models.novelty import Density

SPECS = {
    "plain": {"crop": False, "window": None},
    "letterbox": {"fit": "letterbox"},
    "all": {},
}


def graph_of(folder: Path) -> Any:
    model = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
    return model.meta_graphs[0]


def decided(network: Any, method: str = "plain", tta: str = "mirror", **spec: Any) -> models.Classifier:
    """Return a classifier that does all that one can: views, temperature, sets and novelty."""
    prepare = dataset.Preprocess(size=network.inputs[0].shape[1], **spec)
    data = {"labels": list(LABELS), "preprocess": prepare.to_dict(), "preprocess_digest": prepare.digest}
    width = int(network.get_layer("features").output.shape[1])
    numbers = np.random.default_rng(0).normal(size=(4, width)).astype(np.float32)
    one = np.ones(3, np.float32)
    density = Density(numbers, np.ones(width, np.float32), np.eye(3, width, dtype=np.float32), one, one[:1])
    conformal = {"method": method, "risk": 0.1, "thresholds": dict.fromkeys(LABELS, 0.9)}
    section = {"tta": tta, "temperature": 1.5, "conformal": conformal, "novelty": {"threshold": 2.0}}
    return models.Classifier(network, Manifest("model", {"data": data, "decision": section}), density=density)


def refused(classifier: models.Classifier, folder: Path) -> list[str]:
    classifier.export(folder / "1")
    return refused_operations(graph_of(folder / "1"))


def tiny(**options: Any) -> Any:
    return models.build("small_cnn", size=32, width=2, **options)


@pytest.mark.parametrize("method", METHODS)
def test_every_way_to_decide_is_allowed(method: str, tmp_path: Path) -> None:
    assert refused(decided(tiny(), method), tmp_path) == []


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_every_preprocessing_is_allowed(spec: dict, tmp_path: Path) -> None:
    assert refused(decided(tiny(), tta="none", **spec), tmp_path) == []


def test_an_ensemble_is_allowed(tmp_path: Path) -> None:
    assert refused(decided(merge([tiny(), tiny()])), tmp_path) == []


def of_many_layers() -> Any:
    """Return a network of layers that ours have not."""
    image = keras.Input((32, 32, 1), dtype="uint8", name="image")
    x = layers.Rescaling(1 / 255)(image)
    x = layers.RandomFlip()(layers.Resizing(36, 36)(x))
    x = layers.CenterCrop(32, 32)(layers.GaussianNoise(0.1)(x))
    kinds = ("leaky_relu", "elu", "selu", "gelu", "silu", "softplus", "tanh", "hard_silu", "mish")
    x = layers.Concatenate()([layers.Conv2D(4, 3, activation=kind)(x) for kind in kinds])
    for layer in (
        layers.Conv2D(8, 3, strides=2, groups=4),
        layers.Conv2D(8, 3, padding="same", dilation_rate=2),
        layers.LayerNormalization(),
        layers.GroupNormalization(4),
        layers.PReLU(shared_axes=[1, 2]),
        layers.SeparableConv2D(8, 3),
        layers.Conv2DTranspose(8, 3),
        layers.UpSampling2D(2, interpolation="bilinear"),
        layers.AveragePooling2D(2),
    ):
        x = layer(x)
    mean, peak = layers.GlobalAveragePooling2D()(x), layers.GlobalMaxPooling2D()(x)
    sequence = layers.Reshape((-1, 8))(x)
    sequence = layers.MultiHeadAttention(2, 4)(sequence, sequence)
    sequence = layers.GRU(4)(layers.Conv1D(8, 3)(sequence))
    volume = layers.Conv3D(4, 3)(layers.Reshape((x.shape[1], x.shape[2], 4, 2))(layers.ZeroPadding2D(0)(x)))
    features = [mean, peak, sequence, layers.GlobalAveragePooling3D()(volume)]
    joined = layers.Concatenate(name="features")(features)
    return keras.Model(image, layers.Dense(4, dtype="float32", name="logits")(joined), name="own")


def test_a_network_of_other_layers_is_allowed(tmp_path: Path) -> None:
    assert refused(decided(of_many_layers()), tmp_path) == []


def test_what_is_allowed_and_has_a_state_is_known() -> None:
    """TensorFlow calls most of what reaches out stateful; of that only variables and calls are allowed."""
    stateful = {name for name in ALLOWED if op_def_registry.get(name).is_stateful}
    assert stateful == {
        "Assert",
        "AssignVariableOp",
        "Case",
        "DisableCopyOnRead",
        "GuaranteeConst",
        "If",
        "ReadVariableOp",
        "ResourceGather",
        "ResourceGatherNd",
        "StatefulPartitionedCall",
        "VarHandleOp",
        "VarIsInitializedOp",
        "VariableShape",
        "While",
    }


def prints(image: Any, folder: Path) -> Any:
    tf.print("owned", output_stream=f"file://{folder}/owned.txt")
    return image


def reads_lines(image: Any, folder: Path) -> Any:
    return image + tf.data.TextLineDataset("/etc/hostname").reduce(
        tf.constant(""), lambda one, two: one + two
    )


def saves(image: Any, folder: Path) -> Any:
    tf.raw_ops.SaveV2(prefix=f"{folder}/x", tensor_names=["x"], shape_and_slices=[""], tensors=[image])
    return image


def reads_table(image: Any, folder: Path) -> Any:
    table = tf.raw_ops.HashTableV2(key_dtype=tf.string, value_dtype=tf.int64)
    tf.raw_ops.InitializeTableFromTextFileV2(
        table_handle=table, filename="/etc/hostname", key_index=-2, value_index=-1
    )
    return image


def restores(image: Any, folder: Path) -> Any:
    return image + tf.raw_ops.RestoreV2(
        prefix="/somewhere", tensor_names=["x"], shape_and_slices=[""], dtypes=[tf.string]
    )


def in_a_branch(image: Any, folder: Path) -> Any:
    return tf.cond(tf.size(image) > 3, lambda: tf.map_fn(tf.io.read_file, image), lambda: image)


def calls_python(image: Any, folder: Path) -> Any:
    return tf.numpy_function(lambda value: value, [image], tf.string)


@pytest.mark.parametrize(
    ("act", "operation"),
    [
        (prints, "PrintV2"),
        (reads_lines, "TextLineDataset"),
        (saves, "SaveV2"),
        (restores, "RestoreV2"),
        (reads_table, "InitializeTableFromTextFileV2"),
        (in_a_branch, "ReadFile"),
        (calls_python, "PyFunc"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_what_reaches_out_is_refused_by_name(
    act: Callable[[Any, Path], Any], operation: str, tmp_path: Path
) -> None:
    module = tf.Module()
    module.weight = tf.Variable(1.0)

    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="image")])
    def call(image: Any) -> dict[str, Any]:
        return {"top": act(image, tmp_path)}

    concrete = call.get_concrete_function()
    module.call = call
    tf.saved_model.save(module, str(tmp_path / "1"), signatures={"serving_default": concrete})
    assert operation in refused_operations(graph_of(tmp_path / "1"))


def named_by_a_signature(graph: Any, name: str) -> None:
    graph.signature_def["serving_default"].outputs["x"].name = graph.saver_def.save_tensor_name


def fed_into_a_node(graph: Any, name: str) -> None:
    graph.graph_def.node.add(name="more", op="Identity", input=[graph.saver_def.save_tensor_name])


def run_at_the_start(graph: Any, name: str) -> None:
    node = graph.saver_def.save_tensor_name.partition(":")[0]
    graph.collection_def["saved_model_main_op"].node_list.value[:] = [node]


def called_by_an_object(graph: Any, name: str) -> None:
    graph.object_graph_def.nodes.add().function.concrete_functions.append(name)


def called_by_a_bare_object(graph: Any, name: str) -> None:
    graph.object_graph_def.nodes.add().bare_concrete_function.concrete_function_name = name


def called_by_a_function(graph: Any, name: str) -> None:
    (wrapper, *_) = (one for one in graph.graph_def.library.function if "wrapper" in one.signature.name)
    wrapper.node_def.add(name="more", op="StatefulPartitionedCall").attr["f"].func.name = name


def run_instead_of_restoring(graph: Any, name: str) -> None:
    (node,) = (one for one in graph.graph_def.node if one.name == graph.saver_def.restore_op_name)
    node.attr["f"].func.name = name


@pytest.mark.parametrize(
    "change",
    [
        named_by_a_signature,
        fed_into_a_node,
        run_at_the_start,
        called_by_an_object,
        called_by_a_bare_object,
        called_by_a_function,
        run_instead_of_restoring,
    ],
)
def test_the_function_that_saves_is_nobody_elses(unpacked: Path, change: Callable[[Any, str], None]) -> None:
    graph = graph_of(unpacked / "1")
    assert refused_operations(graph) == []
    (name,) = (one.signature.name for one in graph.graph_def.library.function if "save" in one.signature.name)
    change(graph, name)
    assert refused_operations(graph) == ["MergeV2Checkpoints", "SaveV2", "ShardedFilename"]

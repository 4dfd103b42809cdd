"""From TensorFlow's graph to ONNX's, with what the converter needs to be told."""

import contextlib
import gc
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from mri_tumor.models.engines.frozen import INPUT, Frozen
from mri_tumor.models.engines.libraries import onnx
from mri_tumor.models.engines.quiet import quiet

_OPSET = 17
_MARKS = ("_XlaMustCompile", "_noinline")
"""What keeps functions in a graph apart; Keras marks grouped convolutions so (3.15)."""


def onnx_model(frozen: Frozen) -> Any:
    """Return a network and its decision as ONNX's `ModelProto`, in float32.

    Raises:
        MissingExtra: the converter is not installed.
    """
    onnx("tf2onnx")  # before anything is worked out
    # The network's own constants, such as those of a normalisation, are inputs of its graph before that.
    function = convert_variables_to_constants_v2(frozen.concrete)
    inputs, outputs = ([tensor.name for tensor in part] for part in (function.inputs, function.outputs))
    names = dict(zip([*inputs, *outputs], [INPUT, *sorted(frozen.concrete.structured_outputs)], strict=True))
    # The converter shows a traceback of each improvement that it does without.
    with quiet("tf2onnx", "tensorflow"):
        graph = _translated(_one_piece(function.graph.as_graph_def()), inputs, outputs, names)
        return _improved(graph).make_model(frozen.name)


def _translated(definition: Any, inputs: list[str], outputs: list[str], names: dict[str, str]) -> Any:
    with tf.Graph().as_default():
        definition = onnx("tf2onnx.tf_loader").tf_optimize(inputs, outputs, definition)
    with tf.Graph().as_default() as graph:
        tf.import_graph_def(definition, name="")
        return onnx("tf2onnx.tfonnx").process_tf_graph(
            graph,
            input_names=inputs,
            output_names=outputs,
            tensors_to_rename=names,
            custom_op_handlers={"Erfc": (_erfc, [])},
            opset=_OPSET,
        )


def _improved(graph: Any) -> Any:
    """Leave out what need not be computed, above all most of the changes of the order of axes.

    Each improvement is made in a copy of the graph with all its weights, and the graph before it lives on
    until it is collected: 55 million weights came to 14 GB where Python was left to choose when.
    """
    tool = onnx("tf2onnx.optimizer")

    def collected(improvement: Callable[[], Any]) -> Callable[[], Any]:
        def start() -> Any:
            gc.collect()
            return improvement()

        return start

    useful = (
        tool.TransposeOptimizer,
        tool.ConstFoldOptimizer,
        tool.MergeDuplicatedNodesOptimizer,
        tool.ReshapeOptimizer,
        tool.IdentityOptimizer,
        tool.BackToBackOptimizer,
    )
    with _only_what_is_new():
        return tool.optimize_graph(graph, optimizers={one.__name__: collected(one) for one in useful})


@contextlib.contextmanager
def _only_what_is_new() -> Iterator[None]:
    """Let collections look at nothing that is there already, which takes a second each in a large program."""
    kept_by_the_program = gc.get_freeze_count()
    if not kept_by_the_program:
        gc.freeze()
    try:
        yield
    finally:
        if not kept_by_the_program:
            gc.unfreeze()


def _one_piece(graph: Any) -> Any:
    """Let the functions in a graph be put where they are called: ONNX has no functions of this kind."""
    functions = list(graph.library.function)
    for part in [*graph.node, *functions, *(node for one in functions for node in one.node_def)]:
        for mark in _MARKS:
            part.attr.pop(mark, None)
    return graph


def _erfc(context: Any, node: Any, name: str, _: Any) -> None:
    """Put 1 - erf(x) in the place of erfc(x), which ONNX does not have."""
    node.type = "Erf"
    one = context.make_const(f"{name}/one", np.array(1, np.float32))
    plain = node.output[0]
    complement = context.insert_new_node_on_output("Sub", plain, name=f"{name}/complement")
    context.replace_inputs(complement, [one.output[0], plain])

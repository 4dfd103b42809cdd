"""From TensorFlow's graph to ONNX's, with what the converter needs to be told."""

from typing import Any

import numpy as np
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
    converter = onnx("tf2onnx")
    # The network's own constants, such as those of a normalisation, are inputs of its graph before that.
    function = convert_variables_to_constants_v2(frozen.concrete)
    inputs, outputs = ([tensor.name for tensor in part] for part in (function.inputs, function.outputs))
    names = sorted(frozen.concrete.structured_outputs)
    # The converter shows a traceback of each improvement that it does without.
    with quiet("tf2onnx", "tensorflow"):
        model, _ = converter.convert.from_graph_def(
            _one_piece(function.graph.as_graph_def()),
            input_names=inputs,
            output_names=outputs,
            tensors_to_rename=dict(zip([*inputs, *outputs], [INPUT, *names], strict=True)),
            custom_op_handlers={"Erfc": (_erfc, [])},
            opset=_OPSET,
        )
    return model


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

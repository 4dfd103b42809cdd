"""The operations that a package's model may consist of: those that compute, and nothing else.

TensorFlow has over a thousand operations, and many reach for files, programs or the network: a list of what
is forbidden is never whole. So this is a list of what is allowed: what our own exports hold, which a test
collects, and what networks of other Keras layers hold.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

_OURS = """
    Abs AddV2 All Any ArgMax Assert AssignVariableOp AvgPool BiasAdd Bitcast BitwiseAnd Cast ConcatV2
    Const Conv2D Cumsum DecodeJpeg DecodePng DecodeRaw DenseBincount DepthwiseConv2dNative
    DisableCopyOnRead EnsureShape Equal Erfc ExtractJpegShape FloorDiv GatherV2 Greater GreaterEqual
    Identity IdentityN If Less LessEqual LogicalAnd LogicalNot LogicalOr MatMul Max MaxPool Maximum Mean
    Min Minimum Mul Neg NoOp Pack Pad Placeholder Prod Range ReadVariableOp RealDiv Relu Relu6 Reshape
    ReverseV2 RightShift Round Rsqrt Select SelectV2 Shape Sigmoid Size Softmax Sqrt Square
    SquaredDifference Squeeze StatefulPartitionedCall StatelessIf StaticRegexFullMatch StopGradient
    StridedSlice StringJoin Sub Substr Sum TensorListFromTensor TensorListGetItem TensorListReserve
    TensorListSetItem TensorListStack Transpose Unpack VarHandleOp Where While ZerosLike
"""

_OF_OTHER_NETWORKS = """
    Acos Acosh Add AddN AdjustContrastv2 Asin Asinh Atan Atan2 Atanh AvgPool3D BatchMatMul BatchMatMulV2
    BatchMatMulV3 BatchToSpaceND Bincount BitwiseOr BitwiseXor BroadcastArgs BroadcastTo Bucketize Case
    Ceil ClipByValue Conv Conv2DBackpropInput Conv3D Conv3DBackpropInputV2 Cos Cosh CropAndResize Cross
    Cumprod CumulativeLogsumexp DepthToSpace Diag DiagPart Dilation2D DivNoNan DynamicPartition
    DynamicStitch Einsum Elu EmptyTensorList Erf Exp ExpandDims Expm1 ExtractImagePatches Fill Floor
    FloorMod FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3 Gather GatherNd GuaranteeConst HSVToRGB
    ImageProjectiveTransformV2 ImageProjectiveTransformV3 InTopKV2 Inv Invert InvertPermutation IsFinite
    IsInf IsNan L2Loss LRN LeakyRelu LeftShift Lgamma LinSpace Log Log1p LogSoftmax LowerBound
    MatrixBandPart MatrixDiagPartV2 MatrixDiagPartV3 MatrixDiagV2 MatrixDiagV3 MatrixSetDiagV3 MaxPool3D
    MaxPoolV2 MirrorPad MulNoNan NotEqual OneHot OnesLike PadV2 ParallelConcat ParallelDynamicStitch
    PartitionedCall PlaceholderWithDefault Pow PreventGradient RGBToHSV Rank Reciprocal ResizeArea
    ResizeBicubic ResizeBilinear ResizeNearestNeighbor ResourceGather ResourceGatherNd Reverse
    ReverseSequence Rint Roll ScaleAndTranslate ScatterNd SegmentMax SegmentMean SegmentMin SegmentProd
    SegmentSum Selu ShapeN Sign Sin Sinh Slice Snapshot Softplus Softsign SpaceToBatchND SpaceToDepth
    SparseToDense Split SplitV StatelessCase StatelessWhile Tan Tanh TensorListConcatV2
    TensorListElementShape TensorListGather TensorListLength TensorListPopBack TensorListPushBack
    TensorListResize TensorListScatterIntoExistingList TensorListScatterV2 TensorScatterAdd
    TensorScatterMax TensorScatterMin TensorScatterSub TensorScatterUpdate Tile TopKV2 TruncateDiv
    TruncateMod Unique UniqueV2 UnravelIndex UnsortedSegmentMax UnsortedSegmentMin UnsortedSegmentProd
    UnsortedSegmentSum UpperBound VarIsInitializedOp VariableShape Xdivy Xlog1py Xlogy
"""

ALLOWED = frozenset((_OURS + _OF_OTHER_NETWORKS).split())
"""What a model may consist of."""

_RESTORES = frozenset({"RestoreV2"})
_SAVES = frozenset({"MergeV2Checkpoints", "SaveV2", "ShardedFilename"})

Functions = Mapping[str, Iterable[Any]]
"""Function of a graph's library -> its nodes."""


def refused_operations(graph: Any) -> list[str]:
    """Return the operations in a SavedModel's graph that are not known to compute only.

    Every SavedModel has a function that reads its variables and one that writes them; nobody calls the latter
    once it is exported. Only there, and only if nothing else leads there, the operations for it are allowed.

    Args:
        graph: its `MetaGraphDef`, which is looked at and never loaded.
    """
    functions = {one.signature.name: one.node_def for one in graph.graph_def.library.function}
    saver = _nodes_of_saver(graph)
    plain = [node for node in graph.graph_def.node if node.name not in saver.values()]
    restoring = [node for node in graph.graph_def.node if node.name == saver.get("restore")]
    run = _reached(functions, [*_called(plain), *_functions_of_objects(graph)])
    restored = _reached(functions, _called(restoring))
    found = {node.op for node in graph.graph_def.node} - ALLOWED
    for name, nodes in functions.items():
        unseen = frozenset() if name in run else _RESTORES if name in restored else _RESTORES | _SAVES
        found |= {node.op for node in nodes} - ALLOWED - unseen
    return sorted(found)


def _nodes_of_saver(graph: Any) -> dict[str, str]:
    """Return the nodes that save and restore the variables, as far as nothing else names them."""
    given = {"save": graph.saver_def.save_tensor_name, "restore": graph.saver_def.restore_op_name}
    named = {_node(name) for node in graph.graph_def.node for name in node.input}
    for card in (*graph.signature_def.values(), *graph.collection_def.values()):
        named |= {_node(text) for text in re.findall(r'"([^"]*)"', str(card))}
    return {role: _node(name) for role, name in given.items() if _node(name) not in named}


def _node(tensor: str) -> str:
    return tensor.removeprefix("^").partition(":")[0]


def _functions_of_objects(graph: Any) -> Iterator[str]:
    """Yield the functions that can be called by a name once the model is loaded."""
    yield from graph.object_graph_def.concrete_functions
    for one in graph.object_graph_def.nodes:
        yield from one.function.concrete_functions
        yield one.bare_concrete_function.concrete_function_name


def _called(nodes: Iterable[Any]) -> Iterator[str]:
    """Yield what nodes call: functions in their attributes, and one that bears their operation's name."""
    for node in nodes:
        yield node.op
        for value in node.attr.values():
            yield value.func.name
            yield from (one.name for one in value.list.func)


def _reached(functions: Functions, roots: Iterable[str]) -> set[str]:
    """Return the functions that are called from these, and these."""
    reached: set[str] = set()
    waiting = set(roots)
    while waiting:
        name = waiting.pop()
        if name in functions and name not in reached:
            reached.add(name)
            waiting.update(_called(functions[name]))
    return reached

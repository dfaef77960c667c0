"""What may stand in a hub graph: one static table of ONNX operators.

An operator belongs here when the passes keep its meaning and a test runs it. Operators that only ever compute
constants (``Shape``, ``Gather`` of a shape, …) need no entry: they are folded before the table is asked.
"""

from __future__ import annotations

SUPPORTED = frozenset({
    "Abs", "Add", "And", "ArgMax", "ArgMin", "AveragePool", "BatchNormalization", "Cast", "Ceil", "Clip", "Concat",
    "Constant", "Conv", "ConvTranspose", "Cos", "CumSum", "DepthToSpace", "Div", "Dropout", "Einsum", "Elu", "Equal",
    "Erf", "Exp", "Expand", "EyeLike", "Flatten", "Floor", "GRU", "Gather", "GatherElements", "GatherND", "Gelu",
    "Gemm", "GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool", "Greater", "GreaterOrEqual", "GroupNormalization",
    "HardSwish", "Identity", "InstanceNormalization", "LRN", "LSTM", "LayerNormalization", "LeakyRelu", "Less",
    "LessOrEqual", "Log", "LogSoftmax", "LpNormalization", "LpPool", "MatMul", "Max", "MaxPool", "Mean", "Min", "Mish",
    "Mod", "Mul", "Neg", "Not", "OneHot", "Or", "PRelu", "Pad", "Pow", "RNN", "Reciprocal", "ReduceLogSumExp",
    "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum", "Relu", "Reshape", "Resize", "Round", "Selu",
    "Shape", "Sigmoid", "Sign", "Sin", "Size", "Slice", "Softmax", "Softplus", "SpaceToDepth", "Split", "Sqrt",
    "Squeeze", "Sub", "Sum", "Tanh", "Tile", "TopK", "Transpose", "Trilu", "Unsqueeze", "Upsample", "Where", "Xor",
})  # fmt: skip
"""Operators of the ``ai.onnx`` domain that the compiler takes."""

CONTROL_FLOW = frozenset({"If", "Loop", "Scan", "SequenceMap"})
"""Operators that carry a graph; no static plan of memory or cost exists for them."""

QUANTISED = frozenset({"QuantizeLinear", "DequantizeLinear"})
"""Operators of the pairs that a quantised hub has; they stand even where all that they read is constant."""

AT_RUN_TIME = frozenset({
    "ConvInteger", "DynamicQuantizeLinear", "DynamicQuantizeLSTM", "DynamicQuantizeMatMul", "MatMulInteger",
    "MatMulIntegerToFloat", "MatMulNBits",
})  # fmt: skip
"""Operators of models whose activations are quantised at run time, by scales that no other runtime finds again."""

SIXTEEN_BITS = frozenset({
    "Add", "AveragePool", "Clip", "Concat", "Conv", "Expand", "Gather", "Gemm", "GlobalAveragePool", "GlobalMaxPool",
    "Identity", "LeakyRelu", "MatMul", "Max", "MaxPool", "Min", "Mul", "Pad", "ReduceMax", "ReduceMean", "ReduceMin",
    "ReduceSum", "Relu", "Reshape", "Resize", "Sigmoid", "Slice", "Softmax", "Split", "Sub", "Tanh", "Tile",
    "Transpose",
})  # fmt: skip
"""Operators that LiteRT's kernels compute on int16 as the hub does, within a step or two; found by running each.

Its GELU is off by eight; DEPTH_TO_SPACE, SPACE_TO_DEPTH and HARD_SWISH refuse such tensors.
"""

UNARY = frozenset({
    "Abs", "Ceil", "Clip", "Cos", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSwish", "LeakyRelu", "Log", "Neg", "Not",
    "Relu", "Round", "Sigmoid", "Sign", "Sin", "Softplus", "Sqrt", "Tanh",
})  # fmt: skip
"""Operators that map each element of their first input on its own; their other inputs are scalar constants."""

BROADCASTING = frozenset({
    "Add", "And", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Min", "Mod", "Mul", "Or",
    "PRelu", "Pow", "Sub", "Where", "Xor",
})  # fmt: skip
"""Elementwise operators whose operands broadcast."""

REDUCTIONS = frozenset({"ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd", "ReduceSum"})
"""Operators that combine the elements along the axes of their second input."""

PARAMETERS: dict[str, tuple[int, ...]] = {
    "BatchNormalization": (1, 2, 3, 4),
    "Clip": (1, 2),
    "Conv": (1, 2),
    "ConvTranspose": (1, 2),
    "CumSum": (1,),
    "Expand": (1,),
    "GRU": (1, 2, 3, 4),
    "DequantizeLinear": (1, 2),
    "GroupNormalization": (1, 2),
    "InstanceNormalization": (1, 2),
    "LSTM": (1, 2, 3, 4, 7),
    "LayerNormalization": (1, 2),
    "OneHot": (1, 2),
    "Pad": (1, 2, 3),
    "QuantizeLinear": (1, 2),
    "RNN": (1, 2, 3, 4),
    "ReduceLogSumExp": (1,),
    "Resize": (1, 2, 3),
    "Slice": (1, 2, 3, 4),
    "Split": (1,),
    "Tile": (1,),
    "TopK": (1,),
    "Trilu": (1,),
    **dict.fromkeys(REDUCTIONS, (1,)),
}
"""Which inputs must be constants: no runtime here can plan for weights or axes that come with the data."""

"""What may stand in a hub graph: one static table of ONNX operators.

An operator belongs here when the passes keep its meaning and a test runs it. Operators that only ever compute
constants (``Shape``, ``Gather`` of a shape, …) need no entry: they are folded before the table is asked.
"""

from __future__ import annotations

SUPPORTED = frozenset({
    "Add", "AveragePool", "BatchNormalization", "Cast", "Clip", "Concat", "Constant", "Conv", "ConvTranspose", "Div",
    "Dropout", "Flatten", "GRU", "Gemm", "GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool", "GroupNormalization",
    "Identity", "InstanceNormalization", "LRN", "LSTM", "LayerNormalization", "LeakyRelu", "LpNormalization", "LpPool",
    "MatMul", "Max", "MaxPool", "Min", "Mul", "Pad", "RNN", "ReduceMean", "Relu", "Reshape", "Resize", "Sigmoid",
    "Slice", "Softmax", "Squeeze", "Sub", "Tanh", "Transpose", "Unsqueeze", "Upsample",
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

UNARY = frozenset({"Relu", "LeakyRelu", "Sigmoid", "Tanh", "Clip"})
"""Operators that map each element of their first input on its own; their other inputs are scalar constants."""

BROADCASTING = frozenset({"Add", "Sub", "Mul", "Div", "Max", "Min"})
"""Elementwise operators whose operands broadcast."""

PARAMETERS: dict[str, tuple[int, ...]] = {
    "BatchNormalization": (1, 2, 3, 4),
    "Clip": (1, 2),
    "Conv": (1, 2),
    "ConvTranspose": (1, 2),
    "GRU": (1, 2, 3, 4),
    "DequantizeLinear": (1, 2),
    "GroupNormalization": (1, 2),
    "InstanceNormalization": (1, 2),
    "LSTM": (1, 2, 3, 4, 7),
    "LayerNormalization": (1, 2),
    "Pad": (1, 2, 3),
    "QuantizeLinear": (1, 2),
    "ReduceMean": (1,),
    "RNN": (1, 2, 3, 4),
    "Resize": (1, 2, 3),
    "Slice": (1, 2, 3, 4),
}
"""Which inputs must be constants: no runtime here can plan for weights or axes that come with the data."""

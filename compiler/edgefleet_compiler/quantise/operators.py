"""How each operator takes part in integers: one static table. Operators that are not in it stay float.

Source of the restrictions: TensorFlow Lite 8-bit quantization specification, operator list. Softmax, Sigmoid and Tanh
have the output parameters that its kernels hard-code; pools and operators that move elements keep parameters.
GlobalAveragePool and ReduceMean are that list's MEAN, which rescales: averages span less than what they average.
"""

from __future__ import annotations

import onnx_ir as ir

from edgefleet_compiler.hub.clip import interval_of
from edgefleet_compiler.hub.graph import constant, is_float, sole_consumer, text
from edgefleet_compiler.quantise.parameters import IntegerType, Parameters, parameters

WEIGHTED = {"Conv": 0, "Gemm": 0, "MatMul": -1}
"""Operators with constant weights as their second input, and the axis of the output channels in them."""

RESCALING = frozenset({"Add", "Gelu", "GlobalAveragePool", "HardSwish", "LeakyRelu", "Mul", "ReduceMean", "Sub"})
"""Operators that compute, and whose output has parameters of its own.

onnxruntime computes Gelu and HardSwish in float between their pairs; TFLite has both in integers, without which every
layer of a MobileNetV3 would take four times the memory.
"""

CLIPPING = frozenset({"Clip", "Relu"})
"""Activations: fused into what they follow where they can be, else rescaling."""

FIXED: dict[str, dict[IntegerType, Parameters]] = {
    "Softmax": {"int8": parameters(1 / 256, -128), "int16": parameters(1 / 32768, 0, "int16")},
    "Sigmoid": {"int8": parameters(1 / 256, -128), "int16": parameters(1 / 32768, 0, "int16")},
    "Tanh": {"int8": parameters(1 / 128, 0), "int16": parameters(1 / 32768, 0, "int16")},
}
"""Operators whose output has the parameters given here, by the integers that it is stored in, whatever the data."""

MOVING = frozenset({
    "Concat", "DepthToSpace", "Expand", "Gather", "Max", "Min", "Pad", "ReduceMax", "ReduceMin", "Reshape", "Resize",
    "Slice", "SpaceToDepth", "Split", "Tile", "Transpose",
})  # fmt: skip
"""Operators that move elements or choose among them: inputs and outputs share parameters, and integers do as reals."""

JOINING = frozenset({"Concat", "Max", "Min"})
"""Operators all of whose inputs hold elements of the output; of the others only the first does."""

_MOVING_MODES = {"Pad": "constant", "Resize": "nearest"}
"""The modes, which are the defaults, in which these move elements; integers interpolate otherwise in each runtime."""

SHARING = MOVING | {"AveragePool", "MaxPool"}
"""Operators whose input and output share parameters."""

_FUSED_INTO = frozenset({"Add", "Conv", "Gemm", "MatMul", "Mul", "Sub"})


def is_quantisable(node: ir.Node) -> bool:
    """Whether the node has a form in int8, with the inputs it has here; ``SIXTEEN_BITS`` tells which have int16's."""
    if node.domain or not all(is_float(value) for value in node.outputs):
        return False
    if node.op_type == "MatMul":  # of two activations, too
        return True
    if node.op_type in WEIGHTED:
        return all(value is None or constant(value) is not None for value in node.inputs[1:])
    if node.op_type in _MOVING_MODES:
        mode = _MOVING_MODES[node.op_type]
        return text(node, "mode", mode) == mode
    if node.op_type == "AveragePool":  # neither onnxruntime nor TFLite has an integer one with dilations
        return "dilations" not in node.attributes
    return node.op_type in RESCALING | CLIPPING | SHARING or node.op_type in FIXED


def data_inputs(node: ir.Node) -> list[int]:
    """Which inputs of an operator of ``SHARING`` have the parameters of its output; the others say how."""
    return list(range(len(node.inputs))) if node.op_type in JOINING else [0]


def is_fused(value: ir.Value) -> bool:
    """Whether the value exists only inside a fused operator: the one thing done with it is to be clipped.

    Clipping then is what saturation does, as long as zero, which every range includes, lies in the interval.
    """
    producer, follower = value.producer(), sole_consumer(value)
    interval = interval_of(follower)
    return (
        producer is not None
        and producer.op_type in _FUSED_INTO
        and is_quantisable(producer)
        and interval is not None
        and interval.low <= 0.0 <= interval.high
    )


def fixed_parameters(value: ir.Value, dtype: IntegerType) -> Parameters | None:
    """The parameters that the operator which computes the value prescribes for integers of a type, if any."""
    producer = value.producer()
    return FIXED[producer.op_type][dtype] if producer is not None and producer.op_type in FIXED else None

"""What QuantizeLinear and DequantizeLinear say: the parameters of the integer tensors, and which values they are for.

ONNX operator specification, QuantizeLinear and DequantizeLinear, opset 21.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.lowered.graph import Quantisation

# Activations whose effect on an integer is a clamp: what feeds them may be stored with the parameters of their output.
CLAMPS = frozenset({"Relu", "Clip"})
# Operators that compute in more than eight bits and round once, so that a clamp may follow before or after rounding.
ROUNDING = frozenset({"Add", "AveragePool", "Conv", "Gemm", "MatMul", "MaxPool", "Mul", "Sub"})


def parameters(node: ir.Node) -> Quantisation:
    """The scale and zero point of a QuantizeLinear or DequantizeLinear, which are initializers."""
    scale = _initializer(node, 1).astype(np.float32).reshape(-1)
    stored = node.inputs[2] if len(node.inputs) > 2 else None
    zero_point = (
        np.zeros(scale.shape, np.int64) if stored is None else _initializer(node, 2).astype(np.int64).reshape(-1)
    )
    return Quantisation(scale, zero_point, node.attributes.get_int("axis", 1) if scale.size > 1 else 0)


def wanted_parameters(graph: ir.Graph) -> dict[ir.Value, Quantisation]:
    """The values that exist in the graph only to be quantised, with the parameters they are quantised by.

    An operator that writes such a value may compute in integers and store the result. Where one feeds an activation
    that is a clamp, the operator before it may too: clamping and rounding commute, so Conv, Relu, QuantizeLinear and
    an integer convolution with the parameters of QuantizeLinear followed by an integer Relu give the same.
    """
    wanted: dict[ir.Value, Quantisation] = {}
    for node in reversed(graph):
        source = node.inputs[0] if node.inputs else None
        if source is None or len(source.uses()) != 1 or source.is_graph_output():
            continue
        if node.op_type == "QuantizeLinear":
            wanted[source] = parameters(node)
        elif node.op_type in CLAMPS and node.outputs[0] in wanted:
            producer = source.producer()
            if producer is not None and producer.op_type in ROUNDING | CLAMPS:
                wanted[source] = wanted[node.outputs[0]]
    return wanted


def _initializer(node: ir.Node, index: int) -> np.ndarray[tuple[int, ...], np.dtype[np.generic]]:
    value = node.inputs[index]
    assert value is not None
    assert value.const_value is not None, f"{node.name}: scales and zero points are initializers in the normal form"
    return value.const_value.numpy()

"""What QuantizeLinear and DequantizeLinear say: the parameters of the integer tensors, and which values they are for.

ONNX operator specification, QuantizeLinear and DequantizeLinear, opset 21.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.hub.graph import dtype_of
from edgefleet_compiler.lowered.graph import Quantisation, Tensor, same_parameters

# Activations whose effect on an integer is a clamp: what feeds them may be stored with the parameters of their output.
CLAMPS = frozenset({"Relu", "Clip"})
# Operators that compute in more than eight bits and round once, so that a clamp may follow before or after rounding.
ROUNDING = frozenset({"Add", "AveragePool", "Conv", "Gemm", "MatMul", "MaxPool", "Mul", "Sub"})


@dataclass(frozen=True)
class Form:
    """How an activation is stored in integers.

    Attributes:
        dtype: int8 or int16.
        quantisation: Scale and zero point, per tensor.
    """

    dtype: np.dtype[np.generic]
    quantisation: Quantisation

    def is_of(self, tensor: Tensor) -> bool:
        """Whether a tensor is stored in this form."""
        return tensor.dtype == self.dtype and same_parameters(tensor.quantisation, self.quantisation)

    @property
    def limits(self) -> tuple[int, int]:
        """The lowest and the highest integer."""
        limits = np.iinfo(self.dtype)  # type: ignore[type-var]  # only integers are quantised
        return int(limits.min), int(limits.max)

    def stored(self, real: NDArray[np.generic]) -> NDArray[np.generic]:
        """The integers nearest to reals, half to even, saturated."""
        steps = np.rint(real.astype(np.float64) / self.quantisation.scale[0]) + self.quantisation.zero_point[0]
        stored: NDArray[np.generic] = np.clip(steps, *self.limits).astype(self.dtype)
        return stored


def form_of(node: ir.Node) -> Form:
    """The integers that a QuantizeLinear gives, or a DequantizeLinear takes."""
    stored = node.outputs[0] if node.op_type == "QuantizeLinear" else node.inputs[0]
    assert stored is not None
    return Form(dtype_of(stored).numpy(), parameters(node))


def parameters(node: ir.Node) -> Quantisation:
    """The scale and zero point of a QuantizeLinear or DequantizeLinear, which are initializers."""
    scale = _initializer(node, 1).astype(np.float32).reshape(-1)
    stored = node.inputs[2] if len(node.inputs) > 2 else None
    zero_point = (
        np.zeros(scale.shape, np.int64) if stored is None else _initializer(node, 2).astype(np.int64).reshape(-1)
    )
    return Quantisation(scale, zero_point, node.attributes.get_int("axis", 1) if scale.size > 1 else 0)


def wanted_forms(graph: ir.Graph) -> dict[ir.Value, Form]:
    """The values that exist in the graph only to be quantised, with the form they are quantised to.

    An operator that writes such a value may compute in integers and store the result. Where one feeds an activation
    that is a clamp, the operator before it may too: clamping and rounding commute, so Conv, Relu, QuantizeLinear and
    an integer convolution with the parameters of QuantizeLinear followed by an integer Relu give the same.
    """
    wanted: dict[ir.Value, Form] = {}
    for node in reversed(graph):
        source = node.inputs[0] if node.inputs else None
        if source is None or len(source.uses()) != 1 or source.is_graph_output():
            continue
        if node.op_type == "QuantizeLinear":
            wanted[source] = form_of(node)
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

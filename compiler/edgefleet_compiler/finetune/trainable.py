"""Which constants of a hub are trained: weights, biases and slopes, and none that say how to compute."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.hub.graph import Constant, constant, is_float, name_of

WEIGHTS: dict[str, tuple[int, ...]] = {
    "Conv": (1, 2),
    "Gemm": (1, 2),
    "LayerNormalization": (1, 2),
    "MatMul": (0, 1),
    "PRelu": (1,),
}
"""Operators that bear weights, and which of their inputs these are."""


def weights_of(graph: ir.Graph) -> dict[str, Constant]:
    """The constants that are trained, by name, in the order of the graph.

    Args:
        graph: Float, in hub normal form.
    """
    found: dict[str, Constant] = {}
    for node in graph:
        for index in _weights_of(node):
            value = node.inputs[index]
            array = constant(value)
            if value is not None and array is not None and is_float(value):
                found[name_of(value)] = array
    return found


def _weights_of(node: ir.Node) -> list[int]:
    """Which inputs of a node are weights; what is added to a product of weights is its bias."""
    if node.op_type == "Add":
        return [index for index in (0, 1) if _is_product(node.inputs[1 - index])]
    return [index for index in WEIGHTS.get(node.op_type, ()) if index < len(node.inputs)]


def _is_product(value: ir.Value | None) -> bool:
    producer = None if value is None else value.producer()
    return producer is not None and producer.op_type == "MatMul" and constant(producer.inputs[1]) is not None


def with_weights(model: ir.Model, weights: dict[str, Constant]) -> ir.Model:
    """A copy of a hub with other weights.

    Args:
        model: It is not changed.
        weights: By name, of the shapes that ``weights_of`` gives; float32.
    """
    copy = model.clone()
    for name, array in weights.items():
        value = copy.graph.initializers[name]
        value.const_value = ir.Tensor(np.ascontiguousarray(array).reshape(array.shape), name=name)
    return copy

"""Scales of biases as products: a multiplication takes fewer bytes than the numbers that it gives.

The scale of a bias is that of the input times those of the weights (ONNX, QLinearConv), both of which the file holds
anyway. onnxruntime multiplies constants when it loads a file, before it looks for integer kernels.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import Constant, constant
from edgefleet_compiler.quantise.operators import WEIGHTED

_FEWEST = 8
"""Scales that take more bytes than a node of three short names."""


def multiply_out_bias_scales(graph: ir.Graph) -> None:
    """Compute the scales of biases wherever the product is what they are, bit for bit."""
    editor = Editor(graph)
    for node in list(graph):
        if node.op_type not in WEIGHTED or len(node.inputs) < 3:
            continue
        data, weights, bias = (_dequantise(value) for value in node.inputs[:3])
        if data is None or weights is None or bias is None:
            continue
        scales, factors = constant(bias.inputs[1]), [data.inputs[1], weights.inputs[1]]
        if scales is not None and scales.size >= _FEWEST and _are_product(scales, *map(constant, factors)):
            product = editor.node("Mul", factors, name=f"{bias.name}/scale", shape=scales.shape, before=bias)
            bias.replace_input_with(1, product)


def _dequantise(value: ir.Value | None) -> ir.Node | None:
    """The DequantizeLinear that a value comes from."""
    node = value.producer() if value is not None else None
    return node if node is not None and node.op_type == "DequantizeLinear" else None


def _are_product(scales: Constant, input_scale: Constant | None, weight_scales: Constant | None) -> bool:
    """Whether the scales are what multiplying the others in float32 gives."""
    if input_scale is None or weight_scales is None or input_scale.size != 1:
        return False
    return np.array_equal(scales, np.multiply(input_scale, weight_scales))

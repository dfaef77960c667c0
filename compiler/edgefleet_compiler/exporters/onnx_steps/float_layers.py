"""Layers with float weights between integers: a recipe asked for them, and onnxruntime must not round them.

Its optimiser gives a Conv, ConvTranspose or Gemm between a DequantizeLinear and a QuantizeLinear int8 weights of one
scale, whatever they were (``weight_bias_quantization.cc``, since release 1.21). A Max of one operand, which copies, in
between is not seen through.
"""

from __future__ import annotations

import onnx_ir as ir

from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import constant, name_of, shape_of, sole_consumer

_PAIR = ("DequantizeLinear", "QuantizeLinear")
_ROUNDED = ("Conv", "ConvTranspose", "Gemm")


def keep_float_weights(graph: ir.Graph) -> None:
    """Part layers with float weights from the QuantizeLinear behind them, in place."""
    editor = Editor(graph)
    for node in list(graph):
        if node.op_type not in _ROUNDED or constant(node.inputs[1]) is None:
            continue
        source, quantise = node.inputs[0], sole_consumer(node.outputs[0])
        before = source.producer() if source is not None else None
        if before is None or quantise is None or (before.op_type, quantise.op_type) != _PAIR:
            continue
        output = node.outputs[0]
        copied = editor.node("Max", [output], name=f"{name_of(output)}/copy", shape=shape_of(output), after=node)
        quantise.replace_input_with(0, copied)

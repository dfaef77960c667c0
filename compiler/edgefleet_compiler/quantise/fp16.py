"""Weights in 16 bits: half the file, nearly the same numbers; everything is computed in float32.

Source: IEEE 754 binary16. Rounding is to nearest, ties to even, with a relative error of at most 2**-11. Magnitudes
beyond 65,504 do not fit; such weights stay float32.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import constant, is_float, name_of, shape_of

WEIGHTED = ("Conv", "ConvTranspose", "GRU", "Gemm", "LSTM", "MatMul", "RNN")
"""Operators whose constant inputs are weights."""

FEWEST_ELEMENTS = 32
"""Below this a Cast takes more bytes than the narrow constant saves."""


def fp16_weights(model: ir.Model) -> ir.Model:
    """A copy of a float hub whose weights and biases are float16 initializers, each widened by a Cast.

    Args:
        model: In hub normal form; it is not changed.
    """
    copy = model.clone()
    graph = copy.graph
    editor = Editor(graph)
    widened: dict[ir.Value, ir.Value] = {}
    for node in list(graph):
        if node.op_type not in WEIGHTED:
            continue
        for index in range(1, len(node.inputs)):
            source = node.inputs[index]
            if source is None or not _can_be_narrow(source):
                continue
            if source not in widened:
                widened[source] = _widened(editor, source, node)
            node.replace_input_with(index, widened[source])
            if not source.uses() and not source.is_graph_output():
                del graph.initializers[name_of(source)]
    return copy


def _can_be_narrow(value: ir.Value) -> bool:
    array = constant(value)
    if array is None or not is_float(value) or array.size < FEWEST_ELEMENTS:
        return False
    return bool(np.abs(array).max() <= np.finfo(np.float16).max)


def _widened(editor: Editor, source: ir.Value, before: ir.Node) -> ir.Value:
    array, name = constant(source), name_of(source)
    assert array is not None
    narrow = editor.constant(array.astype(np.float16), f"{name}/half")
    return editor.node(
        "Cast",
        [narrow],
        name=f"{name}/widen",
        output=f"{name}/widened",
        shape=shape_of(source),
        attributes={"to": int(ir.DataType.FLOAT)},
        before=before,
    )

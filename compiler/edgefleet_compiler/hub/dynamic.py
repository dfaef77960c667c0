"""Activations that are rounded to integers at run time: DynamicQuantizeLinear, and the DequantizeLinear behind it.

ONNX operator specification, DynamicQuantizeLinear, opset 11: uint8, one scale and zero point, of the range that the
activation has in this very inference, zero included.
"""

from __future__ import annotations

import onnx_ir as ir

from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import name_of, shape_of


def round_at_run_time(editor: Editor, value: ir.Value, *, before: ir.Node) -> ir.Value:
    """An activation as it is after rounding to 8 bits in the range that it has when the model runs.

    Args:
        editor: Of the graph.
        value: float32.
        before: The first node that reads the result.
    """
    name, shape = name_of(value), shape_of(value)
    stored = editor.node(
        "DynamicQuantizeLinear",
        [value],
        name=f"{name}/round",
        output=f"{name}/stored",
        shape=shape,
        dtype=ir.DataType.UINT8,
        before=before,
    )
    node = stored.producer()
    assert node is not None
    node.resize_outputs(3)
    for output, label, dtype in zip(
        node.outputs[1:], ("scale", "zero_point"), (ir.DataType.FLOAT, ir.DataType.UINT8), strict=True
    ):
        output.name = editor.value_name(f"{name}/stored/{label}")
        output.shape, output.type = ir.Shape([]), ir.TensorType(dtype)
    return editor.node(
        "DequantizeLinear", node.outputs, name=f"{name}/widen", output=f"{name}/rounded", shape=shape, before=before
    )


def source_of(value: ir.Value | None) -> ir.Node | None:
    """The DynamicQuantizeLinear whose integers a value stands for; None for other values."""
    widening = None if value is None else value.producer()
    if widening is None or widening.op_type != "DequantizeLinear" or widening.inputs[0] is None:
        return None
    rounding = widening.inputs[0].producer()
    return rounding if rounding is not None and rounding.op_type == "DynamicQuantizeLinear" else None


def without_rounding_at_run_time(model: ir.Model) -> tuple[ir.Model, frozenset[str]]:
    """The same model without it, and which nodes read what was rounded.

    Args:
        model: It is not changed; without such nodes it is what is returned.

    Returns:
        The model, and the names of the nodes.
    """
    if not any(node.op_type == "DynamicQuantizeLinear" for node in model.graph):
        return model, frozenset()
    copy = model.clone()
    readers = set()
    for node in list(copy.graph):
        rounding = source_of(node.outputs[0]) if node.op_type == "DequantizeLinear" else None
        if rounding is None:
            continue
        readers |= {use.node.name or "" for use in node.outputs[0].uses()}
        assert rounding.inputs[0] is not None
        node.outputs[0].replace_all_uses_with(rounding.inputs[0])
        copy.graph.remove(node, safe=True)
    for node in [node for node in copy.graph if node.op_type == "DynamicQuantizeLinear"]:
        copy.graph.remove(node, safe=True)
    return copy, frozenset(readers)

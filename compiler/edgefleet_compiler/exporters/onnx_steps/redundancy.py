"""What an ONNX file can do without: default attributes, and constants stored twice."""

from __future__ import annotations

import onnx_ir as ir

from edgefleet_compiler.hub.graph import constant, integers


def drop_default_attributes(graph: ir.Graph) -> None:
    """Remove attributes that say what holds without them (ONNX operator specification)."""
    for node in graph:
        for name, default in (("strides", 1), ("dilations", 1), ("pads", 0)):
            numbers = integers(node, name)
            if numbers is not None and all(number == default for number in numbers):
                del node.attributes[name]
        group = node.attributes.get("group")
        if group is not None and group.as_int() == 1:
            del node.attributes["group"]
        if node.op_type.startswith("Conv"):
            node.attributes.pop("kernel_shape", None)  # the shape of the weights


def share_constants(graph: ir.Graph) -> None:
    """Let equal constants be one."""
    first: dict[tuple[ir.DataType | None, tuple[int, ...], bytes], ir.Value] = {}
    for value in list(graph.initializers.values()):
        array = constant(value)
        if array is None or value.is_graph_output():
            continue
        same = first.setdefault((value.dtype, array.shape, array.tobytes()), value)
        if same is not value:
            value.replace_all_uses_with(same)
            del graph.initializers[value.name or ""]

"""What an ONNX file can do without: clips that saturation implies, default attributes, constants stored twice."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.exporters.onnx_steps.integers import parameter_arrays
from edgefleet_compiler.hub.clip import interval_of
from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import constant, integers, sole_consumer


def drop_saturated_clips(graph: ir.Graph) -> None:
    """Remove Relu and Clip in front of a QuantizeLinear that saturates at their bounds or within.

    Rounding and clamping are monotone, so clipping before them changes nothing where both bounds are stored as the
    lowest and the highest integer, or beyond.
    """
    editor = Editor(graph)
    for node in list(graph):
        interval = interval_of(node)
        quantise = sole_consumer(node.outputs[0]) if interval is not None else None
        if interval is None or quantise is None or quantise.op_type != "QuantizeLinear":
            continue
        scale, zero_point = parameter_arrays(quantise)
        lowest, highest = np.rint(interval.low / scale) + zero_point, np.rint(interval.high / scale) + zero_point
        if lowest <= 0 and highest >= 255:
            editor.bypass(node)


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

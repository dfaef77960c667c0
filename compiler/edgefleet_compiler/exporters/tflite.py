"""The TFLite artifact of a model, by way of the lowered graph."""

from __future__ import annotations

import onnx_ir as ir

from edgefleet_compiler.lower import lower
from edgefleet_compiler.lower.border import Io, IoLayout
from edgefleet_compiler.lowered.graph import LoweredGraph
from edgefleet_compiler.tflite.writer import write_tflite


def export_tflite(model: ir.Model, *, io: Io, io_layout: IoLayout) -> tuple[bytes, LoweredGraph]:
    """Write a model in hub normal form as a ``.tflite`` file.

    Args:
        model: Float, with float16 weights, or quantised with QDQ pairs; it is not changed.
        io: The type of quantised inputs and outputs.
        io_layout: ``source`` keeps the axis order of inputs and outputs, ``native`` takes images channels last.

    Returns:
        The file, and the graph that it holds.

    Raises:
        OperatorUnsupported: Nodes that have no lowering; all of them are named.
        RecipeUnfit: ``io`` is ``int8``, and an input or output was left in float.
    """
    graph = lower(model, io=io, io_layout=io_layout)
    return write_tflite(graph), graph

"""Relu and Clip in front of a QuantizeLinear: after it, on integers, or not at all.

Rounding and clamping are monotone, so that rounding a clipped number is clipping the rounded one to the rounded bounds.
Where the bounds are the lowest and highest integers, saturation does it. What computes the number then stands right
before QuantizeLinear, which is what onnxruntime's integer kernels are matched by: it leaves a convolution with a Relu
behind it in float where zero is not the lowest integer, as when a Concat shares parameters with something negative.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.exporters.onnx_steps.integers import parameter_arrays
from edgefleet_compiler.hub.clip import Interval, interval_of
from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import dtype_of, shape_of, sole_consumer

_LOWEST, _HIGHEST = 0, 255


def clip_integers(graph: ir.Graph) -> None:
    """Let every Relu and Clip whose result is only rounded follow the rounding, or vanish."""
    editor = Editor(graph)
    for node in list(graph):
        interval, source = interval_of(node), node.inputs[0] if node.inputs else None
        quantise = sole_consumer(node.outputs[0]) if interval is not None else None
        if interval is None or source is None or quantise is None or quantise.op_type != "QuantizeLinear":
            continue
        rounded = quantise.outputs[0]
        if dtype_of(rounded) != ir.DataType.UINT8:  # onnxruntime has no Clip of 16 bits
            continue
        bounds = _rounded(interval, *parameter_arrays(quantise))
        if bounds != (_LOWEST, _HIGHEST):
            _clip_rounded(rounded, bounds, node, editor)
        quantise.replace_input_with(0, source)
        graph.remove(node, safe=True)


def _rounded(interval: Interval, scale: float, zero_point: int) -> tuple[int, int]:
    bounds = np.rint(np.array([interval.low, interval.high]) / scale) + zero_point
    low, high = np.clip(bounds, _LOWEST, _HIGHEST)
    return int(low), int(high)


def _clip_rounded(rounded: ir.Value, bounds: tuple[int, int], node: ir.Node, editor: Editor) -> None:
    """Put a Clip of integers behind a QuantizeLinear."""
    uses = list(rounded.uses())
    limits = [editor.constant(np.array(bound, np.uint8), f"{node.name}/bound") for bound in bounds]
    clipped = editor.node(
        "Clip",
        [rounded, *limits],
        name=f"{node.name}/clip",
        shape=shape_of(rounded),
        dtype=dtype_of(rounded),
        after=rounded.producer(),
    )
    for user, index in uses:
        user.replace_input_with(index, clipped)

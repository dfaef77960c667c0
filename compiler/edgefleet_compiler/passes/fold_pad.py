"""A Pad in front of a window becomes the padding of the window.

Source: ONNX operator specification. ``Conv`` pads with zeros, ``MaxPool`` with what no maximum takes, ``AveragePool``
with zeros that count under ``count_include_pad``. So a Pad with the same value, on the spatial axes alone, says the
same twice.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.hub.graph import constant, input_integers, integer, integers, sole_consumer, text
from edgefleet_compiler.passes.record import Effects


def fold_pad(model: ir.Model) -> Effects:
    """Fold Pad into the Conv, MaxPool or AveragePool that alone uses it."""
    graph, effects = model.graph, Effects()
    for node in list(graph):
        if node.op_type != "Pad" or node.inputs[0] is None or text(node, "mode", "constant") != "constant":
            continue
        window, spatial = sole_consumer(node.outputs[0]), _spatial_padding(node)
        value = constant(node.inputs[2]) if len(node.inputs) > 2 else None
        if window is None or spatial is None or value is None or not _pads_alike(window, float(value.reshape(()))):
            continue
        pads = [own + added for own, added in zip(integers(window, "pads") or (), spatial, strict=True)]
        if window.op_type != "Conv" and not _fits(window, pads):
            continue
        window.attributes.add(ir.AttrInt64s("pads", pads))
        if window.op_type == "AveragePool":
            window.attributes.add(ir.AttrInt64("count_include_pad", 1))
        window.replace_input_with(0, node.inputs[0])
        graph.remove(node, safe=True)
        effects[f"folded {{}} Pad into {window.op_type}"] += 1
    return effects


def _spatial_padding(node: ir.Node) -> tuple[int, ...] | None:
    """The padding of the axes from the third on, begins then ends; None if others are padded, or anything cropped."""
    pads = np.array(input_integers(node, 1) or ()).reshape(2, -1)
    if pads.shape[1] < 3 or pads.min() < 0 or pads[:, :2].any():
        return None
    return tuple(int(size) for size in pads[:, 2:].reshape(-1))


def _pads_alike(window: ir.Node, value: float) -> bool:
    if integer(window, "ceil_mode", 0):
        return False
    match window.op_type:
        case "Conv":
            return value == 0.0
        case "MaxPool":
            return value <= float(np.finfo(np.float32).min) and len(window.outputs) == 1
        case "AveragePool":
            # Padding of its own that does not count cannot be mixed with padding that does.
            own = any(integers(window, "pads") or ())
            return value == 0.0 and (not own or integer(window, "count_include_pad", 0) == 1)
        case _:
            return False


def _fits(window: ir.Node, pads: list[int]) -> bool:
    """Whether every window keeps an element of the input: pools refuse padding as large as their kernel."""
    kernel = integers(window, "kernel_shape") or ()
    return all(size < extent for size, extent in zip(pads, (*kernel, *kernel), strict=True))

"""An AveragePool over the whole image is a GlobalAveragePool, which in integers has a scale of its own.

Source: ONNX operator specification, ``AveragePool`` and ``GlobalAveragePool``: with a kernel of the image's size and no
padding there is one window; strides, rounding and what padding counts for say nothing. TensorFlow Lite 8-bit
quantization specification: ``AVERAGE_POOL_2D`` must keep the scale of its input, although averages span far less, while
``MEAN``, to which a GlobalAveragePool is lowered, rescales; XNNPACK takes the latter in int8 and leaves the former.
"""

from __future__ import annotations

import onnx_ir as ir

from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import integers, shape_of
from edgefleet_compiler.passes.record import Effects


def recognise_global_averages(model: ir.Model) -> Effects:
    """Make every AveragePool whose window is the whole image a GlobalAveragePool.

    One that is quantised already stays: it keeps the scales that it came with, and its way of rounding.
    """
    effects = Effects()
    editor = Editor(model.graph)
    for node in list(model.graph):
        source = node.inputs[0] if node.op_type == "AveragePool" else None
        if source is None or _is_quantised(source) or not _is_global(node, source):
            continue
        editor.rewrite(node, "GlobalAveragePool", [source])
        effects["recognised {} averages of whole images"] += 1
    return effects


def _is_global(node: ir.Node, source: ir.Value) -> bool:
    """Whether the one window is the image; several would mean padding by ``auto_pad``."""
    return (
        integers(node, "kernel_shape") == shape_of(source)[2:]
        and all(size == 1 for size in shape_of(node.outputs[0])[2:])
        and not any(integers(node, "pads") or ())
    )


def _is_quantised(value: ir.Value) -> bool:
    producer = value.producer()
    return producer is not None and producer.op_type == "DequantizeLinear"

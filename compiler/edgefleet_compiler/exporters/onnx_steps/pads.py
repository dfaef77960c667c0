"""Pads in front of pools, kept from an error of onnxruntime's optimiser.

Its ``PadFusion`` makes any Pad with zeros part of a pool's own padding (microsoft/onnxruntime pull request 18136).
MaxPool's own padding is not zero but lower than everything, so that negative maxima come out wrong; and padding as
large as the kernel does not load. A value that is not exactly zero is left alone.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import constant, input_integers, integers, is_float, sole_consumer

_POOLS = ("MaxPool", "AveragePool")


def nudge_zeros_before_pools(graph: ir.Graph) -> None:
    """Let float Pads in front of pools pad with the smallest normal number instead of zero."""
    editor = Editor(graph)
    for node in list(graph):
        if node.op_type != "Pad" or not is_float(node.outputs[0]):
            continue
        pool, value = sole_consumer(node.outputs[0]), constant(node.inputs[2]) if len(node.inputs) > 2 else None
        if pool is not None and pool.op_type in _POOLS and value is not None and not value.any():
            nudged = np.full(value.shape, np.finfo(np.float32).tiny, np.float32)
            node.replace_input_with(2, editor.constant(nudged, f"{node.name}/value"))


def outgrows_pool(pad: ir.Node, reader: ir.Node | None) -> bool:
    """Whether a pool reads the Pad, and its kernel is no larger than the padding."""
    if pad.op_type != "Pad" or reader is None or reader.op_type not in _POOLS:
        return False
    kernel = integers(reader, "kernel_shape") or ()
    pads = np.array(input_integers(pad, 1)).reshape(2, -1)[:, -len(kernel) :]
    return bool((pads >= np.array(kernel)).any())

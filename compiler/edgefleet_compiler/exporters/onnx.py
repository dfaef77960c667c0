"""The ONNX artifact of a model: the hub, with integers where onnxruntime wants them, and nothing it can do without."""

from __future__ import annotations

from typing import Literal

import onnx_ir as ir

from edgefleet_compiler.exporters.onnx_steps.bias_scales import multiply_out_bias_scales
from edgefleet_compiler.exporters.onnx_steps.border import cut_pairs, drop_border_transposes, stored_axes
from edgefleet_compiler.exporters.onnx_steps.clips import clip_integers
from edgefleet_compiler.exporters.onnx_steps.dynamic import multiply_integers
from edgefleet_compiler.exporters.onnx_steps.file import write_file
from edgefleet_compiler.exporters.onnx_steps.float_layers import keep_float_weights
from edgefleet_compiler.exporters.onnx_steps.groups import write_out_groups
from edgefleet_compiler.exporters.onnx_steps.integers import move_integers, shift_to_unsigned
from edgefleet_compiler.exporters.onnx_steps.opsets import lower_opset
from edgefleet_compiler.exporters.onnx_steps.pads import nudge_zeros_before_pools
from edgefleet_compiler.exporters.onnx_steps.palettes import store_palettes
from edgefleet_compiler.exporters.onnx_steps.redundancy import drop_default_attributes, share_constants
from edgefleet_compiler.exporters.onnx_steps.stored_weights import widen_weights
from edgefleet_compiler.passes.dead_code import remove_dead_code

__all__ = ["export_onnx", "stored_axes"]

Io = Literal["float", "int8"]
IoLayout = Literal["source", "native"]


def export_onnx(model: ir.Model, *, max_opset: int, io: Io, io_layout: IoLayout, palettes: bool = False) -> bytes:
    """Write a model in hub normal form as an ``.onnx`` file.

    Activations of a quantised model become unsigned (zero points move by 128), since onnxruntime turns signed ones
    into unsigned itself, and leaves convolutions behind residual branches in float when it does. Weights stay signed.

    Args:
        model: Float, with float16 weights, or quantised with QDQ pairs; it is not changed.
        max_opset: The newest opset that the target's runtime takes.
        io: ``int8`` leaves out the outermost QuantizeLinear and DequantizeLinear: inputs and outputs are uint8.
        io_layout: ``source`` keeps the axis order of inputs and outputs, ``native`` takes images channels first.
        palettes: Whether weights that have few distinct integers are stored as numbers of these.

    Returns:
        The file; the same bytes for the same model and arguments.

    Raises:
        OperatorUnsupported: Nodes that ``max_opset`` does not have; all of them are named.
        RecipeUnfit: ``io`` is ``int8``, and an input or output was left in float; or ``max_opset`` is too old.
    """
    copy = model.clone()
    multiply_integers(copy.graph)
    remove_dead_code(copy)
    shift_to_unsigned(copy.graph)
    widen_weights(copy.graph)
    clip_integers(copy.graph)
    move_integers(copy.graph)
    remove_dead_code(copy)  # pairs that nothing reads any more would hide what stands at the border
    nudge_zeros_before_pools(copy.graph)
    keep_float_weights(copy.graph)
    if io == "int8":
        cut_pairs(copy.graph)
    if io_layout == "native":
        drop_border_transposes(copy.graph)
    if palettes:
        store_palettes(copy.graph)
    write_out_groups(copy.graph)
    multiply_out_bias_scales(copy.graph)
    drop_default_attributes(copy.graph)
    remove_dead_code(copy)
    share_constants(copy.graph)
    opset = lower_opset(copy.graph, max_opset)
    return write_file(copy, opset)

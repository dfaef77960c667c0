"""Activations rounded to 8 bits when the model runs, in the range that they have then; weights of 8 bits.

No calibration set is needed, no range is guessed, and what a runtime has integer kernels for runs on them. LiteRT has
hybrid kernels of convolutions and fully connected layers; those of depthwise convolutions are slower than float by far.
onnxruntime has a kernel of matrix products, which rounds in a pass of its own and pays from some size on; its
convolutions of such integers take several times as long as float.
Layers that are not worth it have the weights of ``weight_only`` and compute in float32.
"""

from __future__ import annotations

import math

import onnx_ir as ir

from edgefleet_compiler.hub.dynamic import round_at_run_time
from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import constant, integer, shape_of
from edgefleet_compiler.quantise.layers import check_layer_names
from edgefleet_compiler.quantise.settings import Settings
from edgefleet_compiler.quantise.weight_only import store_weights
from edgefleet_contract.errors import RecipeUnfit
from edgefleet_hardware.profile import Format

ROUNDED: dict[Format, frozenset[str]] = {
    "onnx": frozenset({"Gemm", "MatMul"}),
    "tflite": frozenset({"Conv", "Gemm", "MatMul"}),
}
"""Operators that runtimes of a format compute faster on integers than in float."""

FEWEST_PRODUCTS = 2**16
"""Below so many, onnxruntime is faster in float: measured .86 of its speed at 2**14, 1.09 at 80,000, 2 at 2**20."""


def dynamic(model: ir.Model, settings: Settings, artifact: Format) -> ir.Model:
    """A copy of a float hub whose layers with weights read activations that are rounded at run time.

    Args:
        model: In hub normal form; it is not changed.
        settings: What is asked for; a layer that computes with ``float`` has narrow weights alone, one with ``int8``
            is rounded whatever the format is good at.
        artifact: The format that is to come of it.

    Raises:
        RecipeMalformed: The settings name a layer that there is not.
        RecipeUnfit: They ask for integers of a layer that has no such form.
    """
    check_layer_names(model.graph, settings)
    copy = model.clone()
    # Of what is to be TFLite, XNNPACK and LiteRT multiply signed integers, whose products they add in 32 bits.
    store_weights(copy.graph, settings, narrow=ROUNDED["onnx"] if settings.narrow_pairs else ())
    editor = Editor(copy.graph)
    rounded: dict[ir.Value, ir.Value] = {}
    for node in list(copy.graph):
        if not _is_rounded(node, settings, artifact):
            continue
        source = node.inputs[0]
        assert source is not None
        if source not in rounded:
            rounded[source] = round_at_run_time(editor, source, before=node)
        node.replace_input_with(0, rounded[source])
    return copy


def _is_rounded(node: ir.Node, settings: Settings, artifact: Format) -> bool:
    asked = settings.compute_of(node.name or "")
    why_not = _why_not(node)
    if asked in ("int8", "int16") and (why_not or asked == "int16"):
        raise RecipeUnfit(
            f"The layer {node.name!r} ({node.op_type}) cannot round what it reads to {asked} at run time: "
            f"{why_not or 'there it is int8'}",
            expected='compute = "float", or nothing, for this layer',
            layer=node.name or "",
        )
    return not why_not and (asked == "int8" or (asked is None and _is_worth_rounding(node, artifact)))


def _is_worth_rounding(node: ir.Node, artifact: Format) -> bool:
    if artifact == "tflite" or node.op_type not in ROUNDED[artifact]:
        return node.op_type in ROUNDED[artifact]
    assert node.inputs[0] is not None
    return math.prod(shape_of(node.outputs[0])) * shape_of(node.inputs[0])[-1] >= FEWEST_PRODUCTS


def _why_not(node: ir.Node) -> str:
    """Why no runtime computes a node on such integers; empty where one does."""
    if node.op_type not in ROUNDED["tflite"]:
        return "only convolutions and fully connected layers can"
    weights = node.inputs[1]
    widening = None if weights is None else weights.producer()
    stored = constant(widening.inputs[0]) if widening is not None and widening.op_type == "DequantizeLinear" else None
    if stored is None:
        return "its weights are few, or computed at run time"
    if str(stored.dtype) != "int8":
        return "its weights are int4"
    if node.op_type == "Conv" and integer(node, "group", 1) > 1:
        return "it is in groups"
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    if node.op_type == "Gemm" and bias is not None and len(shape_of(bias)) != 1:
        return "its third input differs from row to row"
    return "" if node.op_type == "Conv" or stored.ndim == 2 else "its weights are several matrices"

"""Weights stored as integers and computed in float32: a quarter of the bytes, or an eighth, at the speed of float.

Weights are symmetric, with a scale per output channel: real = scale * stored. Runtimes widen them once, when they load
the model. Biases, and whatever else is small, stay float32.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.hub.editor import Editor
from edgefleet_compiler.hub.graph import constant, integer, is_float, name_of, shape_of
from edgefleet_compiler.quantise.layers import check_layer_names
from edgefleet_compiler.quantise.parameters import Floats
from edgefleet_compiler.quantise.saturation import narrowed_scales, quantise_narrow
from edgefleet_compiler.quantise.settings import Settings, Weights
from edgefleet_compiler.quantise.weights import integers_of, kind_of, scales_of
from edgefleet_contract.errors import RecipeUnfit

WEIGHTS = {
    "Conv": {1: 0},
    "ConvTranspose": {1: 1},
    "GRU": {1: 1, 2: 1},
    "Gemm": {1: 0},
    "LSTM": {1: 1, 2: 1},
    "MatMul": {1: 1},
    "RNN": {1: 1, 2: 1},
}
"""Operators with weights: the positions of these among the inputs, and the axis of the output channels in each."""

FEWEST_ELEMENTS = 128
"""Below this the scales, and what the file says of them, take more bytes than the narrow weights save."""

Stored = tuple[NDArray[Any], Floats]

_CONVOLUTIONS = ("Conv", "ConvTranspose")


def weight_only(model: ir.Model, settings: Settings) -> ir.Model:
    """A copy of a float hub whose constant weights are integers, each widened by a DequantizeLinear.

    Args:
        model: In hub normal form; it is not changed.
        settings: What is asked for; of it, the type of the weights and how many scales they have.

    Raises:
        RecipeMalformed: The settings name a layer that there is not.
        RecipeUnfit: They ask for integer activations of a layer.
    """
    check_layer_names(model.graph, settings)
    for name in settings.layers:
        if settings.compute_of(name) not in (None, "float"):
            raise RecipeUnfit(
                f"The scheme weight-only computes in float, and the recipe wants {settings.compute_of(name)} "
                f"of the layer {name!r}",
                expected='the scheme dynamic, int8 or int16x8, or compute = "float"',
                layer=name,
            )
    copy = model.clone()
    store_weights(copy.graph, settings)
    return copy


def store_weights(
    graph: ir.Graph, settings: Settings, *, narrow: Collection[str] = (), layers: Collection[str] | None = None
) -> None:
    """Let the weights of every layer that has enough of them be integers behind a DequantizeLinear, in place.

    Args:
        graph: In hub normal form.
        settings: As above.
        narrow: Operators whose pairs of neighbouring 8-bit weights are to fit 16 bits (see ``saturation``).
        layers: The names of those whose weights are meant; all of them if left out.
    """
    editor = Editor(graph)
    widened: dict[tuple[ir.Value, Weights, int | None, str | None], ir.Value] = {}
    for node in list(graph) if layers is None else [node for node in graph if node.name in layers]:
        for index in WEIGHTS.get(node.op_type, {}):
            source = node.inputs[index]
            if source is None or not _is_worth_storing(source):
                continue
            array, axis = constant(source), channel_axis(node, index, settings)
            assert array is not None
            kind = kind_of(array, settings.weights_of(node.name or ""))
            pairs_of = node.op_type if node.op_type in narrow and kind == "int8" else None
            key = source, kind, axis, pairs_of
            if key not in widened:
                stored = _stored(source, kind, axis, pairs_of)
                widened[key] = _widened(editor, source, stored, axis, before=node)
            node.replace_input_with(index, widened[key])
            if not source.uses() and not source.is_graph_output():
                del graph.initializers[name_of(source)]


def channel_axis(node: ir.Node, index: int, settings: Settings) -> int | None:
    """The axis of the channels that get scales of their own in weights at an input; None for one scale."""
    convolves = node.op_type in _CONVOLUTIONS
    wanted = settings.convolutions if convolves else settings.fully_connected
    value = node.inputs[index]
    assert value is not None
    axis, rank = WEIGHTS[node.op_type][index], len(shape_of(value))
    # The filters of a transposed convolution in groups have the channels of one group only.
    mixed = node.op_type == "ConvTranspose" and integer(node, "group", 1) > 1
    stacked = node.op_type == "MatMul" and rank != 2
    return None if wanted == "per-tensor" or mixed or stacked else axis


def _is_worth_storing(value: ir.Value) -> bool:
    array = constant(value)
    return array is not None and is_float(value) and array.size >= FEWEST_ELEMENTS


def _stored(source: ir.Value, kind: Weights, axis: int | None, pairs_of: str | None) -> Stored:
    """Integers and scales of weights; ``pairs_of`` names the operator whose pairs are to fit 16 bits."""
    array = constant(source)
    assert array is not None
    scales = scales_of(array, axis, kind)
    if pairs_of is None:
        return integers_of(array, scales, axis, kind), scales
    scales = narrowed_scales(array, scales, pairs_of)
    return quantise_narrow(array, scales, pairs_of), scales


def _widened(editor: Editor, source: ir.Value, stored: Stored, axis: int | None, before: ir.Node) -> ir.Value:
    name, (integers, scales) = name_of(source), stored
    inputs = [editor.constant(integers, f"{name}/quantised"), editor.constant(scales, f"{name}/scale")]
    return editor.node(
        "DequantizeLinear",
        inputs,
        name=f"{name}/dequantise",
        output=f"{name}/dequantised",
        shape=shape_of(source),
        attributes={} if axis is None else {"axis": axis},
        before=before,
    )

"""One exported file with what it costs and needs, whichever its format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import onnx
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.exporters.onnx import export_onnx
from edgefleet_compiler.exporters.onnx_steps.border import stored_axes as stored_axes_of
from edgefleet_compiler.exporters.tflite import export_tflite
from edgefleet_compiler.four_bits import INT4, UINT4, stored_bytes
from edgefleet_compiler.hub.graph import OPSET
from edgefleet_compiler.lossless.prune import Pruned, prune
from edgefleet_compiler.lower import lower
from edgefleet_compiler.lowered.border import set_border
from edgefleet_compiler.lowered.costs import macs
from edgefleet_compiler.lowered.graph import LoweredGraph
from edgefleet_compiler.lowered.memory import MemoryPlan, plan_memory
from edgefleet_compiler.lowered.optimise import optimise
from edgefleet_compiler.lowered.signed import asymmetric_weights
from edgefleet_compiler.recipe import Io, IoLayout, Recipe
from edgefleet_compiler.refusal import Refusal, unsupported
from edgefleet_compiler.tflite.writer import write_tflite
from edgefleet_contract.errors import OperatorUnsupported


@dataclass(frozen=True)
class Exported:
    """An exported model.

    Attributes:
        data: The bytes of the file.
        operators: Names of the operators that its runtime needs, sorted.
        stored_axes: For each input or output in another axis order than the source's: the source's axes in its order.
        weights_bytes: Constants in the file.
        macs: Multiply-accumulates of one inference; None where the model cannot be lowered.
        memory: The plan for its activations; None as above.
        lowered: The graph that was counted; None as above.
        four_bits: Whether the file holds constants of 4-bit integers.
        pruned: What lossless pruning found; None where it was not asked for, or has nothing to look at.
    """

    data: bytes
    operators: tuple[str, ...]
    stored_axes: Mapping[str, tuple[int, ...]]
    weights_bytes: int
    macs: int | None
    memory: MemoryPlan | None
    lowered: LoweredGraph | None
    four_bits: bool
    pruned: Pruned | None = None


def export(hub: ir.Model, recipe: Recipe, *, max_opset: int | None) -> Exported:
    """Export a hub in the recipe's format.

    Args:
        hub: Made by the recipe's scheme.
        recipe: Says the format, and the type and axis order of inputs and outputs.
        max_opset: The newest opset that the target's runtime takes; None for other formats than ONNX.

    Raises:
        OperatorUnsupported: The format does not have all operators.
        RecipeUnfit: Integer inputs or outputs were asked for, and one stays in float.
    """
    assert recipe.io != "source", "recipes are checked: a hub has no border but its own"
    if recipe.format == "tflite":
        data, lowered = export_tflite(hub, io=recipe.io, io_layout=recipe.io_layout)
        return _tflite(data, lowered)
    palettes = recipe.quantise is not None and recipe.quantise.has_palettes
    data = export_onnx(hub, max_opset=max_opset or OPSET, io=recipe.io, io_layout=recipe.io_layout, palettes=palettes)
    graph = onnx.load_model_from_string(data).graph
    operators = {node.op_type for node in graph.node}
    constants = [onnx.numpy_helper.to_array(tensor) for tensor in graph.initializer]
    stored_axes = stored_axes_of(hub) if recipe.io_layout == "native" else {}
    return _with_costs(
        data, operators, stored_axes, constants, lowered_for_costs(hub, io=recipe.io, io_layout=recipe.io_layout)
    )


def export_kept(source: LoweredGraph, io: Io) -> Exported:
    """Export a graph that came quantised: the same integers and scales, in fewer operators where nothing is lost.

    Args:
        source: Signed and checked; it is not changed.
        io: What its inputs and outputs are to be.

    Raises:
        OperatorUnsupported: Weights whose zero point is not 0, which no kernel takes.
        RecipeUnfit: An input or output has no form in ``io``.
    """
    _refuse_asymmetric(source)
    graph = kept_graph(source, io)
    return _tflite(write_tflite(graph), graph)


def kept_graph(source: LoweredGraph, io: Io) -> LoweredGraph:
    """A graph that came quantised as it is exported, with all its channels; errors as of ``export_kept``."""
    graph = source.copy()
    set_border(graph, io)
    optimise(graph)
    return graph


def pruned_losslessly(exported: Exported) -> Exported:
    """A TFLite file without the channels that provably never matter: it computes the same.

    Args:
        exported: With all its channels.

    Returns:
        With what pruning found; the very file that was given where it has nothing to look at.
    """
    assert exported.lowered is not None, "a TFLite file is a lowered graph"
    pruned = prune(exported.lowered, exported.data)
    return exported if pruned is None else _tflite(pruned.data, pruned.graph, pruned)


def _tflite(data: bytes, graph: LoweredGraph, pruned: Pruned | None = None) -> Exported:
    kinds = {operator.kind for operator in graph.operators}
    return _with_costs(data, kinds, graph.stored_axes, _constants(graph), graph, pruned)


def _constants(graph: LoweredGraph) -> list[NDArray[Any]]:
    return [tensor.data for tensor in graph.constants() if tensor.data is not None]


def _refuse_asymmetric(graph: LoweredGraph) -> None:
    refusals = [
        Refusal(name, kind, "weights whose zero point is not 0 even as int8")
        for name, kind in asymmetric_weights(graph).items()
    ]
    if refusals:
        raise unsupported(
            refusals,
            "These operators of the quantised model cannot be exported to TFLite",
            expected="weights that are symmetric around zero, as in TFLite's 8-bit specification",
            remedy="Export to ONNX (--format onnx), or convert the float model again.",
        )


def _with_costs(
    data: bytes,
    operators: set[str],
    stored_axes: Mapping[str, tuple[int, ...]],
    constants: list[NDArray[Any]],
    lowered: LoweredGraph | None,
    pruned: Pruned | None = None,
) -> Exported:
    return Exported(
        data=data,
        operators=tuple(sorted(operators)),
        stored_axes=stored_axes,
        weights_bytes=sum(stored_bytes(array.shape, array.dtype) for array in constants),
        macs=None if lowered is None else macs(lowered),
        memory=None if lowered is None else plan_memory(lowered),
        lowered=lowered,
        four_bits=any(array.dtype in (INT4, UINT4) for array in constants),
        pruned=pruned,
    )


def lowered_for_costs(hub: ir.Model, *, io: Literal["float", "int8"], io_layout: IoLayout) -> LoweredGraph | None:
    """A hub as a lowered graph, whose costs can be counted; None where it has operators that TFLite lacks."""
    try:
        return lower(hub, io=io, io_layout=io_layout)
    except OperatorUnsupported:
        return None

"""From the hub to the lowered graph: NHWC, TFLite's operators, integers where the hub has QDQ pairs around them."""

from __future__ import annotations

import onnx_ir as ir

from edgefleet_compiler.hub.dynamic import without_rounding_at_run_time
from edgefleet_compiler.hub.graph import name_of
from edgefleet_compiler.hub.operators import SUPPORTED
from edgefleet_compiler.lower.border import Io, IoLayout, give_outputs, take_inputs
from edgefleet_compiler.lower.constants import constant_of
from edgefleet_compiler.lower.layout import Demand
from edgefleet_compiler.lower.layout_analysis import analyse_layouts
from edgefleet_compiler.lower.lowering import Lowering
from edgefleet_compiler.lower.operators import RULES, rule_for
from edgefleet_compiler.lower.quantisation import wanted_forms
from edgefleet_compiler.lower.site import Site, Unsupported
from edgefleet_compiler.lowered.graph import LoweredGraph
from edgefleet_compiler.lowered.optimise import optimise
from edgefleet_compiler.refusal import Refusal, unsupported
from edgefleet_compiler.tflite.kernel_types import why_no_kernel
from edgefleet_contract.errors import OperatorUnsupported

__all__ = ["lower"]


def lower(model: ir.Model, *, io: Io, io_layout: IoLayout) -> LoweredGraph:
    """Lower a model in hub normal form.

    Args:
        model: Float, with float16 weights, or quantised with QDQ pairs; it is not changed.
        io: ``int8`` leaves out the QUANTIZE and DEQUANTIZE at inputs and outputs.
        io_layout: ``source`` keeps the axis order of inputs and outputs, ``native`` takes images channels last.

    Returns:
        The graph with the names, order and (by ``source``) axis order of the model's inputs and outputs.

    Raises:
        OperatorUnsupported: Nodes that have no lowering; all of them are named.
        RecipeUnfit: ``io`` is ``int8``, and an input or output was left in float.
    """
    model, rounding = without_rounding_at_run_time(model)
    hub = model.graph
    layouts = analyse_layouts(hub, _demand, native=io_layout == "native")
    names = [name_of(value) for value in (*hub.inputs, *hub.outputs)]
    lowering = Lowering(layouts, wanted_forms(hub), names, rounding)
    take_inputs(hub.inputs, lowering, io)
    for node in hub:
        if any(constant_of(output) is None for output in node.outputs):
            _lower_node(node, lowering)
    if lowering.refusals:
        raise _unsupported(lowering.refusals)
    give_outputs(hub.outputs, lowering, io, io_layout)
    optimise(lowering.graph)
    return lowering.graph


def _demand(node: ir.Node) -> Demand:
    return rule_for(node).demand(node)


def _lower_node(node: ir.Node, lowering: Lowering) -> None:
    """Lower a node, or note why not and go on, so that all that are unsupported are told at once."""
    rule, before = rule_for(node), len(lowering.graph.operators)
    try:
        rule.lower(Site(node, rule, lowering))
    except Unsupported as refusal:
        lowering.refusals.append(Refusal(node.name or "", node.op_type, str(refusal)))
        for output in node.outputs:
            if output.name:
                lowering.bind_placeholder(output)
        return
    reasons = (why_no_kernel(operator, lowering.graph) for operator in lowering.graph.operators[before:])
    if reason := next(filter(None, reasons), None):
        lowering.refusals.append(Refusal(node.name or "", node.op_type, reason))


def _unsupported(refusals: list[Refusal]) -> OperatorUnsupported:
    return unsupported(
        refusals,
        "These operators cannot be exported to TFLite",
        expected=f"operators among {', '.join(sorted(SUPPORTED.intersection(RULES)))}",
        remedy="Export to ONNX (--format onnx), or replace these layers in the source model.",
    )

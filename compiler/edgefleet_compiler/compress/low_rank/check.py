"""Which layers can be factored, and how far: what a recipe asks for is checked before anything is measured."""

from __future__ import annotations

import math
from collections.abc import Mapping

import onnx_ir as ir

from edgefleet_compiler.compress.low_rank.words import Factors, Kind
from edgefleet_compiler.hub.graph import constant, integer
from edgefleet_compiler.quantise.layers import check_names
from edgefleet_compiler.quantise.operators import WEIGHTED
from edgefleet_compiler.quantise.rounding.layer import Layer
from edgefleet_contract.errors import RecipeMalformed, RecipeUnfit


def checked(graph: ir.Graph, low_rank: Mapping[str, str]) -> dict[str, Factors]:
    """The factors of each layer that a recipe names, in the order of the graph.

    Args:
        graph: Float, in hub normal form.
        low_rank: Words by the name of the node.

    Raises:
        RecipeMalformed: There is no such layer, or a rank is not below the layer's own.
        RecipeUnfit: A layer cannot be factored so.
    """
    check_names(graph, low_rank)
    found = {}
    for node in graph:
        if (name := node.name or "") in low_rank:
            found[name] = Factors.parse(low_rank[name])
            _check(node, found[name])
    return found


def why_not(node: ir.Node, kind: Kind = "svd") -> str:
    """Why a node cannot be factored in a way; empty where it can."""
    value = node.inputs[1] if node.op_type in WEIGHTED and len(node.inputs) > 1 else None
    weights = constant(value)
    if value is None or weights is None:
        return "it has no constant weights that its inputs are multiplied by"
    kernel = weights.shape[2:]
    reasons = {
        "its weights are a stack of matrices": node.op_type != "Conv" and weights.ndim != 2,
        "other layers use its weights, too": len(value.uses()) != 1,
        "its channels are in groups, each with weights of its own": integer(node, "group", 1) != 1,
        "its input is turned": bool(node.op_type == "Gemm" and integer(node, "transA", 0)),
        "it has no kernel of two axes to take apart": kind == "spatial" and (len(kernel) != 2 or min(kernel) == 1),
        "it has no kernel to keep between two others: svd takes it apart": kind == "tucker" and math.prod(kernel) == 1,
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def full_ranks(node: ir.Node, kind: Kind) -> tuple[int, ...]:
    """Ranks at which nothing is lost, of a layer that can be factored so."""
    weights = constant(node.inputs[1])
    assert weights is not None
    layer = Layer(node, weights.shape)
    match kind:
        case "spatial":
            outputs, inputs, height, width = weights.shape
            return (min(outputs * width, inputs * height),)
        case "tucker":
            return weights.shape[1], weights.shape[0]
        case _:
            return (min(layer.channels, layer.inputs),)


def _check(node: ir.Node, factors: Factors) -> None:
    reason = why_not(node, factors.kind)
    if reason:
        raise RecipeUnfit(
            f"The layer {node.name!r} ({node.op_type}) cannot be factored as {str(factors)!r}: {reason}",
            expected="a Conv without groups, a Gemm or a MatMul with constant weights of its own",
            remedy="Take the layer out of [compress.low-rank].",
            layer=node.name or "",
        )
    full = full_ranks(node, factors.kind)
    if any(rank >= limit for rank, limit in zip(factors.ranks, full, strict=True)):
        raise RecipeMalformed(
            f"The layer {node.name!r} has the ranks {' and '.join(map(str, full))}, and {str(factors)!r} takes nothing "
            "away",
            expected=f"ranks below {' and '.join(map(str, full))}",
            remedy="Lower the rank, or take the layer out of [compress.low-rank].",
            layer=node.name or "",
        )

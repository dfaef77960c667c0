"""What each layer computes with: the scheme's integers, what a recipe says otherwise of it, or float where it must.

A layer and the activation fused into it are one: the wider of what is asked for them holds for both.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

import onnx_ir as ir

from edgefleet_compiler.hub.graph import sole_consumer
from edgefleet_compiler.hub.operators import SIXTEEN_BITS
from edgefleet_compiler.quantise.masks import masked_nodes
from edgefleet_compiler.quantise.operators import SHARING, is_fused, is_quantisable
from edgefleet_compiler.quantise.parameters import IntegerType
from edgefleet_compiler.quantise.settings import Compute, Settings
from edgefleet_contract.errors import RecipeMalformed, RecipeUnfit

_NAMED = 8
"""How many layers a refusal names."""


@dataclass(frozen=True)
class Layers:
    """What the nodes of a graph compute with.

    Attributes:
        default: The integers of the scheme.
        computes: By node.
    """

    default: IntegerType
    computes: dict[ir.Node, Compute]

    def integers_of(self, node: ir.Node | None) -> IntegerType | None:
        """The integers that a node computes with; None for those in float, and for no node."""
        compute = "float" if node is None else self.computes[node]
        return None if compute == "float" else compute

    def is_fused(self, value: ir.Value) -> bool:
        """Whether the value exists only inside a fused operator that computes in integers."""
        return is_fused(value) and self.integers_of(value.producer()) is not None

    def asks(self, node: ir.Node) -> bool:
        """Whether what the node computes with is its own: operators that share parameters follow, unless told."""
        return node.op_type not in SHARING or self.computes[node] != self.default


def widest(types: Iterable[Compute]) -> Compute:
    """That of the types which keeps the most: float, then int16, then int8."""
    return max(types, key=("int8", "int16", "float").index)


def layers_of(graph: ir.Graph, settings: Settings | None = None, default: IntegerType = "int8") -> Layers:
    """What each node of a graph in hub normal form computes with.

    Args:
        graph: Float.
        settings: What is asked for; None for nothing beyond the scheme.
        default: The integers of the scheme.

    Raises:
        RecipeMalformed: The settings name a layer that there is not.
        RecipeUnfit: They ask for integers of a layer that has no such form.
    """
    asked = _asked(graph, settings)
    masked = masked_nodes(graph)
    computes: dict[ir.Node, Compute] = {}
    for node in graph:
        wanted = asked.get(node, default)
        why_not = _why_not(node, wanted, masked=node in masked)
        if why_not and node in asked:
            raise _unfit(node, wanted, why_not)
        computes[node] = "float" if why_not else wanted
    return Layers(default, computes)


def check_layer_names(graph: ir.Graph, settings: Settings) -> None:
    """Refuse settings of layers that there are not.

    Raises:
        As ``check_names``.
    """
    check_names(graph, settings.layers)


def check_names(graph: ir.Graph, layers: Iterable[str]) -> None:
    """Refuse names of layers that there are not.

    Raises:
        RecipeMalformed: There are such; near names and what layers there are stand in it.
    """
    names = [node.name for node in graph if node.name and node.op_type != "Transpose"]
    unknown = sorted(set(layers) - {node.name for node in graph})
    if not unknown:
        return
    near = {name: difflib.get_close_matches(name, names, n=3) for name in unknown}
    hints = [f"{name!r}: perhaps {', '.join(map(repr, close))}" for name, close in near.items() if close]
    first = ", ".join(map(repr, names[:_NAMED])) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
    raise RecipeMalformed(
        f"The recipe names layers that the model does not have: {', '.join(map(repr, unknown))}",
        expected=f"names of layers: {first}",
        remedy="; ".join(hints) or "The report.html of a compiled model lists its layers by name.",
        layers=unknown,
    )


def _asked(graph: ir.Graph, settings: Settings | None) -> dict[ir.Node, Compute]:
    """What the settings say of nodes; of a layer and its fused activation, the wider for both."""
    if settings is None or not settings.layers:
        return {}
    check_layer_names(graph, settings)
    asked: dict[ir.Node, Compute] = {}
    for node in graph:
        follower = sole_consumer(node.outputs[0]) if is_fused(node.outputs[0]) else None
        layer = [node] if follower is None else [node, follower]
        types = [compute for each in layer if (compute := settings.compute_of(each.name or "")) is not None]
        if types and node not in asked:
            asked.update(dict.fromkeys(layer, widest(types)))
    return asked


def _why_not(node: ir.Node, wanted: Compute, *, masked: bool) -> str:
    """Why a node cannot compute with integers of a type; empty where it can."""
    if wanted == "float":
        return ""
    if masked:
        return "a mask leaves integers no range"
    if not is_quantisable(node):
        return "the operator has no form in integers"
    if wanted == "int16" and node.op_type not in SIXTEEN_BITS:
        return "TFLite's kernels compute the operator on int8 only"
    return ""


def _unfit(node: ir.Node, wanted: Compute, why_not: str) -> RecipeUnfit:
    return RecipeUnfit(
        f"The layer {node.name!r} ({node.op_type}) cannot compute with {wanted}: {why_not}",
        expected='what docs/reference/operators.md says of the operator, or compute = "float"',
        remedy="Take the layer out of the recipe: it computes with what it can then.",
        layer=node.name or "",
    )

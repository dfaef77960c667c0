"""What operators between layers do to channels when some of them go: which they bring together, and which they hold.

Each rule gives the channels of the node's outputs. None says that the operator is more than its channels one by one;
what it reads then stays whole.
"""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from edgefleet_compiler.compress.channels.known import Coupled, named
from edgefleet_compiler.hub.graph import constant, input_integers, integer, rank_of, shape_of
from edgefleet_compiler.hub.operators import BROADCASTING, REDUCTIONS, UNARY
from edgefleet_compiler.quantise.channel_rules import RULES as SCALING_RULES
from edgefleet_compiler.quantise.channel_rules import Channels

Rule = Callable[[Coupled, ir.Node], list[Channels] | None]


def _kept(coupled: Coupled, node: ir.Node) -> list[Channels] | None:
    known = coupled.channels_of(node.inputs[0])
    return None if known is None else [known]


def _pooled(coupled: Coupled, node: ir.Node) -> list[Channels] | None:
    known = _kept(coupled, node)
    return known if known is not None and known[0].axis == 1 and len(node.outputs) == 1 else None


def _normalised(coupled: Coupled, node: ir.Node) -> list[Channels] | None:
    known = _kept(coupled, node)
    return known if known is not None and known[0].axis == 1 else None


def _along_an_axis(default: int) -> Rule:
    """Operators that combine what lies along one axis."""

    def rule(coupled: Coupled, node: ir.Node) -> list[Channels] | None:
        known = coupled.channels_of(node.inputs[0])
        if known is None or integer(node, "axis", default) % rank_of(node.outputs[0]) == known.axis:
            return None
        return [known]

    return rule


def _padded(coupled: Coupled, node: ir.Node) -> list[Channels] | None:
    known, pads = coupled.channels_of(node.inputs[0]), input_integers(node, 1)
    if known is None or pads is None or len(node.inputs) > 3:
        return None
    return [known] if not pads[known.axis] and not pads[known.axis + len(pads) // 2] else None


def _sliced(coupled: Coupled, node: ir.Node) -> list[Channels] | None:
    known, axes = coupled.channels_of(node.inputs[0]), input_integers(node, 3)
    if known is None or axes is None:
        return None
    rank = rank_of(node.outputs[0])
    return [known] if known.axis not in {axis % rank for axis in axes} else None


def _combined(coupled: Coupled, node: ir.Node) -> list[Channels] | None:
    """An elementwise operator: channels of its operands that meet are one."""
    rank = rank_of(node.outputs[0])
    found: dict[ir.Value, Channels] = {}
    for value in node.inputs:
        known = coupled.channels_of(value)
        if value is not None and known is not None:
            found[value] = Channels(known.axis + rank - rank_of(value), known.classes)
    axes = {known.axis for known in found.values()}
    if len(axes) != 1:
        return None
    (axis,) = axes
    extent = shape_of(node.outputs[0])[axis]
    for value in node.inputs:
        if value is None or value in found or constant(value) is not None:
            continue
        place = axis - rank + rank_of(value)
        if place >= 0 and shape_of(value)[place] != 1:
            return None
    spread = [value for value, known in found.items() if len(known.classes) != extent]
    for value in spread:  # one channel for all
        coupled.hold(value, f"{named(node)} spreads them over others")
    alike = [known for value, known in found.items() if value not in spread]
    for other in alike[1:]:
        coupled.union(alike[0].classes, other.classes)
    return [Channels(axis, alike[0].classes)] if alike else None


def _split(coupled: Coupled, node: ir.Node) -> list[Channels] | None:
    """Equal parts of the channels lose the same places, so that none is left empty."""
    known = coupled.channels_of(node.inputs[0])
    found = SCALING_RULES["Split"](coupled, node)
    if known is None or found is None or found[0] is known:
        return found
    if len({len(part.classes) for part in found}) != 1:
        return None
    for part in found[1:]:
        coupled.union(found[0].classes, part.classes)
    return found


def _concatenated(coupled: Coupled, node: ir.Node) -> list[Channels] | None:
    """Along the channels one after the other; along another axis they are the same ones."""
    known = [coupled.channels_of(value) for value in node.inputs]
    axis = integer(node, "axis", 0) % rank_of(node.outputs[0])
    if any(channels is not None and channels.axis == axis for channels in known):
        return SCALING_RULES["Concat"](coupled, node)
    first = known[0]
    if first is None or any(other is None or other.axis != first.axis for other in known):
        return None
    for other in known[1:]:
        assert other is not None
        coupled.union(first.classes, other.classes)
    return [first]


RULES: dict[str, Rule] = {
    **dict.fromkeys(UNARY | {"Cast", "Identity", "Mish", "Reciprocal", "Selu"}, _kept),
    **dict.fromkeys(BROADCASTING | {"Mean", "Sum"}, _combined),
    **dict.fromkeys(
        ("AveragePool", "GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool", "LpPool", "MaxPool"), _pooled
    ),
    **dict.fromkeys(("BatchNormalization", "InstanceNormalization"), _normalised),
    **dict.fromkeys(
        ("Flatten", "Reshape", "Squeeze", "Unsqueeze", "Transpose"), lambda c, n: SCALING_RULES[n.op_type](c, n)
    ),
    **dict.fromkeys(REDUCTIONS | {"ReduceLogSumExp"}, SCALING_RULES["ReduceSum"]),
    "Concat": _concatenated,
    "LogSoftmax": _along_an_axis(-1),
    "LpNormalization": _along_an_axis(-1),
    "Pad": _padded,
    "Resize": SCALING_RULES["Resize"],
    "Slice": _sliced,
    "Softmax": _along_an_axis(-1),
    "Split": _split,
}
"""Operators that are not among these hold all that they read."""

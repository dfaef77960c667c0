"""Which layers of a hub a target's runtime takes 4-bit weights of, told before anything is quantised."""

from __future__ import annotations

import onnx_ir as ir

from edgefleet_compiler.hub.graph import constant, integer, shape_of
from edgefleet_compiler.quantise.operators import WEIGHTED
from edgefleet_compiler.quantise.settings import Scales
from edgefleet_hardware.profile import Runtime
from edgefleet_hardware.runtime_limits import limits_of


def layers_of_four_bits(hub: ir.Model, runtime: Runtime, fully_connected: Scales) -> frozenset[str]:
    """Names of the layers whose weights may have 4 bits, with int8 activations.

    Args:
        hub: Float, in normal form.
        runtime: Of the artifact's format, as the target's profile has it.
        fully_connected: How many scales the weights of a fully connected layer are to have.
    """
    limits = limits_of(runtime.name)
    names = {node.name for node in hub.graph if node.name and _has_weights(node)}
    if limits.complete:
        return frozenset(names if limits.four_bits_since is not None else ())
    taken = set[str]()
    for node in hub.graph:
        kind = _kind(node)
        limit = limits.operators.get(kind)
        if node.name not in names or limit is None or limit.four_bits is None:
            continue
        per_channel = kind != "FULLY_CONNECTED" or fully_connected == "per-channel"
        in_groups = kind == "CONV_2D" and integer(node, "group", 1) > 1
        if (limit.four_bits == "per-channel" or not per_channel) and (limit.four_bits_in_groups or not in_groups):
            taken.add(node.name)
    return frozenset(taken)


def _has_weights(node: ir.Node) -> bool:
    if node.op_type not in WEIGHTED:
        return False
    weights = constant(node.inputs[1])
    return weights is not None and (node.op_type == "Conv" or weights.ndim == 2)


def _kind(node: ir.Node) -> str:
    """The TFLite operator that a layer becomes."""
    if node.op_type != "Conv":
        return "FULLY_CONNECTED"
    group = integer(node, "group", 1)
    source = node.inputs[0]
    assert source is not None
    return "DEPTHWISE_CONV_2D" if 1 < group == shape_of(source)[1] else "CONV_2D"

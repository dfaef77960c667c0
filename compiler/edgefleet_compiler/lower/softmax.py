"""Softmax and LogSoftmax: SOFTMAX and LOG_SOFTMAX, which work along the last axis."""

from __future__ import annotations

import onnx_ir as ir

from edgefleet_compiler.hub.graph import shape_of
from edgefleet_compiler.lower.layout import AS_IS, CHANNELS_LAST, Demand
from edgefleet_compiler.lower.site import Site
from edgefleet_compiler.lowered.graph import AttributeValue

OPTIONS: dict[str, tuple[str, dict[str, AttributeValue]]] = {
    "LogSoftmax": ("LOG_SOFTMAX", {}),
    "Softmax": ("SOFTMAX", {"beta": 1.0}),
}


def softmax_demand(node: ir.Node) -> Demand:
    """Channels last where the softmax is over channels."""
    rank = len(shape_of(node.outputs[0]))
    return CHANNELS_LAST if rank > 2 and _axis(node) == 1 else AS_IS


def lower_softmax(site: Site) -> None:
    """Lower a softmax over one axis, as it is since opset 13; an inner axis is brought to the end and back."""
    kind, options = OPTIONS[site.node.op_type]
    tensor = site.input()
    last = len(site.output_shape) - 1
    axis = site.layout(0).position(_axis(site.node))
    if axis == last:
        site.finish(kind, [tensor], options)
        return
    swapped = tuple({axis: last, last: axis}.get(position, position) for position in range(last + 1))
    turned = site.transpose(tensor, swapped)
    softmax = site.emit(kind, [turned], site.stored_shape(turned), options)
    site.finish_with(site.transpose(softmax, swapped))


def _axis(node: ir.Node) -> int:
    return node.attributes.get_int("axis", -1) % len(shape_of(node.outputs[0]))

"""What a model costs once channels are gone: multiply-accumulates, or bytes of its weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.compress.channels.groups import Grouping, Weighted
from edgefleet_compiler.hub.graph import constant, shape_of
from edgefleet_compiler.quantise.channel_rules import given

Resource = Literal["macs", "bytes"]
"""macs: multiply-accumulates of an inference; bytes: of the weights, as many in int8 as there are."""

Left = NDArray[np.bool_]
"""Whether each class stays, shape (classes,)."""

Cost = Callable[[Left], int]


def cost_of(grouping: Grouping, resource: Resource) -> Cost:
    """What the layers with constant weights of a graph cost, by what stays."""
    layers = [(layer, _each(layer, resource)) for layer in grouping.layers]
    return lambda left: sum(each * _weights(layer, left) for layer, each in layers)


def _each(layer: Weighted, resource: Resource) -> int:
    """What each of its weights for a pair of channels costs."""
    weights = constant(layer.node.inputs[1])
    assert weights is not None
    kernel = int(weights.size) // _pairs(layer, len(layer.reads), len(layer.writes))
    if resource == "bytes":
        return kernel
    places = given(layer.node, 0) if layer.node.op_type == "ConvTranspose" else layer.node.outputs[0]
    shape = shape_of(places)
    inner = shape[2:] if layer.node.op_type.startswith("Conv") else shape[:-1]
    return kernel * int(np.prod(inner, dtype=np.int64))


def _weights(layer: Weighted, left: Left) -> int:
    inputs, outputs = int(left[layer.reads].sum()), int(left[layer.writes].sum())
    return _pairs(layer, inputs, outputs)


def _pairs(layer: Weighted, inputs: int, outputs: int) -> int:
    """Pairs of an input and an output channel that a layer has weights for; those of a part stay or go together."""
    return inputs * outputs if layer.parts == 1 else outputs * (len(layer.reads) // layer.parts)

"""What a model costs once channels are gone: multiply-accumulates, bytes of its weights, or memory at the peak."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from edgefleet_compiler.compress.channels.groups import Grouping, Weighted
from edgefleet_compiler.hub.graph import constant, shape_of
from edgefleet_compiler.quantise.channel_rules import given
from edgefleet_compiler.quantise.operators import is_fused

Resource = Literal["macs", "bytes", "peak"]
"""macs: multiply-accumulates of an inference; bytes: of the weights, as many in int8 as there are; peak: the most
elements of activations that are alive at once, as any planner has to hold them."""

Left = NDArray[np.bool_]
"""Whether each class stays, shape (classes,)."""

Cost = Callable[[Left], int]


def cost_of(grouping: Grouping, resource: Resource) -> Cost:
    """What the layers with constant weights of a graph cost, or its activations do, by what stays."""
    if resource == "peak":
        return _peak_of(grouping)
    layers = [(layer, _each(layer, resource)) for layer in grouping.layers]
    return lambda left: sum(each * _weights(layer, left) for layer, each in layers)


def _peak_of(grouping: Grouping) -> Cost:
    """The most elements alive at once, in the order of the graph; values inside fused operators never are."""
    values = [value for value in grouping.values if not is_fused(value)]
    nodes = list(dict.fromkeys(layer.node.graph for layer in grouping.layers))
    place = {node: step for graph in nodes if graph is not None for step, node in enumerate(graph, start=1)}
    alive = np.zeros((len(place) + 1, len(values)), np.int64)
    elements = []
    for column, value in enumerate(values):
        producer = value.producer()
        first = 0 if producer is None else place[producer]
        last = (
            len(place) if value.is_graph_output() else max((place[user] for user in value.consumers()), default=first)
        )
        known = grouping.values[value]
        alive[first : last + 1, column] = prod(shape_of(value)) // len(known.classes)
        elements.append(known.classes)

    def cost(left: Left) -> int:
        return int((alive @ np.array([left[classes].sum() for classes in elements], np.int64)).max())

    return cost


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

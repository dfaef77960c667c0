"""Parts: what a Concat joins, each by itself, since the figure of the whole is that of the largest."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir
from numpy.typing import NDArray

from edgefleet_compiler.checks.layer_nodes import giver_of, name_of_node
from edgefleet_compiler.hub.graph import constant, integer, name_of, rank_of, shape_of


@dataclass(frozen=True)
class Part:
    """One of the values that a Concat joins.

    Attributes:
        concat: The name of the layer that joins.
        name: The layer that gives the part; of an input of the model, the input's name.
        axis: Along which it is joined.
        start: Its first place on that axis.
        stop: One behind its last.
    """

    concat: str
    name: str
    axis: int
    start: int
    stop: int

    def of(self, joined: NDArray[np.generic]) -> NDArray[np.generic]:
        """The part of what the Concat gave."""
        return joined[(*[slice(None)] * self.axis, slice(self.start, self.stop))]


def parts_of(graph: ir.Graph) -> Iterator[Part]:
    """What the Concats of a graph join, but constants."""
    for node in graph:
        if node.op_type != "Concat":
            continue
        axis, start = integer(node, "axis", 0) % rank_of(node.outputs[0]), 0
        for value in node.inputs:
            assert value is not None
            stop = start + shape_of(value)[axis]
            if constant(value) is None:
                yield Part(name_of_node(node), giver_of(value) or name_of(value), axis, start, stop)
            start = stop

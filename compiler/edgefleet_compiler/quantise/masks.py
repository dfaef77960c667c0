"""Masks of attention: constants so large, or infinite, that what they are added to has no int8 form.

A mask shuts places out of a Softmax by making their scores -inf, or some number like -1e9. An infinite value has no
range at all. A finite one has a range of which int8 makes steps so wide that all other scores fall into one. Such
values stay in float, from where the mask is applied up to the Softmax.
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.hub.graph import constant

LARGEST_SCORE = 256 * math.log(256)
"""Where a range reaches this far, two scores that are one int8 step apart differ by a factor of 256 behind a Softmax:
by all that an int8 probability, whose step is 1/256, can tell."""

_MASKING = frozenset({"Add", "Concat", "Mul", "Pad", "Sub", "Where"})
"""Operators that bring a constant in as elements of their output, or in sums and products with them."""

_CARRYING = _MASKING | {
    "Div", "Expand", "Gather", "Neg", "Reshape", "Slice", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze",
}  # fmt: skip
"""Operators behind which a mask is still one; others, like MaxPool or Relu, may end it."""

_NORMALISING = frozenset({"LogSoftmax", "Softmax"})


def masked_nodes(graph: ir.Graph) -> set[ir.Node]:
    """The nodes that stay in float because they write or read a masked value, in a graph in hub normal form."""
    infinite: set[ir.Value] = set()
    large: set[ir.Value] = set()
    for node in graph:
        if node.op_type not in _CARRYING or node.domain:
            continue
        magnitude = _magnitude(node)
        if not infinite.isdisjoint(node.inputs) or (math.isinf(magnitude) and node.op_type != "Mul"):
            infinite.update(node.outputs)
        if not large.isdisjoint(node.inputs) or magnitude >= LARGEST_SCORE:
            large.update(node.outputs)
    masked = infinite | _normalised(graph, large)
    return {node for node in graph if not masked.isdisjoint((*node.inputs, *node.outputs))}


def _magnitude(node: ir.Node) -> float:
    """The largest magnitude of a constant that the node brings in; 0 without any."""
    if node.op_type not in _MASKING:
        return 0.0
    arrays = [constant(value) for value in node.inputs]
    return max((_largest(array) for array in arrays if array is not None and array.dtype.kind == "f"), default=0.0)


def _largest(array: np.ndarray) -> float:
    return float(np.abs(array).max(initial=0.0))


def _normalised(graph: ir.Graph, large: set[ir.Value]) -> set[ir.Value]:
    """Those of the values that reach a Softmax through one another."""
    reaching: set[ir.Value] = set()
    for node in reversed(list(graph)):
        if node.op_type in _NORMALISING or not reaching.isdisjoint(node.outputs):
            reaching.update(value for value in node.inputs if value in large)
    return reaching

"""One over a square root is RSQRT, whose kernel computes just that."""

from __future__ import annotations

import numpy as np

from edgefleet_compiler.lowered.editing import readers, writers
from edgefleet_compiler.lowered.graph import LoweredGraph, Operator


def fuse_rsqrt(graph: LoweredGraph) -> None:
    """Let RSQRT stand for a DIV of ones by a SQRT that nobody else reads."""
    read_by, written_by = readers(graph), writers(graph)
    for divide in [operator for operator in graph.operators if operator.kind == "DIV"]:
        one, root = (str(name) for name in divide.inputs)
        square_root = written_by.get(root)
        if square_root is None or square_root.kind != "SQRT" or not _may_fuse(graph, divide, one, root):
            continue
        if len(read_by[root]) == 1:
            divide.kind, divide.inputs, divide.attributes = "RSQRT", list(square_root.inputs), {}
            graph.operators.remove(square_root)
            del graph.tensors[root]


def _may_fuse(graph: LoweredGraph, divide: Operator, one: str, root: str) -> bool:
    dividend, shape = graph.tensors[one].data, graph.tensors[divide.outputs[0]].shape
    plain = divide.attributes.get("fused_activation_function", "NONE") == "NONE"
    ones = dividend is not None and bool(np.all(dividend == 1))
    return plain and ones and graph.tensors[root].shape == shape and root not in graph.outputs

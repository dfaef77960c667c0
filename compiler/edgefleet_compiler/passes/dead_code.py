"""Nodes and initializers that no output needs are removed.

Source: dead code elimination (Aho, Lam, Sethi, Ullman, "Compilers", section 9.1.6).
"""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from edgefleet_compiler.passes.record import Effects


def remove_dead_code(model: ir.Model) -> Effects:
    """Remove what no output of the graph depends on; inputs stay, used or not."""
    nodes, constants = len(model.graph), len(model.graph.initializers)
    RemoveUnusedNodesPass()(model)
    return +Effects(
        {
            "removed {} unused nodes": nodes - len(model.graph),
            "removed {} unused constants": constants - len(model.graph.initializers),
        }
    )

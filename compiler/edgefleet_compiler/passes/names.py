"""Every node gets a unique name that derives from the source's.

Source: ONNX leaves node names optional and lets them repeat; reports and errors need them.
"""

from __future__ import annotations

import onnx_ir as ir

from edgefleet_compiler.passes.record import Effects


def name_nodes(model: ir.Model) -> Effects:
    """Name nameless nodes after their first output, and number names that repeat."""
    effects = Effects()
    taken: set[str] = set()
    for node in model.graph:
        base = node.name or node.outputs[0].name or node.op_type
        name, number = base, 0
        while name in taken:
            number += 1
            name = f"{base}_{number}"
        taken.add(name)
        effects["named {} nodes"] += int(name != node.name)
        node.name = name
    return +effects

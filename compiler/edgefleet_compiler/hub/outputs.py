"""Hubs that give inner values as well."""

from __future__ import annotations

from collections.abc import Iterable

import onnx_ir as ir


def with_outputs(model: ir.Model, names: Iterable[str]) -> ir.Model:
    """A copy whose values of the given names are outputs as well; inputs need no giving."""
    copy = model.clone()
    wanted, given = set(names), {value.name for value in copy.graph.outputs}
    for node in copy.graph:
        copy.graph.outputs.extend(value for value in node.outputs if value.name in wanted and value.name not in given)
    return copy

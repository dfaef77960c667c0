"""Running one hub pass, and comparing what the graph computes before and after."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.hub.graph import activations, has_static_shape
from edgefleet_compiler.passes.record import Effects
from support.exports import random_inputs, run_hub


def apply(run: Callable[[ir.Model], Effects], model: ir.Model, tolerance: float = 1e-6) -> Effects:
    """Run a pass; assert that it kept the function, names and shapes of the graph, and has nothing left to do."""
    inputs = random_inputs(model)
    expected = run_hub(model, inputs)
    border = _border(model)
    effects = run(model)
    assert _border(model) == border
    assert all(has_static_shape(value) and value.dtype is not None for value in activations(model.graph))
    for ours, theirs in zip(run_hub(model, inputs), expected, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * max(1.0, float(np.abs(theirs).max())))
    assert run(model) == Effects()
    return effects


def operators(model: ir.Model) -> list[str]:
    """The operators of the graph, in order."""
    return [node.op_type for node in model.graph]


def node_of(model: ir.Model, operator: str) -> ir.Node:
    """The one node of this operator."""
    (node,) = (node for node in model.graph if node.op_type == operator)
    return node


def _border(model: ir.Model) -> list[tuple[object, ...]]:
    return [(value.name, value.shape, value.dtype) for value in (*model.graph.inputs, *model.graph.outputs)]

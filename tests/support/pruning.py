"""Pruning small hubs: groups by short names, masks by hand, and values to compare."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.compress.channels.cut import cut
from edgefleet_compiler.compress.channels.groups import Grouping, find_groups
from edgefleet_compiler.compress.channels.prune import masked
from edgefleet_compiler.hub.graph import activations, has_static_shape, shape_of
from edgefleet_compiler.passes import simplify
from edgefleet_compiler.tensors import Sample
from support.exports import assert_export_agrees, random_inputs, run_hub
from support.onnx_graphs import OnnxGraph


def hub_of(graph: OnnxGraph, *outputs: str) -> ir.Model:
    """In hub normal form."""
    model = graph.model(*outputs)
    simplify(model)
    return model


def cases_of(model: ir.Model, count: int = 40) -> list[Sample]:
    """Normally distributed inputs."""
    names = [value.name or "" for value in model.graph.inputs]
    return [dict(zip(names, random_inputs(model, seed), strict=True)) for seed in range(count)]


def every_third(grouping: Grouping) -> list[int]:
    """Classes that go: some of each group that can lose some."""
    return [int(number) for group in grouping.groups if group.channels > 1 for number in group.classes[group.free][::3]]


def assert_cut_computes_what_a_mask_does(model: ir.Model) -> ir.Model:
    """Cut a third of all channels, compare with zeros in their place, and with the exported TFLite; give the result."""
    gone = every_third(find_groups(model.graph))
    smaller = cut(model, gone)
    inputs = random_inputs(model)
    for ours, theirs in zip(run_hub(smaller, inputs), run_hub(masked(model, gone), inputs), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-6 * max(1.0, float(np.abs(theirs).max())))
    assert_shapes_are_true(smaller)
    assert_export_agrees(smaller)
    return smaller


def assert_shapes_are_true(model: ir.Model) -> None:
    """Every value has the shape that onnxruntime gives it."""
    values = list(activations(model.graph))
    assert all(has_static_shape(value) and value.dtype is not None for value in values)
    copy = model.clone()
    given = {value.name for value in copy.graph.outputs}
    copy.graph.outputs.extend(value for node in copy.graph for value in node.outputs if value.name not in given)
    arrays = run_hub(copy, random_inputs(model))
    shapes = {value.name: shape_of(value) for value in values}
    assert [array.shape for array in arrays] == [shapes[value.name] for value in copy.graph.outputs]

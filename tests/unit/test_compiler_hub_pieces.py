from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.checks.fidelity import fidelities, output_sqnr_db
from edgefleet_compiler.hub.graph import constant
from edgefleet_compiler.hub.pieces import Pieces
from edgefleet_compiler.hub.session import Session
from edgefleet_compiler.passes import simplify
from support.onnx_graphs import OnnxGraph


def residual_net():
    graph = OnnxGraph(1)
    x = graph.input("x", 1, 3, 6, 6)
    first = graph.node("Relu", graph.conv(x, (3, 4), (1, 1)))
    second = graph.conv(first, (4, 4), (1, 1))
    total = graph.node("Relu", graph.node("Add", first, second))
    model = graph.model(graph.conv(total, (4, 2), (3, 3)))
    simplify(model)
    return model


def samples(count=4):
    random = np.random.default_rng(3)
    return [{"x": random.normal(size=(1, 3, 6, 6)).astype(np.float32)} for _ in range(count)]


def convolutions(model):
    return [node for node in model.graph if node.op_type == "Conv"]


def whole(model, node, sample):
    """What a node gives when all of the model is run."""
    copy = ir.from_proto(ir.to_proto(model))
    value = next(other.outputs[0] for other in copy.graph if other.name == node.name)
    if not value.is_graph_output():
        copy.graph.outputs.append(value)
    return Session(copy, optimise=False).run(sample)[value.name]


def test_each_stop_gives_what_the_whole_model_gives_there():
    model, cases = residual_net(), samples()
    stops = convolutions(model)
    for stop, outputs in zip(stops, Pieces(model, stops).outputs(cases), strict=True):
        for sample, output in zip(cases, outputs, strict=True):
            np.testing.assert_array_equal(output, whole(model, stop, sample))


def test_what_is_changed_at_a_stop_is_seen_at_the_next():
    model, cases = residual_net(), samples()
    stops = convolutions(model)
    for stop, outputs in zip(stops, Pieces(model, stops).outputs(cases), strict=True):
        for sample, output in zip(cases, outputs, strict=True):
            np.testing.assert_array_equal(output, whole(model, stop, sample))
        bias = stop.inputs[2]
        bias.const_value = ir.Tensor(constant(bias) + np.float32(0.5), name=bias.name)


def test_only_what_is_still_needed_is_kept():
    model = residual_net()
    assert Pieces(model, convolutions(model)).live_bytes() == 4 * 6 * 6 * 4


def test_the_nearer_of_two_hubs_is_told():
    model, cases = residual_net(), samples(12)
    near, far = model.clone(), model.clone()
    for copy, shift in ((near, 0.01), (far, 0.1)):
        bias = convolutions(copy)[-1].inputs[2]
        bias.const_value = ir.Tensor(constant(bias) + np.float32(shift), name=bias.name)
    first, second = fidelities(model, [near, far], cases)
    assert first.is_better_than(second)
    assert not second.is_better_than(first)
    assert first.sqnr_db == output_sqnr_db(model, near, cases)
    assert 19 < first.sqnr_db - second.sqnr_db < 21

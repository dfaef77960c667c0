from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.checks.fidelity import fidelities, output_sqnr_db
from edgefleet_compiler.hub.graph import constant
from edgefleet_compiler.passes import simplify
from support.onnx_graphs import OnnxGraph


def test_the_nearer_of_two_hubs_is_told():
    graph, random = OnnxGraph(1), np.random.default_rng(3)
    first = graph.node("Relu", graph.conv(graph.input("x", 1, 3, 6, 6), (3, 4), (1, 1)))
    model = graph.model(graph.conv(first, (4, 2), (3, 3)))
    simplify(model)
    cases = [{"x": random.normal(size=(1, 3, 6, 6)).astype(np.float32)} for _ in range(12)]
    near, far = model.clone(), model.clone()
    for copy, shift in ((near, 0.01), (far, 0.1)):
        bias = [node for node in copy.graph if node.op_type == "Conv"][-1].inputs[2]
        bias.const_value = ir.Tensor(constant(bias) + np.float32(shift), name=bias.name)
    better, worse = fidelities(model, [near, far], cases)
    assert better.is_better_than(worse)
    assert not worse.is_better_than(better)
    assert better.sqnr_db == output_sqnr_db(model, near, cases)
    assert 19 < better.sqnr_db - worse.sqnr_db < 21

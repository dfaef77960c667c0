"""Small float hubs for tests of the quantiser's searches, with cases whose activations have rare large values."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from edgefleet_compiler.passes import simplify
from edgefleet_compiler.quantise.calibration.observe import observe
from edgefleet_compiler.quantise.search.candidates import Candidates
from edgefleet_compiler.quantise.search.reference import Reference
from edgefleet_compiler.quantise.settings import Settings
from support.onnx_graphs import OnnxGraph
from support.whole_nets import WHOLE_NETS


def classifier(seed: int = 0) -> ir.Model:
    """An image (1, 3, 12, 12) to six probabilities, by four convolutions with a residual and a Concat of Sigmoids."""
    graph = OnnxGraph(seed)
    level = graph.node("Relu", graph.conv(graph.input("x", 1, 3, 12, 12), (3, 8), (3, 3), pads=[1, 1, 1, 1]))
    inner = graph.node("Relu", graph.conv(level, (8, 8), (3, 3), pads=[1, 1, 1, 1], group=8))
    level = graph.node("Relu", graph.node("Add", level, graph.conv(inner, (8, 8), (1, 1))))
    gate = graph.node("Sigmoid", graph.conv(level, (8, 4), (1, 1)))
    joined = graph.node("Concat", level, gate, axis=1)
    pooled = graph.node("GlobalAveragePool", joined)
    model = graph.model(graph.node("Softmax", graph.gemm(graph.reshape(pooled, 1, 12), 12, 6), axis=1))
    simplify(model)
    return model


def whole(name: str) -> ir.Model:
    """One of ``WHOLE_NETS`` as a float hub."""
    model = ir.from_proto(WHOLE_NETS[name]())
    simplify(model)
    return model


def cases_for(model: ir.Model, count: int, seed: int = 0) -> list[dict[str, np.ndarray]]:
    """Heavy-tailed inputs (Student's t with three degrees of freedom), of which clipping pays."""
    random = np.random.default_rng(seed)
    return [
        {value.name: random.standard_t(3, value.shape.numpy()).astype(np.float32) for value in model.graph.inputs}
        for _ in range(count)
    ]


class Searched:
    """A hub, its cases, what was seen of them, and the hub quantised by min-max."""

    def __init__(self, model: ir.Model, settings: Settings | None = None, count: int = 16) -> None:
        self.model, self.settings = model, settings or Settings()
        self.cases = cases_for(model, count)
        self.seen = observe(model, self.cases, lambda _: None)
        self.reference = Reference(model, self.cases)
        self.candidates = Candidates(model, self.seen, self.settings, "int8")
        self.quantised = self.quantised_by("min-max")

    def quantised_by(self, word: str) -> ir.Model:
        return self.candidates.quantised(self.candidates.uniform(word))

"""What other forms are compared with computes each node as it stands, and gives numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from edgefleet_compiler.options import CompileOptions
from edgefleet_compiler.pipeline import Outcome, compile_model
from edgefleet_compiler.progress import Silent
from edgefleet_contract.errors import ModelMalformed
from support.onnx_graphs import OnnxGraph

SHAPE = (1, 2, 7, 7)


def compiled(graph: OnnxGraph, output: str, folder: Path, recipe: str) -> Outcome:
    """The model on x86-64, with inputs that are mostly negative."""
    onnx.save(graph.proto(output), folder / "model.onnx")
    inputs = np.random.default_rng(0).normal(-2, 1, (24, *SHAPE[1:])).astype(np.float32)
    np.savez(folder / "data.npz", x=inputs)
    data = folder / "data.npz"
    options = CompileOptions(
        folder / "model.onnx", ("x86-64",), out=folder / "out", recipe=recipe, calibration=data, validation=data
    )
    (outcome,) = compile_model(options, Silent())
    return outcome


@pytest.mark.parametrize("recipe", ["float", "int8"])
@pytest.mark.parametrize(("pool", "before"), [("MaxPool", 2), ("MaxPool", 3), ("AveragePool", 3)])
def test_onnxruntimes_optimiser_makes_no_padding_of_zeros_wrong(
    tmp_path: Path, pool: str, before: int, recipe: str
) -> None:
    graph = OnnxGraph()
    pads = graph.constant([0, 0, before, 0, 0, 0, 1, 1], np.int64)
    padded = graph.node("Pad", graph.input("x", *SHAPE), pads, graph.constant(0.0))
    pooled = graph.node(pool, padded, kernel_shape=[3, 3], strides=[2, 2])
    outcome = compiled(graph, graph.conv(pooled, (2, 3), (1, 1)), tmp_path, recipe)
    assert min(parity.sqnr_db or np.inf for parity in outcome.report.parity) > 20


def test_a_softmax_of_one_element_is_right_in_integers(tmp_path: Path) -> None:
    graph = OnnxGraph()
    source = graph.input("x", *SHAPE)
    ones = graph.node("Softmax", graph.conv(source, (2, 1), (3, 3), pads=[1, 1, 1, 1]), axis=1)
    outcome = compiled(graph, graph.conv(graph.node("Add", source, ones), (2, 3), (1, 1)), tmp_path, "int8")
    assert min(parity.sqnr_db or 0.0 for parity in outcome.report.parity) > 20


def test_a_source_that_overflows_is_refused_with_its_output(tmp_path: Path) -> None:
    graph = OnnxGraph()
    huge = graph.constant(np.full((2, 2, 1, 1), 1e30))
    output = graph.node("Conv", graph.node("Conv", graph.input("x", *SHAPE), huge), huge, name="scores")
    with pytest.raises(ModelMalformed, match="output 'scores' of the model is NaN or infinite"):
        compiled(graph, output, tmp_path, "float")

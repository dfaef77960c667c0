"""Ratios of requantisation: XNNPACK takes every file, though an output is nearly dead, and no value changes."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from edgefleet_compiler.exporters.tflite import export_tflite
from edgefleet_compiler.hub.graph import constant
from edgefleet_compiler.passes import simplify
from edgefleet_compiler.quantise.calibrate import calibrate
from edgefleet_compiler.quantise.integers import quantise
from edgefleet_compiler.quantise.requantisation import LARGEST_RATIO, with_bounded_ratios
from edgefleet_compiler.quantise.settings import Settings
from edgefleet_contract.errors import ModelMalformed
from support.exports import run_hub, run_tflite
from support.onnx_graphs import OnnxGraph

HUGE = 1e6  # so many times larger than others the weights are of the channel that a Relu keeps at zero


def convolution(group: int) -> tuple[OnnxGraph, str]:
    """(1, 4, 5, 5) to (1, 4, 5, 5); the second channel is below zero wherever its inputs are positive."""
    graph = OnnxGraph(1)
    source = graph.input("x", 1, 4, 5, 5)
    weights = np.random.default_rng(0).normal(size=(4, 4 // group, 3, 3)).astype(np.float32)
    weights[1] = -HUGE * np.abs(weights[1])
    bias = np.array([0.1, -HUGE / 100, 0, 0.2], np.float32)
    return graph, graph.node(
        "Conv", source, graph.constant(weights), graph.constant(bias), pads=[1, 1, 1, 1], group=group
    )


def fully_connected() -> tuple[OnnxGraph, str]:
    """(1, 4) to (1, 3), below zero throughout but where its inputs are zero."""
    graph = OnnxGraph(2)
    weights = -HUGE * np.abs(np.random.default_rng(0).normal(size=(4, 3))).astype(np.float32)
    bias = np.full(3, 0.1, np.float32)
    return graph, graph.node("Gemm", graph.input("x", 1, 4), graph.constant(weights), graph.constant(bias))


NETS = {
    "convolution": lambda: convolution(1),
    "depthwise": lambda: convolution(4),
    "fully connected": fully_connected,
}


@pytest.fixture(params=NETS)
def quantised(request: pytest.FixtureRequest) -> ir.Model:
    """A quantised hub one of whose layers has a ratio beyond what XNNPACK takes."""
    graph, level = NETS[request.param]()
    model = graph.model(graph.node("Relu", level))
    simplify(model)
    return quantise(model, calibrate(model, inputs(model, 20), lambda _: None), Settings())


def inputs(model: ir.Model, count: int) -> list[dict[str, np.ndarray]]:
    """Cases from zero to one, the first of them all zero."""
    random = np.random.default_rng(3)
    (source,) = model.graph.inputs
    drawn = [random.uniform(0, 1, source.shape.numpy()).astype(np.float32) for _ in range(count)]
    return [{source.name: case} for case in (np.zeros_like(drawn[0]), *drawn)]


def largest_ratio(model: ir.Model) -> float:
    """Of the one layer: its channels' largest."""
    (layer,) = (node for node in model.graph if node.op_type in ("Conv", "Gemm"))
    given, weights = (layer.inputs[index].producer().inputs[1] for index in (0, 1))
    return float((constant(weights) * constant(given) / output_scale(model)).max())


def output_scale(model: ir.Model) -> float:
    (last,) = (node for node in model.graph if node.outputs[0] is model.graph.outputs[0])
    return float(constant(last.inputs[1]))


def test_every_ratio_is_below_256_afterwards_and_xnnpack_takes_the_file(quantised: ir.Model) -> None:
    assert largest_ratio(quantised) > 256
    bounded = with_bounded_ratios(quantised)
    assert largest_ratio(bounded) == pytest.approx(LARGEST_RATIO)
    refused, _ = export_tflite(quantised, io="float", io_layout="source")
    with pytest.raises(ModelMalformed, match="XNNPACK"):
        run_tflite(refused, list(inputs(quantised, 1)[0].values()))
    data, _ = export_tflite(bounded, io="float", io_layout="source")
    for case in inputs(bounded, 10):
        given = list(case.values())
        fast, plain = run_tflite(data, given)[0], run_tflite(data, given, delegates=False)[0]
        np.testing.assert_allclose(fast, plain, rtol=0, atol=1.01 * output_scale(bounded))


def test_no_output_is_another_than_before(quantised: ir.Model) -> None:
    bounded = with_bounded_ratios(quantised)
    for case in inputs(quantised, 20):
        given = list(case.values())
        np.testing.assert_array_equal(run_hub(bounded, given)[0], run_hub(quantised, given)[0])


def test_what_has_no_such_layer_is_left_as_it_is(quantised: ir.Model) -> None:
    bounded = with_bounded_ratios(quantised)
    assert with_bounded_ratios(bounded) is bounded

"""Operators that move elements or choose among them, in int8: both runtimes do so on the stored integers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
import pytest

from edgefleet_compiler.checks.runtimes import open_runner
from edgefleet_compiler.exporters.onnx import export_onnx
from edgefleet_compiler.exporters.tflite import export_tflite
from edgefleet_compiler.passes import simplify
from edgefleet_compiler.quantise.calibrate import calibrate
from edgefleet_compiler.quantise.integers import quantise
from edgefleet_compiler.quantise.operators import MOVING
from edgefleet_compiler.quantise.settings import Settings
from support.exports import random_inputs, run_hub, run_tflite
from support.onnx_graphs import OnnxGraph

Layer = Callable[[OnnxGraph, str], str]


def split(graph: OnnxGraph, image: str) -> str:
    first = graph.node("Split", image, outputs=2, axis=1, num_outputs=2)
    return graph.node("Concat", f"{first}_1", first, axis=1)


LAYERS: dict[str, Layer] = {
    "DepthToSpace": lambda graph, image: graph.node("DepthToSpace", image, blocksize=2),
    "DepthToSpaceCrd": lambda graph, image: graph.node("DepthToSpace", image, blocksize=2, mode="CRD"),
    "Gather": lambda graph, image: graph.node("Gather", image, graph.constant([2, 0, -1], int), axis=1),
    "Max": lambda graph, image: graph.node("Max", image, graph.node("Relu", image)),
    "MaxConstant": lambda graph, image: graph.node("Max", image, graph.constant(graph.random.normal(size=(8, 1, 1)))),
    "Min": lambda graph, image: graph.node("Min", image, graph.node("Sigmoid", image)),
    "ReduceMax": lambda graph, image: graph.node("ReduceMax", image, graph.constant([2, 3], int)),
    "ReduceMin": lambda graph, image: graph.node("ReduceMin", image, graph.constant([3], int)),
    "SpaceToDepth": lambda graph, image: graph.node("SpaceToDepth", image, blocksize=2),
    "Split": split,
    "Tile": lambda graph, image: graph.node("Tile", image, graph.constant([1, 1, 2, 1], int)),
}


@pytest.mark.parametrize("layer", LAYERS)
def test_elements_are_moved_and_chosen_as_integers_in_both_formats(layer):
    graph = OnnxGraph()
    image = graph.conv(graph.input("x", 1, 3, 6, 6), (3, 8), (3, 3))
    moved = LAYERS[layer](graph, image)
    channels = {"DepthToSpace": 2, "DepthToSpaceCrd": 2, "Gather": 3, "SpaceToDepth": 32}.get(layer, 8)
    model = graph.model(graph.conv(moved, (channels, 4), (1, 1)))
    simplify(model)
    samples = [random_inputs(model, seed) for seed in range(8)]
    ranges = calibrate(model, ({"x": sample[0]} for sample in samples), lambda _: None)
    quantised = quantise(model, ranges, Settings())
    expected = run_hub(quantised, samples[0])
    onnx_file = export_onnx(quantised, max_opset=21, io="float", io_layout="source")
    tflite_file, lowered = export_tflite(quantised, io="float", io_layout="source")
    scale = max(float(np.abs(expected[0]).max()), 1e-3) / 127
    for results in (open_runner(onnx_file, "onnx").run(samples[0]), run_tflite(tflite_file, samples[0])):
        assert np.abs(results[0] - expected[0]).max() <= 3 * scale
    real = [operator.kind for operator in lowered.operators if lowered.tensors[operator.outputs[0]].dtype == np.float32]
    assert set(real) <= {"DEQUANTIZE", "TRANSPOSE", "RESHAPE"}
    nodes = onnx.load_model_from_string(onnx_file).graph.node
    real = {output for node in nodes if node.op_type == "DequantizeLinear" for output in node.output}
    assert not [node.op_type for node in nodes if node.op_type in MOVING and real.intersection(node.input)]


def test_an_embedding_table_is_stored_in_integers_for_layers_that_compute_on_them():
    graph = OnnxGraph()
    words = graph.node("Gather", graph.weights(50, 16), graph.input("x", 1, 6, dtype=np.int64))
    mean = graph.node("ReduceMean", words, graph.constant([1], int), keepdims=0)
    model = graph.model(graph.gemm(mean, 16, 4))
    simplify(model)
    samples = [random_inputs(model, seed) for seed in range(8)]
    ranges = calibrate(model, ({"x": sample[0]} for sample in samples), lambda _: None)
    quantised = quantise(model, ranges, Settings())
    tflite_file, lowered = export_tflite(quantised, io="float", io_layout="source")
    gather = next(operator for operator in lowered.operators if operator.kind == "GATHER")
    assert lowered.tensors[gather.inputs[0] or ""].dtype == np.int8
    expected = run_hub(quantised, samples[0])[0]
    onnx_file = export_onnx(quantised, max_opset=21, io="float", io_layout="source")
    for results in (open_runner(onnx_file, "onnx").run(samples[0]), run_tflite(tflite_file, samples[0])):
        assert np.abs(results[0] - expected).max() <= 3 * np.abs(expected).max() / 127

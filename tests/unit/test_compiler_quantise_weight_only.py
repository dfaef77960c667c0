from __future__ import annotations

import numpy as np
import pytest

from edgefleet_compiler.checks.deployment import inspect_tflite
from edgefleet_compiler.checks.runtimes import open_runner
from edgefleet_compiler.exporters.onnx import export_onnx
from edgefleet_compiler.exporters.tflite import export_tflite
from edgefleet_compiler.hub.graph import OPSET, constant
from edgefleet_compiler.passes import simplify
from edgefleet_compiler.quantise.dynamic import dynamic
from edgefleet_compiler.quantise.settings import LayerSettings, Settings
from edgefleet_compiler.quantise.weight_only import weight_only
from edgefleet_contract.errors import RecipeMalformed, RecipeUnfit
from support.exports import random_inputs, run_hub, run_tflite
from support.onnx_graphs import OnnxGraph

INT8, INT4 = Settings(), Settings(weights="int4")


def convolutions():
    graph = OnnxGraph()
    value = graph.node("Relu", graph.conv(graph.input("x", 1, 3, 9, 9), (3, 24), (3, 3)))
    value = graph.conv(value, (24, 24), (3, 3), group=24, pads=[1, 1, 1, 1])
    value = graph.node("GlobalAveragePool", graph.conv(value, (24, 16), (1, 1)))
    return graph.model(graph.gemm(graph.node("Flatten", value), 16, 10))


def transposed(**attributes):
    graph = OnnxGraph()
    weights = graph.weights(12, 24 // attributes.get("group", 1), 3, 3, fan_in=12)
    return graph.model(graph.node("ConvTranspose", graph.input("x", 1, 12, 5, 5), weights, **attributes))


def transposed_in_one_dimension():
    graph = OnnxGraph()
    return graph.model(graph.node("ConvTranspose", graph.input("x", 1, 8, 5), graph.weights(8, 8, 3, fan_in=8)))


def product():
    graph = OnnxGraph()
    return graph.model(graph.node("MatMul", graph.input("x", 2, 3, 24), graph.weights(24, 16, fan_in=24)))


def stacked_products():
    graph = OnnxGraph()
    return graph.model(graph.node("MatMul", graph.input("x", 2, 3, 24), graph.weights(2, 24, 16, fan_in=24)))


def recurrent(operator, gates, direction):
    graph, directions = OnnxGraph(), 2 if direction == "bidirectional" else 1
    weights = [graph.weights(directions, gates * 16, size, fan_in=size) for size in (12, 16)]
    source = graph.input("x", 4, 1, 12)
    return graph.model(graph.node(operator, source, *weights, hidden_size=16, direction=direction))


MODELS = {
    "convolutions": convolutions,
    "transposed": transposed,
    "transposed, dilated": lambda: transposed(dilations=[2, 2]),
    "transposed, groups": lambda: transposed(group=2),
    "transposed, depthwise": lambda: transposed(group=12),
    "transposed, one dimension": transposed_in_one_dimension,
    "product": product,
    "stacked products": stacked_products,
    "LSTM": lambda: recurrent("LSTM", 4, "forward"),
    "GRU": lambda: recurrent("GRU", 3, "bidirectional"),
    "RNN": lambda: recurrent("RNN", 1, "reverse"),
}


@pytest.mark.parametrize("settings", [INT8, INT4, Settings(convolutions="per-tensor", fully_connected="per-tensor")])
@pytest.mark.parametrize("name", MODELS)
def test_both_exports_compute_what_the_hub_does_and_the_hub_nearly_what_the_float_model_does(name, settings):
    model = MODELS[name]()
    simplify(model)
    narrow = weight_only(model, settings)
    assert any(node.op_type == "DequantizeLinear" for node in narrow.graph)
    inputs = random_inputs(model)
    expected = run_hub(narrow, inputs)
    for real, rounded in zip(run_hub(model, inputs), expected, strict=True):
        bound = 0.03 if settings.weights == "int8" else 0.4
        assert np.abs(real - rounded).max() <= bound * np.abs(real).max()
    tflite, _ = export_tflite(narrow, io="float", io_layout="source")
    onnx = export_onnx(narrow, max_opset=OPSET, io="float", io_layout="source")
    for seen in (
        run_tflite(tflite, inputs),
        run_tflite(tflite, inputs, delegates=False),
        open_runner(onnx, "onnx").run(inputs),
        open_runner(onnx, "onnx", execution="plain").run(inputs),
    ):
        for ours, theirs in zip(seen, expected, strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-5 * np.abs(theirs).max())


@pytest.mark.parametrize(("settings", "share"), [(INT8, 0.27), (INT4, 0.15)])
def test_weights_take_a_quarter_or_an_eighth_of_the_bytes(settings, share):
    graph = OnnxGraph()
    value = graph.conv(graph.input("x", 1, 64, 8, 8), (64, 128), (3, 3))
    model = graph.model(graph.conv(value, (128, 64), (3, 3)))
    simplify(model)
    narrow = weight_only(model, settings)
    for export in (
        lambda hub: export_tflite(hub, io="float", io_layout="source")[0],
        lambda hub: export_onnx(hub, max_opset=OPSET, io="float", io_layout="source"),
    ):
        assert len(export(narrow)) < share * len(export(model))


def test_each_layer_has_the_weights_that_its_settings_ask_for():
    model = convolutions()
    simplify(model)
    layers = [node for node in model.graph if node.op_type in ("Conv", "Gemm")]
    named = {layers[1].name: LayerSettings(weights="int4")}
    narrow = weight_only(model, Settings(layers=named))
    types = {
        node.name: str(constant(node.inputs[1].producer().inputs[0]).dtype)
        for node in narrow.graph
        if node.op_type in ("Conv", "Gemm")
    }
    assert [types[node.name] for node in layers] == ["int8", "int4", "int8", "int8"]


def test_layers_that_there_are_not_and_integer_activations_are_refused():
    model = convolutions()
    simplify(model)
    with pytest.raises(RecipeMalformed, match="nowhere"):
        weight_only(model, Settings(layers={"nowhere": LayerSettings(weights="int4")}))
    first = next(node.name for node in model.graph if node.op_type == "Conv")
    with pytest.raises(RecipeUnfit, match="weight-only computes in float"):
        weight_only(model, Settings(layers={first: LayerSettings(compute="int8")}))


def test_few_weights_and_those_computed_at_run_time_stay_as_they_are():
    graph = OnnxGraph()
    source = graph.input("x", 1, 2, 6, 6)
    small = graph.conv(source, (2, 4), (3, 3))
    model = graph.model(graph.node("MatMul", small, small))
    assert [node.op_type for node in weight_only(model, INT8).graph] == ["Conv", "MatMul"]


def test_weights_that_two_layers_use_are_stored_once():
    graph = OnnxGraph()
    shared = graph.weights(8, 8, 3, 3)
    value = graph.input("x", 1, 8, 9, 9)
    for _ in range(2):
        value = graph.node("Conv", value, shared)
    narrow = weight_only(graph.model(value), INT8)
    assert [node.op_type for node in narrow.graph] == ["DequantizeLinear", "Conv", "Conv"]
    assert len(narrow.graph.initializers) == 2


def test_onnxruntime_widens_the_weights_when_it_loads_them(tmp_path):
    model = convolutions()
    simplify(model)
    import onnx
    import onnxruntime

    data = export_onnx(weight_only(model, INT8), max_opset=OPSET, io="float", io_layout="source")
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    kinds = {node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node}
    assert not kinds & {"Cast", "Mul", "DequantizeLinear"}


@pytest.mark.parametrize(
    "build", [lambda model: weight_only(model, INT8), lambda model: dynamic(model, INT8, "tflite")]
)
def test_xnnpack_takes_all_layers_in_one_piece(build):
    model = convolutions()
    simplify(model)
    data, _ = export_tflite(build(model), io="float", io_layout="source")
    seen = inspect_tflite(data, [], "litert")
    assert seen.partitions == 1
    assert all(name.endswith("(DEQUANTIZE)") for name in seen.left)  # of weights, which it widens when it is loaded

"""Activations rounded at run time: both exports compute what the hub does, by the kernels that are meant."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest

from edgefleet_compiler.checks.operators import missing_operators
from edgefleet_compiler.checks.runtimes import open_runner
from edgefleet_compiler.exporters.onnx import export_onnx
from edgefleet_compiler.exporters.tflite import export_tflite
from edgefleet_compiler.hub.dynamic import source_of
from edgefleet_compiler.hub.graph import OPSET, constant
from edgefleet_compiler.lower import lower
from edgefleet_compiler.passes import simplify
from edgefleet_compiler.quantise.dynamic import dynamic
from edgefleet_compiler.quantise.saturation import pairs_fit
from edgefleet_compiler.quantise.settings import LayerSettings, Settings
from edgefleet_contract.errors import RecipeMalformed, RecipeUnfit
from edgefleet_hardware.profile import Runtime
from support.exports import random_inputs, run_hub, run_tflite
from support.onnx_graphs import OnnxGraph

PER_TENSOR = Settings(convolutions="per-tensor", fully_connected="per-tensor")


def network():
    graph = OnnxGraph()
    value = graph.node("Relu", graph.conv(graph.input("x", 1, 3, 9, 9), (3, 24), (3, 3), pads=[1, 1, 1, 1]))
    value = graph.conv(value, (24, 24), (3, 3), group=24)
    value = graph.conv(value, (24, 16), (1, 1), bias=False)
    return graph.model(graph.gemm(graph.node("Flatten", value), 784, 90))


def along_one_axis():
    graph = OnnxGraph()
    return graph.model(graph.conv(graph.input("x", 1, 8, 30), (8, 8), (5,), strides=[2]))


def product():
    graph = OnnxGraph()
    return graph.model(graph.node("MatMul", graph.input("x", 20, 3, 40), graph.weights(40, 32, fan_in=40)))


def branches():
    """Two layers that read one activation, which is an output, too."""
    graph = OnnxGraph()
    value = graph.node("Relu", graph.input("x", 8, 130))
    return graph.model(value, graph.gemm(value, 130, 70), graph.gemm(value, 130, 65))


MODELS = {"network": network, "along one axis": along_one_axis, "product": product, "branches": branches}


def normal(build):
    model = build()
    simplify(model)
    return model


def close(ours, theirs):
    """Whether two results differ by no more than rounding does: XNNPACK takes other zero points, and one for a row."""
    span = np.abs(theirs).max()
    return ours.shape == theirs.shape and np.sqrt(np.square(ours - theirs).mean()) <= 0.02 * span


@pytest.mark.parametrize("settings", [Settings(), PER_TENSOR])
@pytest.mark.parametrize("name", MODELS)
def test_both_exports_compute_what_the_hub_does_and_the_hub_nearly_what_the_float_model_does(name, settings):
    model = normal(MODELS[name])
    inputs = random_inputs(model)
    exact = run_hub(model, inputs)
    for artifact in ("onnx", "tflite"):
        hub = dynamic(model, settings, artifact)
        expected = run_hub(hub, inputs)
        for real, rounded in zip(exact, expected, strict=True):
            assert 0 <= np.abs(real - rounded).max() <= 0.06 * np.abs(real).max()
        if artifact == "onnx":
            data = export_onnx(hub, max_opset=OPSET, io="float", io_layout="source")
            onnx.checker.check_model(onnx.load_model_from_string(data), full_check=True)
            results = [
                open_runner(data, "onnx", execution=execution).run(inputs) for execution in ("deployed", "plain")
            ]
        else:
            data, _ = export_tflite(hub, io="float", io_layout="source")
            results = [run_tflite(data, inputs, delegates=delegates) for delegates in (True, False)]
        for result in results:
            assert all(close(ours, theirs) for ours, theirs in zip(result, expected, strict=True))


def test_tflite_operators_take_the_integers_of_the_weights_but_for_depthwise_ones():
    graph = lower(dynamic(normal(network), Settings(), "tflite"), io="float", io_layout="source")
    types = {
        operator.kind: (graph.tensors[operator.inputs[0]].dtype, graph.tensors[operator.inputs[1]].dtype)
        for operator in graph.operators
        if operator.kind.endswith(("CONV_2D", "CONNECTED"))
    }
    assert types == {
        "CONV_2D": (np.float32, np.int8),
        "DEPTHWISE_CONV_2D": (np.float32, np.float32),
        "FULLY_CONNECTED": (np.float32, np.int8),
    }
    (dense,) = (operator for operator in graph.operators if operator.kind == "FULLY_CONNECTED")
    assert dense.attributes["asymmetric_quantize_inputs"]


def test_onnxruntime_has_one_kernel_for_each_product_and_float_ones_for_convolutions(tmp_path):
    data = export_onnx(dynamic(normal(network), Settings(), "onnx"), max_opset=OPSET, io="float", io_layout="source")
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    kinds = {node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node}
    assert "DynamicQuantizeMatMul" in kinds
    assert not kinds & {"Gemm", "MatMul", "MatMulInteger", "ConvInteger", "DequantizeLinear", "Cast"}


def test_an_activation_is_rounded_once_for_all_who_read_it():
    hub = dynamic(normal(branches), Settings(), "onnx")
    assert [node.op_type for node in hub.graph].count("DynamicQuantizeLinear") == 1


def test_single_layers_compute_with_what_is_asked_for():
    model = normal(network)
    first, _, last = (node.name for node in model.graph if node.op_type == "Conv")
    asked = {first: LayerSettings(compute="int8"), last: LayerSettings(compute="float")}

    def rounded(settings, artifact):
        hub = dynamic(model, settings, artifact)
        return [node.name for node in hub.graph if node.op_type == "Conv" and source_of(node.inputs[0]) is not None]

    assert rounded(Settings(), "onnx") == []
    assert rounded(Settings(layers=asked), "onnx") == [first]
    assert rounded(Settings(), "tflite") == [first, last]
    assert rounded(Settings(layers=asked), "tflite") == [first]


@pytest.mark.parametrize(
    ("position", "compute", "reason"), [(1, "int8", "it is in groups"), (0, "int16", "there it is int8")]
)
def test_what_a_layer_cannot_do_is_refused_by_name(position, compute, reason):
    model = normal(network)
    name = [node.name for node in model.graph if node.op_type == "Conv"][position]
    with pytest.raises(RecipeUnfit, match=reason) as caught:
        dynamic(model, Settings(layers={name: LayerSettings(compute=compute)}), "tflite")
    assert caught.value.facts["layer"] == name


def test_onnxruntime_multiplies_small_matrices_in_float_unless_told_otherwise():
    graph = OnnxGraph()
    model = graph.model(graph.gemm(graph.input("x", 1, 64), 64, 32))
    simplify(model)
    (name,) = (node.name for node in model.graph)
    asked = Settings(layers={name: LayerSettings(compute="int8")})
    counts = [
        [node.op_type for node in dynamic(model, given, form).graph].count("DynamicQuantizeLinear")
        for given, form in ((Settings(), "onnx"), (asked, "onnx"), (Settings(), "tflite"))
    ]
    assert counts == [0, 1, 1]


def test_unknown_layers_are_refused():
    with pytest.raises(RecipeMalformed, match="nowhere"):
        dynamic(normal(network), Settings(layers={"nowhere": LayerSettings(compute="int8")}), "tflite")


def test_pairs_of_weights_fit_16_bits_where_products_may_saturate():
    graph = OnnxGraph()
    model = graph.model(graph.gemm(graph.input("x", 32, 64), 64, 32))
    simplify(model)

    def matrix(settings):
        hub = dynamic(model, settings, "onnx")
        (gemm,) = (node for node in hub.graph if node.op_type == "Gemm")
        return constant(gemm.inputs[1].producer().inputs[0])

    assert not pairs_fit(matrix(Settings()), "Gemm").all()
    assert pairs_fit(matrix(Settings(narrow_pairs=True)), "Gemm").all()


def test_tflite_micro_has_no_such_kernels():
    graph = lower(dynamic(normal(network), Settings(), "tflite"), io="float", io_layout="source")
    runtime = Runtime(name="tflite-micro", format="tflite", minimum_version="2026.8")
    told = {refusal.operator for refusal in missing_operators(graph, runtime) if "float weights only" in refusal.reason}
    assert told == {"CONV_2D", "FULLY_CONNECTED"}
    assert missing_operators(graph, Runtime(name="litert", format="tflite", minimum_version="2.3")) == []

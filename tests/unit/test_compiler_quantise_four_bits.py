"""int8 with weights of 4 bits: both exports hold the hub's integers, in half the bytes, or are refused by name."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest

from edgefleet_compiler.checks.operators import missing_operators, oldest_release
from edgefleet_compiler.checks.runtimes import open_runner
from edgefleet_compiler.exporters.onnx import export_onnx
from edgefleet_compiler.exporters.tflite import export_tflite
from edgefleet_compiler.exports import export
from edgefleet_compiler.four_bits import INT4
from edgefleet_compiler.hub.graph import OPSET, constant
from edgefleet_compiler.lower import lower
from edgefleet_compiler.memory.tflite_micro.kernels import Build
from edgefleet_compiler.memory.tflite_micro.requests import requests_of
from edgefleet_compiler.passes import simplify
from edgefleet_compiler.quantise.calibrate import calibrate
from edgefleet_compiler.quantise.integers import quantise
from edgefleet_compiler.quantise.settings import LayerSettings, Settings
from edgefleet_compiler.recipe import Recipe
from edgefleet_compiler.tflite.reader import read_tflite
from edgefleet_contract.errors import OperatorUnsupported, RecipeUnfit
from edgefleet_hardware.profile import Runtime
from support.exports import random_inputs, run_hub, run_tflite
from support.onnx_graphs import OnnxGraph

NARROW = Settings(weights="int4")


def convolution(**attributes):
    graph = OnnxGraph()
    return graph, graph.conv(graph.input("x", 1, 8, 9, 9), (8, 16), (3, 3), **attributes)


def flattened():
    graph = OnnxGraph()
    value = graph.conv(graph.input("x", 1, 3, 7, 7), (3, 6), (3, 3))
    return graph, graph.gemm(graph.node("Flatten", value), 150, 9)


def odd():
    graph = OnnxGraph()
    return graph, graph.gemm(graph.input("x", 1, 13), 13, 5)


def product():
    graph = OnnxGraph()
    return graph, graph.node("MatMul", graph.input("x", 2, 3, 24), graph.weights(24, 16, fan_in=24))


def stacked_products():
    graph = OnnxGraph()
    return graph, graph.node("MatMul", graph.input("x", 2, 3, 24), graph.weights(2, 24, 16, fan_in=24))


def along_one_axis():
    graph = OnnxGraph()
    return graph, graph.conv(graph.input("x", 1, 8, 30), (8, 8), (5,), pads=[2, 2], strides=[2])


MODELS = {
    "convolution": lambda: convolution(pads=[1, 1, 1, 1]),
    "dilated": lambda: convolution(dilations=[2, 2]),
    "groups": lambda: convolution(group=4),
    "depthwise": lambda: convolution(group=8),
    "along one axis": along_one_axis,
    "flattened": flattened,
    "odd": odd,
    "product": product,
}


def quantised(built, settings=NARROW, activations="int8"):
    graph, output = built
    model = graph.model(output)
    simplify(model)
    random = np.random.default_rng(0)
    (taken,) = model.graph.inputs
    cases = [{taken.name: random.normal(size=taken.shape.numpy()).astype(np.float32)} for _ in range(8)]
    return quantise(model, calibrate(model, cases, lambda _: None), settings, activations)


def steps_apart(ours, theirs, hub):
    """The largest difference in steps of the output."""
    scale = constant(hub.graph.outputs[0].producer().inputs[1])
    return np.abs(ours - theirs).max() / float(scale)


@pytest.mark.parametrize("per_channel", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_both_exports_compute_on_the_integers_of_the_hub(name, per_channel):
    scales = "per-channel" if per_channel else "per-tensor"
    hub = quantised(MODELS[name](), Settings(weights="int4", convolutions=scales, fully_connected=scales))
    inputs = random_inputs(hub)
    (expected,) = run_hub(hub, inputs)
    tflite, lowered = export_tflite(hub, io="float", io_layout="source")
    assert INT4 in {tensor.dtype for tensor in lowered.constants()}
    data = export_onnx(hub, max_opset=OPSET, io="float", io_layout="source")
    for (ours,) in (
        run_tflite(tflite, inputs),
        run_tflite(tflite, inputs, delegates=False),
        open_runner(data, "onnx").run(inputs),
        open_runner(data, "onnx", execution="plain").run(inputs),
    ):
        assert steps_apart(ours, expected, hub) <= 1.01


@pytest.mark.parametrize("name", MODELS)
def test_the_tflite_file_is_read_as_it_was_written(name):
    data, lowered = export_tflite(quantised(MODELS[name]()), io="float", io_layout="source")
    stored = [tensor for tensor in lowered.constants() if tensor.dtype == INT4]
    read = [tensor for tensor in read_tflite(data).constants() if tensor.dtype == INT4]
    assert stored
    for ours, theirs in zip(stored, read, strict=True):
        np.testing.assert_array_equal(ours.data.astype(np.int8), theirs.data.astype(np.int8))


def test_onnxruntime_computes_with_integer_kernels(tmp_path):
    graph = OnnxGraph()
    value = graph.node("Relu", graph.conv(graph.input("x", 1, 8, 9, 9), (8, 16), (3, 3)))
    hub = quantised((graph, graph.gemm(graph.node("Flatten", value), 784, 5)))
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    data = export_onnx(hub, max_opset=OPSET, io="float", io_layout="source")
    onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    kinds = {node.op_type for node in onnx.load(tmp_path / "optimised.onnx").graph.node}
    assert {"QLinearConv", "QGemm"} <= kinds
    assert not kinds & {"Conv", "Gemm", "Cast"}


def test_weights_take_half_the_bytes_of_eight_bits():
    def sizes(settings):
        graph = OnnxGraph()
        value = graph.conv(graph.input("x", 1, 64, 8, 8), (64, 64), (3, 3))
        hub = quantised((graph, value), settings)
        recipes = [
            Recipe(scheme="int8", format=form, io="float", io_layout="source", seed=0, quantise=settings)
            for form in ("onnx", "tflite")
        ]
        return [export(hub, recipe, max_opset=OPSET) for recipe in recipes]

    for narrow, wide in zip(sizes(NARROW), sizes(Settings()), strict=True):
        assert narrow.four_bits
        assert not wide.four_bits
        assert wide.weights_bytes - narrow.weights_bytes == 64 * 64 * 9 // 2
        assert len(wide.data) - len(narrow.data) > 0.9 * 64 * 64 * 9 // 2


def test_stacked_matrices_keep_eight_bits():
    hub = quantised(stacked_products())
    assert ("int4" in {str(constant(value).dtype) for value in hub.graph.initializers.values()}) is False


def test_single_layers_may_have_them():
    graph = OnnxGraph()
    value = graph.conv(graph.conv(graph.input("x", 1, 8, 9, 9), (8, 8), (3, 3)), (8, 8), (3, 3))
    model = graph.model(value)
    simplify(model)
    last = next(node.name for node in reversed(model.graph) if node.op_type == "Conv")
    hub = quantised((graph, value), Settings(layers={last: LayerSettings(weights="int4")}))
    types = [str(constant(n.inputs[1].producer().inputs[0]).dtype) for n in hub.graph if n.op_type == "Conv"]
    assert types == ["int8", "int4"]


def test_layers_in_sixteen_bits_are_refused_by_name():
    with pytest.raises(RecipeUnfit, match=r"conv_3.*int16.*4-bit"):
        quantised(convolution(), activations="int16")


def test_older_opsets_are_refused():
    with pytest.raises(OperatorUnsupported, match="opset 20"):
        export_onnx(quantised(convolution()), max_opset=20, io="float", io_layout="source")


def runtime(name, release):
    form = "onnx" if name == "onnxruntime" else "tflite"
    return Runtime(name=name, format=form, minimum_version=release)


@pytest.mark.parametrize(
    ("name", "model", "per_channel", "reason"),
    [
        ("tflite-micro", "convolution", True, None),
        ("tflite-micro", "depthwise", True, None),
        ("tflite-micro", "groups", True, "groups"),
        ("tflite-micro", "odd", True, "one scale"),
        ("tflite-micro", "odd", False, None),
        ("tflite-runtime", "odd", True, "one scale"),
        ("litert", "odd", True, None),
        ("litert", "groups", True, None),
    ],
)
def test_what_a_runtime_lacks_is_named(name, model, per_channel, reason):
    settings = Settings(weights="int4", fully_connected="per-channel" if per_channel else "per-tensor")
    graph = lower(quantised(MODELS[model](), settings), io="int8", io_layout="source")
    told = [refusal.reason for refusal in missing_operators(graph, runtime(name, "2.3"))]
    assert [reason in text for text in told] == ([True] if reason else [])


def test_the_runtime_that_reads_them_is_new_enough():
    recipe = Recipe(scheme="int8", format="onnx", io="float", io_layout="source", seed=0, quantise=NARROW)
    narrow = export(quantised(convolution()), recipe, max_opset=OPSET)
    assert oldest_release(narrow, runtime("onnxruntime", "1.18")) == "1.23"
    assert oldest_release(narrow, runtime("onnxruntime", "1.30")) == "1.30"
    wide = export(quantised(convolution(), Settings()), recipe, max_opset=OPSET)
    assert oldest_release(wide, runtime("onnxruntime", "1.18")) == "1.18"


@pytest.mark.parametrize(
    ("build", "model", "scratch"),
    [
        (Build("reference"), "convolution", [16 * 8 * 3 * 3]),
        (Build("reference"), "depthwise", [3 * 3 * 16]),
        (Build("reference"), "odd", [13 * 5]),
        (Build("cmsis-nn", "dsp"), "convolution", [2 * 72 * 2]),
        (Build("cmsis-nn", "dsp"), "odd", []),
    ],
)
def test_tflite_micro_unpacks_them_into_scratch_buffers(build, model, scratch):
    settings = Settings(weights="int4", fully_connected="per-tensor")
    graph = lower(quantised(MODELS[model](), settings), io="int8", io_layout="source")
    (operator,) = (each for each in graph.operators if each.kind.endswith(("CONV_2D", "CONNECTED")))
    assert list(requests_of(operator, graph, build).scratch) == scratch

"""Activations of 16 bits: each operator in both runtimes beside the hub, its numbers, and where it is refused."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest

import edgefleet_compiler
from edgefleet_compiler.checks.layers import inspect_layers
from edgefleet_compiler.checks.runtimes import open_runner
from edgefleet_compiler.exporters.onnx import export_onnx
from edgefleet_compiler.exporters.tflite import export_tflite
from edgefleet_compiler.hub.operators import SIXTEEN_BITS
from edgefleet_compiler.lower.operators import RULES
from edgefleet_compiler.memory.tflite_micro.arena import plan_arena
from edgefleet_compiler.memory.tflite_micro.kernels import Build
from edgefleet_compiler.options import CompileOptions
from edgefleet_compiler.passes import simplify
from edgefleet_compiler.quantise.operators import FIXED, is_quantisable
from edgefleet_compiler.quantise.parameters import parameters_of_range
from edgefleet_compiler.recipe import rungs_for
from edgefleet_compiler.tflite.reader import read_tflite
from edgefleet_contract.errors import OperatorUnsupported, RecipeUnfit
from edgefleet_hardware.profile import load_profile
from support.exports import run_hub, run_tflite
from support.integer_layers import LAYERS, cases_of, net_of, quantised_net
from support.onnx_graphs import OnnxGraph

INT16 = np.dtype(np.int16)
CONVERSIONS = {"QUANTIZE", "DEQUANTIZE"}


def computing(graph):
    """The operators but those that convert, with the element type of their first activation."""
    for operator in graph.operators:
        if operator.kind not in CONVERSIONS:
            names = [name for name in operator.inputs if name is not None and not graph.tensors[name].is_constant]
            yield operator.kind, graph.tensors[names[0]].dtype


@pytest.mark.parametrize("layer", LAYERS)
def test_an_operator_computes_in_both_runtimes_what_the_hub_does(layer):
    model = net_of(layer)
    hub, cases = quantised_net(model, "int16"), cases_of(model)
    data, graph = export_tflite(hub, io="float", io_layout="source")
    expected = np.stack([run_hub(hub, case)[0] for case in cases])
    step = float(np.abs(expected).max()) / 32767
    in_integers = layer.split()[0] in SIXTEEN_BITS
    assert all(dtype == INT16 for _, dtype in computing(graph)) == in_integers
    for delegates in (True, False):
        error = np.abs(np.stack([run_tflite(data, case, delegates=delegates)[0] for case in cases]) - expected)
        assert error.max() <= len(list(computing(graph))) * step  # one for each operator that rounds
    file = export_onnx(hub, max_opset=21, io="float", io_layout="source")
    for execution in ("plain", "deployed"):
        runner = open_runner(file, "onnx", execution=execution)
        error = np.abs(np.stack([runner.run(case)[0] for case in cases]) - expected)
        assert error.max() <= 2 * step


@pytest.mark.parametrize("layer", LAYERS)
def test_sixteen_bits_lose_less_than_eight(layer):
    model = net_of(layer)
    cases = cases_of(model)
    exact = np.stack([run_hub(model, case)[0] for case in cases])
    noise = {
        activations: np.stack([run_hub(quantised_net(model, activations), case)[0] for case in cases]) - exact
        for activations in ("int8", "int16")
    }
    assert np.square(noise["int16"]).sum() < 0.5 * np.square(noise["int8"]).sum()


def test_every_operator_of_sixteen_bits_has_a_lowering_in_integers_and_a_layer_here():
    assert all(RULES[operator].integer for operator in SIXTEEN_BITS)
    tested = {layer.split()[0] for layer in LAYERS}
    only_in_sources = {"GlobalMaxPool", "Identity", "ReduceSum"}  # other operators in the hub's normal form
    assert SIXTEEN_BITS - tested == only_in_sources


@pytest.mark.parametrize(("low", "high"), [(-1.0, 3.0), (0.0, 6.0), (-2.0, 0.0), (0.0, 0.0), (-1e-30, 1e-38)])
def test_parameters_are_symmetric_and_reach_both_ends(low, high):
    found = parameters_of_range(low, high, "int16")
    assert (found.zero_point, found.dtype) == (0, "int16")
    ends = np.array([low, high, 0.0])
    assert np.abs(found.quantise(ends) * found.scale - ends).max() <= found.scale * 0.51
    assert found.quantise(np.array([1e9, -1e9])).tolist() == [32767, -32768]


@pytest.mark.parametrize("operator", FIXED)
def test_an_operator_that_prescribes_parameters_prescribes_the_specifications(operator):
    assert (FIXED[operator]["int16"].scale, FIXED[operator]["int16"].zero_point) == (1 / 32768, 0)


@pytest.mark.parametrize("layer", ["Conv", "Conv of each channel", "Gemm"])
def test_biases_are_int64_in_tflite_and_int32_in_onnx_and_the_same_numbers(layer):
    hub = quantised_net(net_of(layer), "int16")
    graph = read_tflite(export_tflite(hub, io="float", io_layout="source")[0])
    weighted = [each for each in graph.operators if each.kind.startswith(("CONV", "DEPTHWISE", "FULLY"))]
    biases = [graph.tensors[each.inputs[2]] for each in weighted]
    assert {bias.data.dtype.name for bias in biases} == {"int64"}
    other = ir.from_proto(onnx.load_from_string(export_onnx(hub, max_opset=21, io="float", io_layout="source"))).graph
    stored = [
        node.inputs[2].producer().inputs[0].const_value.numpy()
        for node in other
        if node.op_type in ("Conv", "Gemm") and len(node.inputs) > 2
    ]
    assert {each.dtype.name for each in stored} == {"int32"}
    given = [sorted(bias.data.tolist()) for bias in biases if bias.data.any()]  # rows follow the order of images
    assert sorted(given) == sorted(sorted(each.tolist()) for each in stored)


def test_an_opset_without_sixteen_bits_is_refused_by_name():
    hub = quantised_net(net_of("Relu"), "int16")
    with pytest.raises(OperatorUnsupported, match="opset 20") as refusal:
        export_onnx(hub, max_opset=20, io="float", io_layout="source")
    assert "QuantizeLinear" in str(refusal.value)


@pytest.mark.parametrize("export", [partial(export_onnx, max_opset=21), export_tflite])
def test_inputs_of_eight_bits_are_refused_where_they_are_of_sixteen(export):
    hub = quantised_net(net_of("Relu"), "int16")
    with pytest.raises(RecipeUnfit, match="'x' is quantised to int16"):
        export(hub, io="int8", io_layout="source")


def sixteen_bit_source(zero_point: int = 0) -> onnx.ModelProto:
    """A quantised source of int16, as other tools write it."""
    source = onnx.load_from_string(
        export_onnx(quantised_net(net_of("Clip"), "int16"), max_opset=21, io="float", io_layout="source")
    )
    for tensor in source.graph.initializer:
        if tensor.data_type == onnx.TensorProto.INT16 and not tensor.dims:
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.array(zero_point, np.int16), tensor.name))
    return source


@pytest.mark.parametrize("format_", ["onnx", "tflite"])
def test_a_quantised_source_of_sixteen_bits_keeps_its_integers_in_both_formats(format_):
    source = sixteen_bit_source()
    compiled = edgefleet_compiler.compile(source, "x86-64", format=format_)
    case = {"x": np.random.default_rng(0).normal(0, 1, (1, 3, 6, 6)).astype(np.float32)}
    theirs = open_runner(source.SerializeToString(), "onnx", execution="plain").run([case["x"]])[0]
    (ours,) = compiled.run(case).values()
    assert np.abs(ours - theirs).max() <= 4 * np.abs(theirs).max() / 32767


@pytest.mark.parametrize("format_", ["onnx", "tflite"])
def test_integers_at_the_border_of_a_sixteen_bit_source_are_refused(format_):
    with pytest.raises(RecipeUnfit, match="int16, although --io int8 was asked for"):
        edgefleet_compiler.compile(sixteen_bit_source(), "x86-64", format=format_, io="int8")


def bordered_source(dtype: type) -> onnx.ModelProto:
    """A Relu between 16-bit integers that the graph takes and gives."""
    zero = np.iinfo(dtype).min + (1 << 15)
    constants = [
        onnx.numpy_helper.from_array(value, name) for value, name in ((np.float32(1e-3), "s"), (dtype(zero), "z"))
    ]
    nodes = [
        onnx.helper.make_node("DequantizeLinear", ["x", "s", "z"], ["real"]),
        onnx.helper.make_node("Relu", ["real"], ["clipped"], name="relu"),
        onnx.helper.make_node("QuantizeLinear", ["clipped", "s", "z"], ["y"]),
    ]
    element = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    ends = [onnx.helper.make_tensor_value_info(name, element, (1, 8)) for name in ("x", "y")]
    graph = onnx.helper.make_graph(nodes, "bordered", ends[:1], ends[1:], constants)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)], ir_version=10)


@pytest.mark.parametrize("dtype", [np.int16, np.uint16])
@pytest.mark.parametrize("format_", ["onnx", "tflite"])
def test_a_source_that_takes_and_gives_sixteen_bits_leaves_with_reals_at_its_border(format_, dtype):
    compiled = edgefleet_compiler.compile(bordered_source(dtype), "x86-64", format=format_)
    case = np.linspace(-4, 4, 8, dtype=np.float32)[None]
    np.testing.assert_allclose(compiled.run({"x": case})["y"], np.maximum(case, 0), atol=6e-4)


def test_sixteen_bits_with_a_zero_point_have_no_tflite_kernel_and_run_as_onnx():
    source = sixteen_bit_source(zero_point=7)
    with pytest.raises(OperatorUnsupported, match="zero point other than 0"):
        edgefleet_compiler.compile(source, "x86-64", format="tflite")
    edgefleet_compiler.compile(source, "x86-64", format="onnx")


def test_what_is_not_known_of_the_micro_kernels_arena_is_said():
    _, graph = export_tflite(quantised_net(net_of("Add"), "int16"), io="float", io_layout="source")
    assert plan_arena(graph, Build("reference")).unmodelled == ("CONV_2D",)
    _, graph = export_tflite(quantised_net(net_of("Add"), "int8"), io="float", io_layout="source")
    assert plan_arena(graph, Build("reference")).unmodelled == ()


@pytest.mark.parametrize("target", ["x86-64", "stm32h743"])
def test_inputs_and_outputs_stay_float_whatever_the_target(target):
    options = CompileOptions(Path("m.onnx"), (target,), Path("out"), recipe="int16x8", calibration=Path("cases.npz"))
    (rung,) = rungs_for(options, load_profile(target))
    assert (rung.recipe.scheme, rung.recipe.io) == ("int16x8", "float")


def test_a_layer_is_not_called_drowned_because_its_input_is_in_sixteen_bits():
    graph = OnnxGraph()
    pooled = graph.node("MaxPool", graph.input("x", 1, 3, 6, 6), kernel_shape=[2, 2])
    model = graph.model(graph.conv(pooled, (3, 8), (3, 3)))
    simplify(model)
    samples = [{"x": case[0]} for case in cases_of(model)]
    layers = inspect_layers(model, quantised_net(model, "int16"), samples)
    assert layers[0].sqnr_db > layers[1].sqnr_db + 30
    assert {layer.cause for layer in layers} == {None}


def test_a_node_without_integers_is_never_among_those_of_sixteen_bits():
    model = net_of("HardSwish")
    (node,) = (node for node in model.graph if node.op_type == "HardSwish")
    assert is_quantisable(node)
    hub = quantised_net(model, "int16")
    (kept,) = (node for node in hub.graph if node.op_type == "HardSwish")
    assert [value.producer().op_type for value in kept.inputs] == ["DequantizeLinear"]

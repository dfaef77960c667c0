"""Random convolutional networks give the same in onnxruntime and, exported, in LiteRT."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgefleet_compiler.checks.runtimes import Execution, open_runner
from edgefleet_compiler.exporters.onnx import export_onnx
from edgefleet_compiler.exporters.tflite import export_tflite
from edgefleet_compiler.hub.operators import SIXTEEN_BITS
from edgefleet_compiler.hub.session import Session
from edgefleet_compiler.importers.onnx import import_onnx
from edgefleet_compiler.lower import lower
from edgefleet_compiler.lower.constants import constant_of
from edgefleet_compiler.lower.quantisation import parameters
from edgefleet_compiler.passes import simplify
from edgefleet_compiler.passes.fold_constants import fold_constants
from edgefleet_compiler.quantise.calibrate import calibrate
from edgefleet_compiler.quantise.integers import quantise
from edgefleet_compiler.quantise.operators import is_quantisable
from edgefleet_compiler.quantise.parameters import IntegerType
from edgefleet_compiler.quantise.settings import Compute, LayerSettings, Settings
from edgefleet_compiler.tflite.reader import read_tflite
from support.cnn_models import cnns
from support.exports import kinds, random_inputs, run_hub, run_tflite

pytestmark = pytest.mark.property

EXECUTIONS: tuple[Execution, ...] = ("plain", "deployed")

steady = settings(derandomize=True, deadline=None, suppress_health_check=list(HealthCheck))


def hub_of(source: onnx.ModelProto) -> ir.Model:
    model = import_onnx(source.SerializeToString(), folder=Path(), input_shapes={})
    simplify(model)
    return model


def run_source(source: onnx.ModelProto, inputs):
    session = Session(source.SerializeToString(), optimise=False)
    return list(session.run(dict(zip(session.inputs, inputs, strict=True))).values())


def quantised(model: ir.Model, cases, activations: IntegerType = "int8", **asked: Compute) -> ir.Model:
    """The hub with pairs; ``asked`` tells what single layers compute with."""
    ranges = calibrate(model, [{model.graph.inputs[0].name: case[0]} for case in cases], lambda _: None)
    layers = {name: LayerSettings(compute=compute) for name, compute in asked.items()}
    return quantise(model, ranges, Settings(layers=layers), activations)


@settings(steady, max_examples=300)
@given(cnns())
def test_a_float_export_computes_what_onnxruntime_computes_of_the_source(source):
    model = hub_of(source)
    inputs = random_inputs(model)
    (expected,) = run_source(source, inputs)
    data, lowered = export_tflite(model, io="float", io_layout="source")
    assert kinds(lowered).count("TRANSPOSE") <= 1 + (expected.ndim == 4)
    assert "TRANSPOSE" not in kinds(lower(model, io="float", io_layout="native"))
    scale = max(float(np.abs(expected).max()), 1.0)  # activations are of the order of 1: less is what cancelled
    for delegates in (True, False):
        (ours,) = run_tflite(data, inputs, delegates=delegates)
        np.testing.assert_allclose(ours / scale, expected / scale, rtol=0, atol=1e-5)


@settings(steady, max_examples=200)
@given(cnns())
def test_int8_exports_compute_the_same_but_for_rounding(source):
    """LiteRT's integers and onnxruntime's floats between two roundings part by one step at ties.

    One step per operator grows or shrinks by the gains of the layers behind it, as the roundings themselves do: so all
    errors together are less than a step and those that quantisation made, and none is more than a few steps.
    """
    model = hub_of(source)
    cases = [random_inputs(model, seed) for seed in range(4)]
    hub = quantised(model, cases)
    data, lowered = export_tflite(hub, io="float", io_layout="source")
    step = step_of_output(lowered)
    # Unoptimised, because integer kernels of onnxruntime saturate on processors without VNNI.
    other = open_runner(export_onnx(hub, max_opset=21, io="float", io_layout="source"), "onnx", execution="plain")
    expected = np.stack([other.run(case)[0] for case in cases])
    noise = expected - np.stack([run_hub(model, case)[0] for case in cases])
    for delegates in (True, False):
        error = expected - np.stack([run_tflite(data, case, delegates=delegates)[0] for case in cases])
        assert rms(error) <= step + rms(noise)
        assert np.abs(error).max() <= 12 * step


@settings(steady, max_examples=100)
@given(cnns())
def test_exports_of_sixteen_bits_compute_the_same_but_for_a_few_steps(source):
    model = hub_of(source)
    cases = [random_inputs(model, seed) for seed in range(4)]
    hub = quantised(model, cases, "int16")
    data, lowered = export_tflite(hub, io="float", io_layout="source")
    expected = np.stack([run_hub(hub, case)[0] for case in cases])
    noise = expected - np.stack([run_hub(model, case)[0] for case in cases])
    step = step_of_output(lowered)
    file = export_onnx(hub, max_opset=21, io="float", io_layout="source")
    runs = [open_runner(file, "onnx", execution=execution).run for execution in EXECUTIONS]
    runs += [open_runner(data, "tflite", execution=execution).run for execution in EXECUTIONS]
    for run in runs:
        error = expected - np.stack([run(case)[0] for case in cases])
        assert rms(error) <= 2 * step + 0.1 * rms(noise)
        assert np.abs(error).max() <= 40 * step  # steps of layers before may be larger than that of the output


@settings(steady, max_examples=150)
@given(cnns(), st.data())
def test_networks_whose_layers_compute_in_different_types_agree(source, data):
    """As above, with types drawn layer by layer; a value may be rounded to 8 bits on its way from one to the next."""
    model = hub_of(source)
    scheme = data.draw(st.sampled_from(("int8", "int16")))
    asked = {
        node.name: compute
        for node in model.graph
        if (compute := data.draw(st.sampled_from((None, *computes_of(node))))) is not None
    }
    cases = [random_inputs(model, seed) for seed in range(4)]
    hub = quantised(model, cases, scheme, **asked)
    file, _ = export_tflite(hub, io="float", io_layout="source")
    exact, expected = (np.stack([run_hub(each, case)[0] for case in cases]) for each in (model, hub))
    step = float(np.ptp(exact)) / 255
    other = export_onnx(hub, max_opset=21, io="float", io_layout="source")
    runs = [open_runner(other, "onnx", execution="plain").run]
    runs += [open_runner(file, "tflite", execution=execution).run for execution in EXECUTIONS]
    for run in runs:
        error = expected - np.stack([run(case)[0] for case in cases])
        assert rms(error) <= step + rms(expected - exact)
        assert np.abs(error).max() <= 12 * step


def computes_of(node: ir.Node) -> tuple[Compute, ...]:
    """What a node may be asked to compute with."""
    if not is_quantisable(node):
        return ("float",)
    return ("float", "int8", "int16") if node.op_type in SIXTEEN_BITS else ("float", "int8")


@settings(steady, max_examples=100)
@given(cnns())
def test_weights_biases_and_parameters_of_int8_exports_are_equal_tensor_by_tensor(source):
    model = hub_of(source)
    hub = quantised(model, [random_inputs(model)])
    graph = read_tflite(export_tflite(hub, io="float", io_layout="source")[0])
    written = onnx.load_from_string(export_onnx(hub, max_opset=21, io="float", io_layout="source"))
    other = ir.from_proto(onnx.shape_inference.infer_shapes(written))
    fold_constants(other)  # scales of biases are products of others
    layers = [node for node in other.graph if node.op_type in {"Conv", "Gemm"}]
    operators = [operator for operator in graph.operators if "CONV" in operator.kind or "FULLY" in operator.kind]
    for layer, operator in zip(layers, operators, strict=True):
        weight, bias = (constant_of(layer.inputs[index]) if index < len(layer.inputs) else None for index in (1, 2))
        given, stored, biases = (graph.tensors[name] for name in operator.inputs)
        activation = parameters(layer.inputs[0].producer())
        np.testing.assert_array_equal(given.quantisation.scale, activation.scale)
        assert given.quantisation.zero_point + 128 == activation.zero_point  # unsigned in ONNX
        if operator.kind == "FULLY_CONNECTED":  # whose columns follow the order of the flattened image
            np.testing.assert_array_equal(np.sort(stored.data), np.sort(weight.stored))
        else:
            axes = (1, 2, 3, 0) if operator.kind == "DEPTHWISE_CONV_2D" else (0, 2, 3, 1)
            np.testing.assert_array_equal(stored.data, weight.stored.transpose(axes))
        np.testing.assert_array_equal(stored.quantisation.scale, weight.quantisation.scale)
        assert not stored.quantisation.zero_point.any()
        if bias is not None:
            np.testing.assert_array_equal(biases.data, bias.stored)
            np.testing.assert_array_equal(biases.quantisation.scale, bias.quantisation.scale)


def step_of_output(lowered) -> float:
    """What one step of the output's integers stands for; next to nothing where it is computed in float."""
    producer = lowered.producer(lowered.outputs[0])
    quantisation = lowered.tensors[producer.inputs[0]].quantisation
    return 1e-4 if quantisation is None else float(quantisation.scale[0]) * (1 + 1e-5)


def rms(error) -> float:
    return float(np.sqrt(np.mean(np.square(error))))

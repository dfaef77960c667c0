"""Quantised networks stay close to their float originals, and their ONNX files compute what their hubs compute."""

from __future__ import annotations

from collections import Counter

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgefleet_compiler.exporters.onnx import export_onnx, stored_axes
from edgefleet_compiler.hub.graph import constant
from edgefleet_compiler.hub.session import Session
from edgefleet_compiler.passes import simplify
from edgefleet_compiler.quantise.calibrate import calibrate
from edgefleet_compiler.quantise.integers import quantise
from edgefleet_compiler.quantise.settings import Settings
from edgefleet_contract.errors import RecipeUnfit
from support.networks import networks

pytestmark = pytest.mark.property
steady = settings(deadline=None, suppress_health_check=list(HealthCheck))


def quantised(proto: onnx.ModelProto, *, per_channel: bool) -> tuple[ir.Model, ir.Model, list[np.ndarray]]:
    """The float hub, the quantised hub, and the images that calibrated it."""
    hub = ir.from_proto(proto)
    simplify(hub)
    images = list(np.random.default_rng(1).normal(size=(4, *hub.graph.inputs[0].shape.numpy())).astype(np.float32))
    ranges = calibrate(hub, [{"image": image} for image in images], lambda _: None)
    return (
        hub,
        quantise(hub, ranges, Settings(fully_connected="per-channel" if per_channel else "per-tensor")),
        images,
    )


def outputs(model: ir.Model | bytes, images: list[np.ndarray]) -> dict[str, np.ndarray]:
    session = Session(model, optimise=False)
    runs = [session.run({"image": image}) for image in images]
    return {name: np.stack([run[name] for run in runs]) for name in session.outputs}


@settings(steady, max_examples=40)
@given(proto=networks(), per_channel=st.booleans())
def test_quantised_networks_stay_close_to_float(proto: onnx.ModelProto, per_channel: bool) -> None:
    hub, model, images = quantised(proto, per_channel=per_channel)
    assert [value.name for value in model.graph.outputs] == [value.name for value in hub.graph.outputs]
    exact = outputs(hub, images)
    for name, values in outputs(model, images).items():
        # Tanh and Sigmoid have steps of 1/128 and 1/256, however small what they give is.
        assert rms(values - exact[name]) <= max(0.1 * rms(exact[name]), 1 / 128)


@settings(steady, max_examples=40)
@given(proto=networks())
def test_every_convolution_computes_on_integers(proto: onnx.ModelProto) -> None:
    _, model, _ = quantised(proto, per_channel=True)
    for node in model.graph:
        if node.op_type in ("Conv", "Gemm"):
            assert [value.producer().op_type for value in node.inputs if value] == ["DequantizeLinear"] * len(
                node.inputs
            )
            followers = {use.node.op_type for use in node.outputs[0].uses()}
            assert followers <= {"QuantizeLinear", "Relu", "Clip"}


@settings(steady, max_examples=40)
@given(proto=networks(), opset=st.sampled_from([13, 17, 21]))
def test_the_file_computes_what_the_hub_computes(proto: onnx.ModelProto, opset: int) -> None:
    hub, model, images = quantised(proto, per_channel=True)
    data = export_onnx(model, max_opset=opset, io="float", io_layout="source")
    onnx.checker.check_model(onnx.load_from_string(data), full_check=True)
    assert_same_but_for_ties(outputs(data, images), outputs(model, images), outputs(hub, images), model)


@settings(steady, max_examples=40)
@given(proto=networks())
def test_onnxruntime_leaves_no_convolution_in_float(
    proto: onnx.ModelProto, tmp_path_factory: pytest.TempPathFactory
) -> None:
    _, model, _ = quantised(proto, per_channel=True)
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path_factory.mktemp("optimised") / "model.onnx")
    options.log_severity_level = 3
    data = export_onnx(model, max_opset=21, io="float", io_layout="source")
    onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    kinds = Counter(node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node)
    assert not kinds.keys() & {"Conv", "FusedConv", "Gemm", "FusedGemm", "MatMul", "NhwcFusedConv"}


@settings(steady, max_examples=40)
@given(proto=networks())
def test_integers_and_native_order_at_the_border_compute_the_same(proto: onnx.ModelProto) -> None:
    hub, model, images = quantised(proto, per_channel=True)
    pairs = {node.name: node for node in model.graph}
    try:
        data = export_onnx(model, max_opset=21, io="int8", io_layout="native")
    except RecipeUnfit:
        assert any(value.producer().op_type != "DequantizeLinear" for value in model.graph.outputs)
        return
    axes = stored_axes(model)
    stored = [stored_by(image, pairs["image/quantise"]).transpose(axes.get("image", (0, 1, 2, 3))) for image in images]
    seen = {}
    for name, values in outputs(data, stored).items():
        order = axes.get(name, tuple(range(values.ndim - 1)))
        seen[name] = dequantise(values, pairs[f"{name}/dequantise"]).transpose(0, *(1 + np.argsort(order)))
    assert_same_but_for_ties(seen, outputs(model, images), outputs(hub, images), model)


def assert_same_but_for_ties(
    seen: dict[str, np.ndarray], expected: dict[str, np.ndarray], exact: dict[str, np.ndarray], model: ir.Model
) -> None:
    """Kernels add up in different orders, and an average of integers is often half-way between two.

    Such roundings are rare beside those that quantisation makes, so that they cannot make up as much of an error.
    """
    for value in model.graph.outputs:
        producer = value.producer()
        step = float(constant(producer.inputs[1])) if producer.op_type == "DequantizeLinear" else 1e-5
        difference = seen[value.name] - expected[value.name]
        assert rms(difference) <= step + 0.5 * rms(expected[value.name] - exact[value.name])


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def stored_by(real: np.ndarray, node: ir.Node) -> np.ndarray:
    scale, zero_point = (constant(value) for value in node.inputs[1:])
    return np.clip(np.rint(real / scale) + int(zero_point) + 128, 0, 255).astype(np.uint8)


def dequantise(stored: np.ndarray, node: ir.Node) -> np.ndarray:
    scale, zero_point = (constant(value) for value in node.inputs[1:])
    return ((stored.astype(np.int32) - (int(zero_point) + 128)).astype(np.float32) * scale).astype(np.float32)

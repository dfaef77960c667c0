"""Quantised ONNX sources: their own scales into ONNX and TFLite, whatever form they came in."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgefleet_compiler.checks.runtimes import open_runner
from edgefleet_compiler.hub.graph import constant
from edgefleet_compiler.options import CompileOptions
from edgefleet_compiler.pipeline import Outcome, compile_model
from edgefleet_compiler.progress import Silent
from edgefleet_compiler.source import load_source
from edgefleet_compiler.tflite.reader import read_tflite
from edgefleet_contract.errors import ModelMalformed, OperatorUnsupported
from support.model_files import images, write_calibration, write_classifier, write_validation
from support.onnx_peers import Form, quantised, quantised_dynamically

FORMS: tuple[Form, ...] = ("QDQ", "QOperator")


def peers_source(folder: Path, form: Form = "QDQ", types: str = "U8S8", *, per_channel: bool = True) -> Path:
    model = write_classifier(folder / "float.onnx")
    return quantised(model, folder / "q.onnx", images(40), form=form, types=types, per_channel=per_channel)


def compiled(source: Path, *targets: str, **options: Any) -> dict[str, Outcome]:
    folder = source.parent
    validation = write_validation(folder / "v.npz", source)
    request = CompileOptions(source, targets, folder / "out", validation=validation, **options)
    return {outcome.report.target: outcome for outcome in compile_model(request, Silent())}


def artifact(outcome: Outcome) -> bytes:
    assert outcome.report.artifact is not None
    return Path(outcome.report.artifact.path).read_bytes()


@pytest.mark.parametrize(("form", "types", "per_channel"), [*product(FORMS, ("S8S8", "U8S8"), (False, True))])
def test_every_form_of_the_peer_compiles_to_both_formats_as_it_is(
    form: Form, types: str, per_channel: bool, tmp_path: Path
) -> None:
    outcomes = compiled(peers_source(tmp_path, form, types, per_channel=per_channel), "x86-64", "rpi4")
    for outcome in outcomes.values():
        assert not outcome.refusals
        assert outcome.report.recipe == "source"
        parity = {entry.oracle: entry for entry in outcome.report.parity}
        assert parity["source"].argmax_agreement == 1.0
        assert parity["source"].max_abs < 0.05
        assert outcome.report.accuracy is not None
        assert outcome.report.accuracy.drop == pytest.approx(0, abs=0.03)
    kinds = {operator.kind for operator in read_tflite(artifact(outcomes["rpi4"])).operators}
    assert {"CONV_2D", "MAX_POOL_2D", "FULLY_CONNECTED"} <= kinds
    assert "TRANSPOSE" not in kinds


@pytest.mark.parametrize("form", FORMS)
def test_artifacts_carry_the_scales_of_the_source(form: Form, tmp_path: Path) -> None:
    source = peers_source(tmp_path, form)
    outcomes = compiled(source, "x86-64", "rpi4")
    given = {
        float(numpy_helper.to_array(tensor))
        for tensor in onnx.load(source).graph.initializer
        if tensor.data_type == TensorProto.FLOAT and not tensor.dims
    }
    graph = read_tflite(artifact(outcomes["rpi4"]))
    activations = [tensor.quantisation for tensor in graph.tensors.values() if not tensor.is_constant]
    assert {float(each.scale[0]) for each in activations if each is not None} <= given
    nodes = onnx.load_model_from_string(artifact(outcomes["x86-64"])).graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in nodes.initializer}
    assert {float(constants[node.input[1]]) for node in nodes.node if node.op_type == "QuantizeLinear"} <= given


def test_weights_with_a_zero_point_are_refused_by_name_for_tflite_and_kept_for_onnx(tmp_path: Path) -> None:
    outcomes = compiled(peers_source(tmp_path, "QDQ", "U8U8", per_channel=False), "x86-64", "rpi4")
    assert not outcomes["x86-64"].refusals
    assert outcomes["x86-64"].report.parity[0].argmax_agreement == 1.0
    (refusal,) = outcomes["rpi4"].refusals
    assert isinstance(refusal, OperatorUnsupported)
    assert "(Conv): its weights have a zero point" in refusal.seen


def test_our_own_artifact_is_a_source_like_any_other(tmp_path: Path) -> None:
    model = write_classifier(tmp_path / "float.onnx")
    calibration = write_calibration(tmp_path / "c.npz")
    request = CompileOptions(
        model, ("x86-64",), tmp_path / "first", calibration=calibration, recipe="int8", io="int8", max_drop=1.0
    )
    (first,) = compile_model(request, Silent())
    again = tmp_path / "again.onnx"
    again.write_bytes(artifact(first))
    assert open_runner(artifact(first), "onnx").inputs[0].dtype == np.uint8
    outcomes = compiled(again, "x86-64", "nrf52840", "rpi4")
    assert outcomes["rpi4"].report.parity[0].argmax_agreement == 1.0
    assert outcomes["x86-64"].report.parity[0].max_abs < 0.01
    assert load_source(again, input_shapes={}).inputs[0].dtype == np.float32


def test_activations_quantised_at_run_time_are_refused_by_name(tmp_path: Path) -> None:
    model = write_classifier(tmp_path / "float.onnx")
    source = quantised_dynamically(model, tmp_path / "q.onnx")
    with pytest.raises(OperatorUnsupported, match=r"\(DynamicQuantizeLinear\): its scales are found at run time"):
        load_source(source, input_shapes={})


def written(nodes: list[onnx.NodeProto], tensors: dict[str, Any], folder: Path, opset: int = 21) -> Path:
    """A model from x (1, 4) to y."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in tensors.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)
    path = folder / "m.onnx"
    path.write_bytes(model.SerializeToString())
    return path


WEIGHTS = np.arange(-4, 4, dtype=np.int8).reshape(4, 2)


def test_weights_alone_in_integers_make_no_quantised_model(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "s"], ["real"], "widen"),
        helper.make_node("MatMul", ["x", "real"], ["y"], "multiply"),
    ]
    source = load_source(written(nodes, {"w": WEIGHTS, "s": np.float32(0.5)}, tmp_path), input_shapes={})
    assert source.quantised is None
    (gemm,) = source.hub.graph
    np.testing.assert_array_equal(constant(gemm.inputs[1]), WEIGHTS.T * np.float32(0.5))


def pair(value: str, name: str, **attributes: Any) -> list[onnx.NodeProto]:
    return [
        helper.make_node("QuantizeLinear", [value, "s", "z"], [f"{name}/q"], f"{name}_quantise", **attributes),
        helper.make_node("DequantizeLinear", [f"{name}/q", "s", "z"], [name], f"{name}_dequantise", **attributes),
    ]


@pytest.mark.parametrize("scale", [0.0, -0.5, np.inf, np.nan])
def test_scales_that_are_not_positive_are_malformed(scale: float, tmp_path: Path) -> None:
    path = written(pair("x", "y"), {"s": np.float32(scale), "z": np.int8(0)}, tmp_path)
    with pytest.raises(ModelMalformed, match=r"has the scale|holds (NaN|infinity)"):
        load_source(path, input_shapes={})


def test_a_scale_per_channel_of_an_activation_is_refused_by_name(tmp_path: Path) -> None:
    tensors = {"s": np.array([0.1, 0.2, 0.3, 0.4], np.float32), "z": np.zeros(4, np.int8)}
    with pytest.raises(OperatorUnsupported, match=r"'y_quantise' .*a scale per channel"):
        load_source(written(pair("x", "y", axis=1), tensors, tmp_path), input_shapes={})


def test_scales_that_are_computed_are_refused_by_name(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("ReduceMax", ["x"], ["s"], "largest", keepdims=0),
        helper.make_node("QuantizeLinear", ["x", "s"], ["q"], "quantise"),
        helper.make_node("DequantizeLinear", ["q", "s"], ["y"], "dequantise"),
    ]
    with pytest.raises(OperatorUnsupported):
        load_source(written(nodes, {}, tmp_path), input_shapes={})


def test_a_node_that_lacks_its_scales_is_malformed(tmp_path: Path) -> None:
    node = helper.make_node("QLinearAdd", ["x", "s", "z"], ["y"], "add", domain="com.microsoft")
    path = written([node], {"s": np.float32(0.5), "z": np.int8(0)}, tmp_path)
    model = onnx.load(path)
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    onnx.save(model, path)
    with pytest.raises(ModelMalformed, match=r"'add' .QLinearAdd. has 3 inputs"):
        load_source(path, input_shapes={})


def test_16_bit_activations_go_into_onnx_and_are_refused_by_name_for_tflite(tmp_path: Path) -> None:
    nodes = [
        *pair("x", "narrow"),
        helper.make_node("DequantizeLinear", ["w", "s"], ["real"], "widen"),
        helper.make_node("MatMul", ["narrow", "real"], ["sums"], "multiply"),
        *pair("sums", "y"),
    ]
    tensors = {"w": WEIGHTS, "s": np.float32(0.5), "z": np.uint16(40000)}
    path = written(nodes, tensors, tmp_path)
    source = load_source(path, input_shapes={})
    assert source.quantised is not None
    assert source.quantised.activations == ("int16",)
    outcomes = {
        outcome.report.target: outcome
        for outcome in compile_model(CompileOptions(path, ("x86-64", "rpi4"), tmp_path / "out"), Silent())
    }
    assert not outcomes["x86-64"].refusals
    assert outcomes["x86-64"].report.parity[0].max_abs < 1e-5
    assert "int16" in outcomes["rpi4"].refusals[0].seen.lower()

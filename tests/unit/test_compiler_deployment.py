"""What runtimes make of artifacts: layers that fall back to float, and operators that XNNPACK leaves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

import edgefleet_compiler
from edgefleet_compiler.benchmark.layer_times import LayerTime, told_losses
from edgefleet_compiler.checks.deployment import Deployment, inspect_onnx, inspect_tflite
from edgefleet_compiler.exporters.onnx import export_onnx
from edgefleet_compiler.hub.session import serialise
from edgefleet_compiler.passes import simplify
from edgefleet_compiler.quantise.calibrate import calibrate
from edgefleet_compiler.quantise.integers import quantise
from edgefleet_compiler.quantise.settings import Settings
from edgefleet_compiler.tflite.reader import read_tflite
from support.onnx_graphs import OnnxGraph

DIGITS = Path(__file__).parents[2] / "examples" / "digits"
SHARED = Path(__file__).resolve().parents[2].parent / "shared"


@pytest.fixture(scope="module")
def residual() -> ir.Model:
    """A quantised hub with a branch around two convolutions, and a fully connected layer."""
    graph = OnnxGraph()
    image = graph.input("x", 1, 3, 8, 8)
    first = graph.node("Relu", graph.conv(image, (3, 8), (3, 3), pads=[1, 1, 1, 1]))
    second = graph.node("Relu", graph.conv(first, (8, 8), (3, 3), pads=[1, 1, 1, 1]))
    third = graph.conv(second, (8, 8), (3, 3), pads=[1, 1, 1, 1])
    joined = graph.node("Relu", graph.node("Add", third, first))
    model = graph.model(graph.gemm(graph.node("Flatten", joined), 512, 4))
    simplify(model)
    case = {"x": np.random.default_rng(0).normal(size=(1, 3, 8, 8)).astype(np.float32)}
    return quantise(model, calibrate(model, [case], lambda _: None), Settings())


def test_onnxruntime_computes_all_layers_of_our_artifact_in_integers(residual: ir.Model) -> None:
    data = export_onnx(residual, max_opset=21, io="float", io_layout="source")
    deployment = inspect_onnx(data, residual, "onnxruntime")
    assert deployment.float_layers == []
    assert deployment.warnings() == []
    assert deployment.operators <= 10  # five that compute; borders of types and axes, and a reshape


def test_layers_that_onnxruntime_computes_in_float_are_named(residual: ir.Model) -> None:
    """Signed activations with branches, as onnxruntime's own quantiser writes them by default."""
    deployment = inspect_onnx(serialise(residual), residual, "onnxruntime")
    names = {node.op_type: [] for node in residual.graph}
    for node in residual.graph:
        names[node.op_type].append(node.name)
    assert set(deployment.float_layers) & set(names["Conv"])
    assert set(deployment.float_layers) <= {*names["Conv"], *names["Add"], *names["Gemm"]}
    (warning,) = deployment.warnings()
    assert deployment.float_layers[0] in warning
    assert "in float, which is slower" in warning


def test_operators_that_xnnpack_leaves_are_named_by_their_layers() -> None:
    compiled = edgefleet_compiler.compile(
        DIGITS / "digits.onnx", "rpi4", recipe="int8", calibration=DIGITS / "calibration.npz"
    )
    deployment = compiled.report.deployment
    assert deployment is not None
    assert deployment.runtime == "litert"
    assert deployment.delegated == deployment.operators - 1
    assert deployment.partitions == 2
    assert deployment.left == ["functional_1/probabilities_1/Softmax (SOFTMAX)"]
    assert f"XNNPACK takes {deployment.delegated}, in 2 pieces" in (compiled.folder / "report.html").read_text()


def test_an_artifact_for_tflite_micro_is_executed_as_it_stands() -> None:
    compiled = edgefleet_compiler.compile(
        DIGITS / "digits.onnx", "nrf52840", recipe="int8", calibration=DIGITS / "calibration.npz"
    )
    assert compiled.report.deployment is None


def test_warnings_name_layers_with_weights_that_are_left_and_models_that_fall_apart() -> None:
    left = Deployment("litert", 9, [], delegated=8, partitions=2, left=["a (CONV_2D)"])
    assert left.warnings() == [
        "XNNPACK does not take these layers, which LiteRT runs by slower kernels: 'a (CONV_2D)'."
    ]
    apart = Deployment("litert", 15, [], delegated=5, partitions=5, left=[f"{name} (SVDF)" for name in "abcd"])
    (warning,) = apart.warnings()
    assert "5 of 15 operators, in 5 pieces" in warning
    assert "'c (SVDF)' and 1 more" in warning


def test_the_layers_that_lose_most_are_told_first_and_gains_are_not_told() -> None:
    times = {
        "gains": LayerTime(1.0, 9.0),
        "little;fused": LayerTime(5.0, 3.0),
        None: LayerTime(4.0, 0.0),
        "much": LayerTime(20.0, 10.0),
        "same": LayerTime(3.1, 3.0),
    }
    assert told_losses(times) == (
        "Most is lost in 'much' (20.0 µs against 10.0 µs), conversions between types or axis orders (4.0 µs against "
        "0.0 µs), 'little' (5.0 µs against 3.0 µs)."
    )
    assert told_losses({"gains": LayerTime(1.0, 9.0)}) == ""


@pytest.mark.shared
@pytest.mark.parametrize(
    ("model", "peer"),
    [("pretrainedResnet", "pretrainedResnet_quant"), ("vww_96_float", "vww_96_int8"), ("ad01_fp32", "ad01_int8")],
)
def test_xnnpack_leaves_no_more_of_our_artifacts_than_of_those_that_mlperf_tiny_publishes(
    model: str, peer: str
) -> None:
    theirs = (SHARED / "models" / f"{peer}.tflite").read_bytes()
    sources = [operator.source for operator in read_tflite(theirs).operators]
    other = inspect_tflite(theirs, sources, "litert")
    source = SHARED / "models" / f"{model}.tflite"
    graph = read_tflite(source.read_bytes())
    cases = np.random.default_rng(0).uniform(0, 1, (8, *graph.tensors[graph.inputs[0]].shape[1:])).astype(np.float32)
    options = {"recipe": "int8", "io": "int8", "calibration": cases}
    ours = edgefleet_compiler.compile_targets(source, ["rpi4"], **options)["rpi4"].report.deployment
    assert ours is not None
    assert ours.delegated >= other.delegated
    assert ours.partitions <= other.partitions
    mine, theirs_left = ({name.rpartition(" ")[2] for name in each.left} for each in (ours, other))
    assert mine <= theirs_left

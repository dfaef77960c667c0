"""The MLPerf Tiny models, quantised and exported both ways: what the two files say of real and of random inputs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from edgefleet_compiler.checks.parity import ParityMeter
from edgefleet_compiler.checks.runtimes import open_runner
from edgefleet_compiler.exporters.onnx import export_onnx
from edgefleet_compiler.exporters.tflite import export_tflite
from edgefleet_compiler.importers.tflite import import_tflite
from edgefleet_compiler.passes import simplify
from edgefleet_compiler.quantise.calibrate import calibrate
from edgefleet_compiler.quantise.integers import quantise
from edgefleet_compiler.quantise.settings import Settings

pytestmark = pytest.mark.shared

SHARED = Path(__file__).resolve().parents[3] / "shared"
# Bytes; the smallest files of other compilers, less their metadata, are no smaller.
LARGEST = {"pretrainedResnet": 86_100, "kws_ref_model_float32": 33_000, "vww_96_float": 252_800, "ad01_fp32": 293_100}


def hub_of(name: str):
    model = import_tflite((SHARED / "models" / f"{name}.tflite").read_bytes())
    simplify(model)
    return model


def calibration_of(name: str, shape: tuple[int, ...]):
    """Inputs as in the notes on measured peers: images for ic and vww, noise for the others."""
    random = np.random.default_rng(2)
    if name == "pretrainedResnet":
        return np.load(SHARED / "data/cifar10_calibration.npz")["x"][:, None].astype(np.float32)
    if name == "vww_96_float":
        images = np.load(SHARED / "data/cifar10_calibration.npz")["x"][:100] / np.float32(255)
        return images.repeat(3, axis=1).repeat(3, axis=2)[:, None]
    return random.normal(0, 1, (200, *shape)).astype(np.float32)


def quantised_hub(name: str, settings: Settings | None = None):
    model = hub_of(name)
    (source,) = model.graph.inputs
    inputs = calibration_of(name, source.shape.numpy())
    ranges = calibrate(model, ({source.name: case} for case in inputs), lambda _: None)
    return quantise(model, ranges, settings or Settings())


@pytest.fixture(scope="module")
def ic():
    return quantised_hub("pretrainedResnet")


@pytest.fixture(scope="module")
def validation():
    data = np.load(SHARED / "data/cifar10_validation.npz")
    return data["x"][:, None].astype(np.float32), data["y"]


def run_all(data: bytes, model_format: str, images) -> np.ndarray:
    runner = open_runner(data, model_format)
    return np.concatenate([runner.run([image])[0] for image in images])


def test_ic_in_onnxruntime_and_in_litert_agrees_on_the_validation_images(ic, validation):
    images, labels = validation
    tflite, _ = export_tflite(ic, io="float", io_layout="source")
    ours = run_all(tflite, "tflite", images)
    theirs = run_all(export_onnx(ic, max_opset=21, io="float", io_layout="source"), "onnx", images)
    meter = ParityMeter("hub")
    for expected, seen in zip(theirs, ours, strict=True):
        meter.add([expected], [seen])
    parity = meter.result()
    assert parity.argmax_agreement >= 0.98
    assert parity.sqnr_db >= 26
    source = run_all((SHARED / "models/pretrainedResnet.tflite").read_bytes(), "tflite", images)
    correct = [float((outputs.argmax(axis=1) == labels).mean()) for outputs in (source, ours)]
    assert correct[0] - correct[1] <= 0.01


@pytest.mark.parametrize("name", LARGEST)
def test_an_int8_file_is_small_and_no_convolution_falls_back_from_xnnpack(name):
    data, lowered = export_tflite(quantised_hub(name), io="int8", io_layout="source")
    assert len(data) <= LARGEST[name]
    assert "TRANSPOSE" not in {operator.kind for operator in lowered.operators}
    interpreter = Interpreter(model_content=data, num_threads=1)
    interpreter.allocate_tensors()
    operators = interpreter._get_ops_details()
    delegated = {index for operator in operators if operator["op_name"] == "DELEGATE" for index in operator["inputs"]}
    heavy = [operator for operator in operators if "CONV" in operator["op_name"] or "FULLY" in operator["op_name"]]
    assert heavy
    assert all(operator["inputs"][1] in delegated for operator in heavy)  # whose weights the delegate took


def test_one_scale_a_tensor_makes_a_fully_connected_network_smaller_still():
    hub = quantised_hub("ad01_fp32", Settings(fully_connected="per-tensor"))
    data, _ = export_tflite(hub, io="int8", io_layout="source")
    assert len(data) <= 273_600


@pytest.mark.parametrize("name", LARGEST)
@pytest.mark.parametrize("layout", ["source", "native"])
def test_a_float_model_comes_out_of_the_hub_as_it_went_in(name, layout):
    model = hub_of(name)
    data, lowered = export_tflite(model, io="float", io_layout=layout)
    assert "TRANSPOSE" not in {operator.kind for operator in lowered.operators}
    original = open_runner((SHARED / "models" / f"{name}.tflite").read_bytes(), "tflite")
    case = np.random.default_rng(0).normal(0, 1, original.inputs[0].shape).astype(np.float32)
    ours, theirs = (runner.run([case])[0] for runner in (open_runner(data, "tflite"), original))
    # The published kws file is hybrid: LiteRT quantises its activations on the way, the export does not.
    tolerance = 0.01 if name.startswith("kws") else 1e-5
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=tolerance * np.ptp(theirs))


def test_the_same_model_gives_the_same_file_twice(ic):
    first, second = (export_tflite(ic, io="float", io_layout="source")[0] for _ in range(2))
    assert first == second

"""ONNX files of the MLPerf Tiny models: bytes, and what onnxruntime makes of them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest

from edgefleet_compiler.exporters.onnx import export_onnx
from edgefleet_compiler.importers.tflite import import_tflite
from edgefleet_compiler.passes import simplify
from edgefleet_compiler.quantise.calibrate import calibrate
from edgefleet_compiler.quantise.integers import quantise
from edgefleet_compiler.quantise.settings import Settings

pytestmark = pytest.mark.shared
MODELS = Path(__file__).resolve().parents[3] / "shared" / "models"


def quantised(name, *, per_channel):
    model = import_tflite((MODELS / f"{name}.tflite").read_bytes())
    simplify(model)
    random = np.random.default_rng(0)
    (source,) = model.graph.inputs
    shape = source.shape.numpy()
    cases = ({source.name: random.normal(size=shape).astype(np.float32)} for _ in range(3))
    return quantise(
        model,
        calibrate(model, cases, lambda _: None),
        Settings(fully_connected="per-channel" if per_channel else "per-tensor"),
    )


# Smaller than any other writer made of the same constants, by the scales of biases that products stand for.
@pytest.mark.parametrize(
    ("name", "per_channel", "most"),
    [
        ("pretrainedResnet", True, 84_000),
        ("kws_ref_model_float32", True, 30_200),
        ("vww_96_float", True, 238_600),
        ("ad01_fp32", True, 281_400),
        ("ad01_fp32", False, 273_600),
    ],
)
def test_files_are_small_and_run_on_integers_alone(name, per_channel, most, tmp_path):
    data = export_onnx(quantised(name, per_channel=per_channel), max_opset=21, io="int8", io_layout="source")
    assert len(data) <= most
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    found = Counter(node.op_type for node in onnx.load(options.optimized_model_filepath).graph.node)
    integer = {"QLinearConv", "QGemm", "QLinearAdd", "QLinearGlobalAveragePool", "QLinearSoftmax"}
    assert found.keys() <= integer | {"Reshape", "Transpose"}

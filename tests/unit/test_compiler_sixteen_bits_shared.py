"""The MLPerf Tiny models with activations of 16 bits: all that they lose is what weights of 8 bits lose."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest

from edgefleet_compiler.checks.runtimes import open_runner
from edgefleet_compiler.checks.signal_to_noise import SignalToNoise
from edgefleet_compiler.exporters.onnx import export_onnx
from edgefleet_compiler.exporters.tflite import export_tflite
from edgefleet_compiler.hub.pairs import without_rounding
from edgefleet_compiler.hub.session import Session
from edgefleet_compiler.importers.tflite import import_tflite
from edgefleet_compiler.passes import simplify
from edgefleet_compiler.quantise.calibrate import calibrate
from edgefleet_compiler.quantise.integers import quantise
from edgefleet_compiler.quantise.settings import Settings

pytestmark = pytest.mark.shared

SHARED = Path(__file__).resolve().parents[3] / "shared"
CASES = 40
# SQNR of the outputs, their mean over the cases removed, in dB.
LEAST_DB = {"pretrainedResnet": 24.0, "kws_ref_model_float32": 21.0, "vww_96_float": 16.0, "ad01_fp32": 14.0}
RANGES = {"kws_ref_model_float32": (-123.4, 25.7), "ad01_fp32": (-84.9, 14.9)}  # of MLPerf's int8 models


@cache
def hubs(name: str) -> tuple[ir.Model, ir.Model, np.ndarray]:
    """The float hub, the one with pairs, and the cases, which both were made for."""
    model = import_tflite((SHARED / "models" / f"{name}.tflite").read_bytes())
    simplify(model)
    (source,) = model.graph.inputs
    cases = cases_of(name, source.shape.numpy())
    ranges = calibrate(model, ({source.name: case} for case in cases), lambda _: None)
    return model, quantise(model, ranges, Settings(), "int16"), cases


def cases_of(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Images for ic, thrice as large for vww, noise for the others."""
    if name in RANGES:
        low, high = RANGES[name]
        drawn = np.random.default_rng(7).normal(size=(CASES, *shape))
        return np.clip(drawn * (high - low) / 6 + (high + low) / 2, low, high).astype(np.float32)
    images = np.load(SHARED / "data/cifar10_calibration.npz")["x"][:CASES, None].astype(np.float32)
    return images if name == "pretrainedResnet" else images.repeat(3, axis=2).repeat(3, axis=3) / 255


def run_hub(model: ir.Model, cases: np.ndarray) -> np.ndarray:
    session = Session(model, optimise=False)
    return np.stack([next(iter(session.run({model.graph.inputs[0].name: case}).values())) for case in cases])


def decibels(expected: np.ndarray, seen: np.ndarray) -> float:
    meter = SignalToNoise(expected[0].size)
    for pair in zip(expected, seen, strict=True):
        meter.add(*pair)
    return meter.decibels() or np.inf  # without any noise there is no ratio


@pytest.mark.parametrize("model_format", ["tflite", "onnx"])
@pytest.mark.parametrize("name", LEAST_DB)
def test_only_the_weights_lose_anything(name, model_format):
    model, hub, cases = hubs(name)
    if model_format == "tflite":
        data, _ = export_tflite(hub, io="float", io_layout="source")
    else:
        data = export_onnx(hub, max_opset=21, io="float", io_layout="source")
    runner = open_runner(data, model_format)
    seen = np.stack([runner.run([case])[0] for case in cases])
    exact = run_hub(model, cases)
    ceiling = decibels(exact, run_hub(without_rounding(hub), cases))
    assert decibels(exact, seen) >= max(LEAST_DB[name], ceiling - 0.5)
    assert decibels(run_hub(hub, cases), seen) >= 40

"""Ranges chosen for the MLPerf Tiny models: at least the SQNR of the best peer (onnxruntime with percentiles)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgefleet_compiler.checks.signal_to_noise import SignalToNoise
from edgefleet_compiler.hub.session import Session
from edgefleet_compiler.quantise.calibration.observe import observe
from edgefleet_compiler.quantise.search.candidates import Candidates
from edgefleet_compiler.quantise.search.ranges import QUICK, THOROUGH, choose_ranges
from edgefleet_compiler.quantise.search.reference import spread
from edgefleet_compiler.quantise.settings import Settings
from edgefleet_compiler.source import load_source

SHARED = Path(__file__).resolve().parents[3] / "shared"

pytestmark = [pytest.mark.shared, pytest.mark.integration]


def images(kind, count, *, upscaled):
    """CIFAR images as the model takes them: pixels, or scaled up three times and divided by 255."""
    pixels = np.load(SHARED / "data" / f"cifar10_{kind}.npz")["x"][:count].astype(np.float32)
    return pixels.repeat(3, axis=1).repeat(3, axis=2) / 255 if upscaled else pixels


@pytest.mark.parametrize(
    ("file", "effort", "calibration", "validation", "least"),
    [
        ("pretrainedResnet.tflite", QUICK, 500, 2000, 21.8),
        ("pretrainedResnet.tflite", THOROUGH, 500, 2000, 22.7),
        ("vww_96_float.tflite", QUICK, 200, 500, 15.8),
    ],
    ids=["ic quick", "ic thorough", "vww quick"],
)
def test_chosen_ranges_reach_the_best_peer(file, effort, calibration, validation, least):
    hub = load_source(SHARED / "models" / file, input_shapes={}).hub
    (name,) = (value.name for value in hub.graph.inputs)
    upscaled = file.startswith("vww")
    cases = [{name: image[None]} for image in images("calibration", calibration, upscaled=upscaled)]
    seen = observe(hub, cases, lambda _: None, count=len(cases))
    words = choose_ranges(hub, seen, spread(cases, len(cases), effort.cases), Settings(), effort)
    exact = Session(hub)
    integers = Session(Candidates(hub, seen, Settings(), "int8").quantised(words))
    (output,) = exact.outputs
    ratio = None
    for image in images("validation", validation, upscaled=upscaled):
        expected, given = (session.run({name: image[None]})[output] for session in (exact, integers))
        ratio = ratio or SignalToNoise(expected.size)
        ratio.add(expected, given)
    assert ratio.decibels() >= least

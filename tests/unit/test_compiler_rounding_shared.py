"""Rounding on MLPerf Tiny's image classifier: weights of 4 bits between activations of 8."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgefleet_compiler.hub.session import Session
from edgefleet_compiler.quantise.calibrate import calibrate
from edgefleet_compiler.quantise.integers import quantise
from edgefleet_compiler.quantise.operators import WEIGHTED
from edgefleet_compiler.quantise.rounding.rounded import rounded
from edgefleet_compiler.quantise.settings import LayerSettings, Settings
from edgefleet_compiler.source import load_source
from support.tflite_graphs import SHARED_MODELS

pytestmark = pytest.mark.shared

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"


def cases(name, count):
    with np.load(DATA / f"{name}.npz") as file:
        return [{"input_1": x[np.newaxis].astype(np.float32)} for x in file["x"][:count]], file["y"][:count]


@pytest.fixture(scope="module")
def models():
    """The float hub and the one with 4-bit weights, of 8 bits in the first and last layer; top-1 of the float one."""
    hub = load_source(SHARED_MODELS / "pretrainedResnet.tflite", input_shapes={}).hub
    layers = [node.name for node in hub.graph if node.op_type in WEIGHTED]
    kept = {name: LayerSettings(weights="int8") for name in (layers[0], layers[-1])}
    samples, _ = cases("cifar10_calibration", 500)
    ranges = calibrate(hub, samples, lambda _: None)
    return hub, quantise(hub, ranges, Settings(weights="int4", layers=kept)), samples, top_1(hub)


def top_1(model):
    images, labels = cases("cifar10_validation", 2500)
    session = Session(model)
    (output,) = session.outputs
    answers = [int(session.run(image)[output].argmax()) for image in images]
    return float(np.mean(np.array(answers) == labels))


def test_four_bit_weights_rounded_to_nearest_cost_ten_points(models):
    _, plain, _, before = models
    assert before - top_1(plain) > 0.1


@pytest.mark.parametrize(("method", "count"), [("second-order", 256), ("adaptive", 64)])
def test_four_bit_weights_rounded_well_cost_at_most_one_point(models, method, count):
    hub, plain, samples, before = models
    assert before - top_1(rounded(hub, plain, samples[:count], method)) <= 0.01

"""Diagnosis of real models: spoiled in known ways it names the cause, and left alone it says nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgefleet_compiler.diagnose.find import Patient, diagnose
from edgefleet_compiler.hub.session import Session
from edgefleet_compiler.passes import simplify
from edgefleet_compiler.quantise.calibrate import Range
from edgefleet_compiler.quantise.calibration.observe import observe
from edgefleet_compiler.quantise.equalise import equalised
from edgefleet_compiler.quantise.integers import quantise
from edgefleet_compiler.quantise.settings import Settings
from edgefleet_compiler.source import load_source
from support.onnx_graphs import OnnxGraph
from support.spoiled import spoiled

ROOT = Path(__file__).resolve().parents[2]
DIGITS, SHARED = ROOT / "examples" / "digits", ROOT.parent / "shared"


def cases_of(hub, images):
    source = hub.graph.inputs[0]
    return [{source.name: image.reshape(source.shape.numpy()).astype(np.float32)} for image in images]


@pytest.fixture(scope="module")
def digits():
    hub = load_source(DIGITS / "digits.onnx", input_shapes={}).hub
    parts = [cases_of(hub, np.load(DIGITS / f"{part}.npz")["x"][:200]) for part in ("calibration", "validation")]
    return hub, *parts


def quantised(hub, calibration, settings=Settings()):  # noqa: B008 - settings are immutable
    seen = observe(hub, calibration, lambda _: None, histograms=False)
    return seen, quantise(hub, {name: Range(s.low, s.high) for name, s in seen.activations.items()}, settings)


def findings(hub, calibration, held_out, settings=Settings()):  # noqa: B008 - as above
    seen, made = quantised(hub, calibration, settings)
    return diagnose(Patient(hub, seen, hub, seen, made, settings, calibration[:64], held_out[:16]))


def test_nothing_is_found_in_a_sound_model(digits):
    assert findings(*digits) == []


@pytest.mark.parametrize("seed", range(20))
def test_a_spoiled_channel_is_named_with_its_layer_and_what_equalising_brings(digits, seed):
    hub, calibration, held_out = digits
    case = spoiled(hub, seed)
    found = findings(case.model, calibration, held_out)
    if case.factor < 50 and not found:
        return  # the outputs do not feel it
    assert {finding.cause for finding in found} == {"outlier channel"}
    named = next(finding for finding in found if finding.layer == case.layer)
    assert (named.activation, named.channel) == (case.activation, case.channel)
    assert f"channel {case.channel} spans" in named.evidence
    assert named.gain_db > (10 if case.factor > 200 else 1)
    assert named.spread.after[1] < named.spread.before[1] / 4
    assert sum(named.spread.counts) == 64 * 32 * 4 * 4


def test_an_outlier_that_no_equalising_reaches_is_named_with_the_layers_to_compute_in_float():
    random = np.random.default_rng(5)
    first, second = random.normal(size=(16, 3, 3, 3)) * 0.3, random.normal(size=(16, 16, 3, 3)) * 0.1
    first[5] *= 1000
    second[:, 5] /= 1000
    graph = OnnxGraph()
    wide = graph.node("Conv", graph.input("x", 1, 3, 8, 8), graph.constant(first), name="wide")
    swished = graph.node("HardSwish", wide, name="swished")
    read = graph.node("Relu", graph.node("Conv", swished, graph.constant(second), name="read"))
    hub = graph.model(graph.gemm(graph.reshape(read, 1, 256), 256, 5))
    simplify(hub)
    cases = [{"x": random.normal(size=(1, 3, 8, 8)).astype(np.float32)} for _ in range(60)]
    (found,) = findings(hub, cases[:40], cases[40:])
    assert (found.cause, found.activation, found.channel) == ("outlier channel", "swished", 5)
    assert found.remedy == "compute = \"float\" of 'node_wide' and 'node_swished' and 'node_read'"
    assert found.gain_db > 10


@pytest.fixture(scope="module")
def small():
    """A net without a Clip or a Softmax, which would hide how far its inputs reach."""
    graph = OnnxGraph(2)
    hidden = graph.node("Relu", graph.conv(graph.input("x", 1, 3, 6, 6), (3, 8), (3, 3)))
    hidden = graph.node("Relu", graph.conv(hidden, (8, 8), (3, 3)))
    model = graph.model(graph.gemm(graph.reshape(hidden, 1, 32), 32, 5))
    simplify(model)
    random = np.random.default_rng(4)
    return model, [{"x": random.uniform(-1, 1, (1, 3, 6, 6)).astype(np.float32)} for _ in range(200)]


def scaled(case, factor):
    return {name: array * np.float32(factor) for name, array in case.items()}


def test_a_case_that_all_ranges_are_lost_to_is_named_and_left_out(small):
    hub, cases = small
    found = findings(hub, [*cases[:37], scaled(cases[37], 60), *cases[38:100]], cases[100:])
    assert found
    assert {finding.cause for finding in found} == {"range lost to a rare input"}
    assert all("case 37" in finding.evidence for finding in found)
    assert {finding.remedy for finding in found} == {"a calibration set without case 37"}
    assert all(finding.gain_db > 10 for finding in found)


def test_cases_unlike_the_calibration_set_show_that_it_is_too_small(small):
    hub, cases = small
    found = findings(hub, [scaled(case, 0.25) for case in cases[:5]], cases[100:])
    assert found
    assert {finding.cause for finding in found} == {"calibration too small"}
    assert all("5 calibration cases do not show" in finding.evidence for finding in found)


def test_calibration_cases_of_another_scale_are_told_so_however_many_they_are(small):
    hub, cases = small
    found = findings(hub, [scaled(case, 1 / 255) for case in cases[:100]], cases[100:])
    assert {finding.cause for finding in found} == {"calibration unlike other cases"}
    assert {finding.remedy for finding in found} == {"calibration cases of the same scale as the others"}
    assert all(finding.gain_db > 10 for finding in found)


def test_a_range_chosen_too_narrow_saturates(small):
    hub, cases = small
    seen = observe(hub, cases, lambda _: None, histograms=False)
    ranges = {name: Range(found.low, found.high) for name, found in seen.activations.items()}
    narrow = next(name for name, found in seen.activations.items() if name != "x")
    ranges[narrow] = Range(ranges[narrow].low / 5, ranges[narrow].high / 5)
    made = quantise(hub, ranges, Settings())
    (found,) = diagnose(Patient(hub, seen, hub, seen, made, Settings(), cases[:64], cases[100:116]))
    assert (found.activation, found.cause) == (narrow, "saturation")
    assert found.remedy == f'ranges."{narrow}" = "min-max"'
    assert found.gain_db > 5
    assert found.spread.before[1] == pytest.approx(ranges[narrow].high, rel=0.01)
    assert found.spread.after == (seen.activations[narrow].low, seen.activations[narrow].high)


@pytest.mark.shared
def test_spoiled_channels_of_the_image_classifier_are_named_and_cost_nothing_once_equalised():
    """Twenty cases: named by layer and cause, and as accurate as the int8 model that was never spoiled."""
    hub = load_source(SHARED / "models" / "pretrainedResnet.tflite", input_shapes={}).hub
    data = np.load(SHARED / "data" / "cifar10_validation.npz")
    calibration = cases_of(hub, np.load(SHARED / "data" / "cifar10_calibration.npz")["x"][:128])
    images, labels = cases_of(hub, data["x"][:1000]), data["y"][:1000]

    def accuracy(model):
        session = Session(model)
        answers = [next(iter(session.run(image).values())).argmax() for image in images]
        return np.mean(np.asarray(answers) == labels)

    baseline = accuracy(quantised(hub, calibration)[1])
    named, accuracies = 0, []
    for seed in range(20):
        case = spoiled(hub, seed)
        found = findings(case.model, calibration, images)
        named += any(
            (finding.layer, finding.cause, finding.channel) == (case.layer, "outlier channel", case.channel)
            for finding in found
        )
        seen, _ = quantised(case.model, calibration)
        accuracies.append(accuracy(quantised(equalised(case.model, seen, "outliers"), calibration)[1]))
    assert named >= 18
    # One model differs from another by chance: of 1,000 images 1.5 % is two standard errors of a paired difference.
    assert np.mean(accuracies) > baseline - 0.004
    assert min(accuracies) > baseline - 0.02

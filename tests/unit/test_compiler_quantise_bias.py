from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgefleet_compiler.checks.fidelity import output_sqnr_db
from edgefleet_compiler.hub.graph import constant
from edgefleet_compiler.quantise.bias import bias_corrected
from edgefleet_compiler.quantise.calibrate import calibrate
from edgefleet_compiler.quantise.integers import quantise
from edgefleet_compiler.quantise.settings import Settings
from edgefleet_compiler.quantise.weight_only import weight_only
from edgefleet_compiler.source import load_source

DIGITS = Path(__file__).resolve().parents[2] / "examples" / "digits"


@pytest.fixture(scope="module")
def digits():
    hub = load_source(DIGITS / "digits.onnx", input_shapes={}).hub
    name = hub.graph.inputs[0].name
    images = {part: np.load(DIGITS / f"{part}.npz")["x"] for part in ("calibration", "validation")}
    cases = {part: [{name: image.reshape(1, 8, 8, 1).astype(np.float32)} for image in images[part]] for part in images}
    ranges = calibrate(hub, cases["calibration"], lambda _: None)
    return hub, quantise(hub, ranges, Settings()), cases


def biases(model):
    return [constant(value) for value in model.graph.initializers.values() if constant(value).dtype == np.int32]


def test_correction_brings_outputs_nearer_on_cases_that_it_has_not_seen(digits):
    hub, quantised, cases = digits
    corrected = bias_corrected(hub, quantised, cases["calibration"][::2])
    unseen = cases["validation"][:200]
    assert output_sqnr_db(hub, corrected, unseen) > output_sqnr_db(hub, quantised, unseen) + 1


def test_nothing_but_biases_changes(digits):
    hub, quantised, cases = digits
    before = [array.copy() for array in biases(quantised)]
    corrected = bias_corrected(hub, quantised, cases["calibration"][::2])
    assert [node.name for node in corrected.graph] == [node.name for node in quantised.graph]
    assert list(corrected.graph.initializers) == list(quantised.graph.initializers)
    changed = {
        name
        for name, value in corrected.graph.initializers.items()
        if not np.array_equal(constant(value), constant(quantised.graph.initializers[name]))
    }
    assert changed
    assert all(constant(corrected.graph.initializers[name]).dtype == np.int32 for name in changed)
    for array, unchanged in zip(biases(quantised), before, strict=True):
        np.testing.assert_array_equal(array, unchanged)


def test_a_constant_shift_of_a_layer_is_taken_back(digits):
    hub, quantised, cases = digits
    shifted = quantised.clone()
    name, value = next(
        (name, value) for name, value in shifted.graph.initializers.items() if constant(value).dtype == np.int32
    )
    value.const_value = type(value.const_value)(constant(value) + np.int32(40), name=name)
    corrected = bias_corrected(hub, shifted, cases["calibration"][::2])
    reference = bias_corrected(hub, quantised, cases["calibration"][::2])
    distance = np.abs(constant(corrected.graph.initializers[name]) - constant(reference.graph.initializers[name]))
    assert distance.max() <= 1


def test_a_correction_that_does_not_help_is_left_out(digits):
    hub, quantised, cases = digits
    blank = [{name: np.zeros_like(array) for name, array in cases["calibration"][0].items()}]
    unlike = [case if n % 2 == 0 else blank[0] for n, case in enumerate(cases["calibration"][::2])]
    assert bias_corrected(hub, quantised, unlike) is quantised


def test_float_biases_of_layers_with_narrow_weights_are_corrected(digits):
    hub, _, cases = digits
    narrow = weight_only(hub, Settings(weights="int4"))
    corrected = bias_corrected(hub, narrow, cases["calibration"][::2])
    unseen = cases["validation"][:200]
    assert output_sqnr_db(hub, corrected, unseen) > output_sqnr_db(hub, narrow, unseen) + 0.5
    changed = {
        name: constant(value)
        for name, value in corrected.graph.initializers.items()
        if not np.array_equal(constant(value), constant(narrow.graph.initializers[name]))
    }
    assert changed
    assert all((array.dtype, array.ndim) == (np.float32, 1) for array in changed.values())


def test_without_narrow_weights_nothing_is_done(digits):
    hub, _, cases = digits
    assert bias_corrected(hub, hub, cases["calibration"][:8]) is hub

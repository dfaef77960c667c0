"""What a refused loss of accuracy tells: what was seen, in words, and what would help this recipe."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgefleet_compiler.checks.accuracy import Accuracy, check_accuracy
from edgefleet_compiler.checks.parity import Parity
from edgefleet_compiler.options import CompileOptions
from edgefleet_hardware.profile import load_profile

OPTIONS = CompileOptions(model=Path("net.onnx"), targets=("rpi4",), out=Path("out"))
RPI4 = load_profile("rpi4")
FAITHFUL = Parity("source", max_abs=0.1, sqnr_db=20.0, argmax_agreement=0.98, n=100)
BROKEN = Parity("source", max_abs=9.0, sqnr_db=3.0, argmax_agreement=0.25, n=100)
LOST = Accuracy("top1", 0.9, 0.8, 0.1, (0.05, 0.15), 100, "Newcombe", "validation", chance=0.1)


def test_a_gross_loss_says_what_share_of_decisions_is_expected():
    refusal = check_accuracy(OPTIONS, None, BROKEN, RPI4, "int8")
    assert refusal.expected == "at least 0 dB, and equal decisions in half of the cases"


def test_a_small_loss_without_labels_is_no_refusal():
    assert check_accuracy(OPTIONS, None, FAITHFUL, RPI4, "int8") is None


def test_a_loss_of_just_the_limit_is_allowed():
    two_of_200 = Accuracy("top1", 1.0, 0.99, 1.0 - 0.99, (0.0, 0.04), 200, "Newcombe", "validation", chance=0.1)
    assert two_of_200.drop > 0.01  # by the last bit of a float
    assert check_accuracy(OPTIONS, two_of_200, FAITHFUL, RPI4, "int8") is None


@pytest.mark.parametrize(
    ("scheme", "words"),
    [
        ("int8", "Calibrate on more typical inputs, use --recipe fp16, or"),
        ("int16x8", "Calibrate on more typical inputs, use --recipe fp16, or"),
        ("dynamic", "Use --recipe fp16, or"),
        ("weight-only", "Use --recipe fp16, or"),
        ("fp16", "Use --recipe float, or"),
        ("float", "Check that the data is what the model takes, or"),
        ("source", "Check that the data is what the model takes, or"),
    ],
)
def test_the_remedy_is_one_for_the_recipe_that_lost(scheme, words):
    for accuracy, parity in ((LOST, FAITHFUL), (None, BROKEN)):
        assert check_accuracy(OPTIONS, accuracy, parity, RPI4, scheme).remedy.startswith(words)


@pytest.mark.parametrize(
    ("scheme", "words"),
    [
        (
            "int8",
            'Calibrate on more typical inputs, use --recipe int16x8, let single layers have compute = "int16"',
        ),
        ("int16x8", "Calibrate on more typical inputs, or"),
    ],
)
def test_a_microcontroller_is_advised_nothing_that_it_refuses(scheme, words):
    for accuracy, parity in ((LOST, FAITHFUL), (None, BROKEN)):
        refusal = check_accuracy(OPTIONS, accuracy, parity, load_profile("nrf52840"), scheme)
        assert refusal.remedy.startswith(words)
        assert refusal.facts["target"] == "nrf52840"

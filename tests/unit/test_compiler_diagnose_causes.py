from __future__ import annotations

import pytest
from msgspec.structs import replace as replaced

from edgefleet_compiler.checks.layers import Layer
from edgefleet_compiler.diagnose.causes import Evidence, Saturated, cause_of, is_unlike
from edgefleet_compiler.diagnose.record import Finding, Spread
from edgefleet_compiler.diagnose.words import warn_of_findings, with_causes


def evidence(**changes):
    """A sound activation: it spans 0 to 10, and its cases reach about as far."""
    whole = Saturated(0.0, 0.0, 0.0, 10.0)
    sound = {
        "low": 0.0,
        "high": 10.0,
        "power": 4.0,
        "reach": 10.0,
        "reach_case": 3,
        "median_reach": 7.0,
        "cases": 200,
        "calibration": whole,
        "held_out": whole,
    }
    return Evidence(**{**sound, **changes})


def test_a_sound_activation_has_no_cause():
    assert cause_of(evidence()) is None


def test_a_range_that_cuts_off_what_calibration_saw_saturates():
    cause, told = cause_of(evidence(high=4.0, calibration=Saturated(0.03, 0.2, 0.0, 10.0)))
    assert cause == "saturation"
    assert "3.00% of the values of calibration cases lie beyond the range 0 to 4, up to 10" in told


def test_a_range_that_cuts_off_less_than_rounding_costs_is_well_chosen():
    rounding = evidence().rounding
    assert cause_of(evidence(calibration=Saturated(0.001, 5 * rounding, 0.0, 10.0))) is None


def test_a_rare_case_is_named_with_what_it_leaves_to_others():
    cause, told = cause_of(evidence(high=70.0, reach=70.0, reach_case=41))
    assert cause == "range lost to a rare input"
    assert "case 41" in told
    assert "10 times the median case's 7, which is left 26 of 255 steps" in told


def test_a_rare_case_that_the_range_does_not_follow_is_none():
    assert cause_of(evidence(high=10.0, reach=70.0)) is None


def test_cases_that_calibration_has_none_like_show_that_it_is_too_small():
    cause, told = cause_of(evidence(held_out=Saturated(0.02, 0.5, 0.0, 25.0), cases=8))
    assert cause == "calibration too small"
    assert "up to 25, which 8 calibration cases do not show" in told


@pytest.mark.parametrize(("cases", "reach", "unlike"), [(250, 2550.0, True), (8, 2550.0, False), (250, 25.0, False)])
def test_a_set_that_is_not_small_and_that_others_leave_far_is_unlike_them(cases, reach, unlike):
    found = evidence(held_out=Saturated(0.9, 1e5, 0.0, reach), cases=cases)
    assert is_unlike([evidence(cases=cases), found]) is unlike
    assert not is_unlike([evidence(held_out=Saturated(0.05, 1e5, 0.0, reach), cases=cases)])
    cause, told = cause_of(found, unlike=unlike)
    assert (cause == "calibration unlike other cases") is unlike
    assert ("255 times as far as any of 250 calibration cases" in told) is unlike


def test_a_factor_of_any_size_is_told_in_three_digits():
    _, told = cause_of(evidence(high=1e30, reach=1e30))
    assert "1.43e+29 times" in told


@pytest.mark.parametrize(("power", "cause"), [(4.0, None), (0.0002, "dead scale")])
def test_a_scale_is_dead_whose_steps_are_as_large_as_the_values(power, cause):
    found = cause_of(evidence(power=power))
    assert (None if found is None else found[0]) == cause


def test_an_activation_that_was_always_zero_is_dead_only_if_other_cases_are_not():
    nothing = {"low": 0.0, "high": 1.0, "power": 0.0, "reach": 0.0, "median_reach": 0.0}
    assert cause_of(evidence(**nothing, held_out=Saturated(0.0, 0.0, 0.0, 0.0))) is None
    cause, told = cause_of(evidence(**nothing, held_out=Saturated(0.1, 4.0, 0.0, 5.0)))
    assert cause == "dead scale"
    assert "zero in all 200 calibration cases, and other cases reach 5" in told


FINDING = Finding(
    layer="conv",
    activation="relu",
    cause="outlier channel",
    evidence="channel 3 spans 90, 30 times the usual 3",
    channel=3,
    remedy='equalise = "outliers"',
    before_db=2.0,
    after_db=20.0,
    spread=Spread([0.0, 90.0], [7], (0.0, 90.0), (0.0, 3.0)),
)


def test_causes_reach_the_layers_but_what_stays_in_float_keeps_its_reason():
    def layer(name, cause):
        return Layer(name=name, operator="Conv", sqnr_db=3.0, bytes=1, cause=cause)

    layers = [layer("conv", None), layer("mask", "left in float: a mask leaves int8 no range"), layer("other", None)]
    told = with_causes(layers, [FINDING, replaced(FINDING, layer="mask")])
    assert [layer.cause for layer in told] == ["outlier channel", "left in float: a mask leaves int8 no range", None]


def test_warnings_tell_the_first_findings_and_how_many_more_there_are():
    assert warn_of_findings([], equalised=False) == []
    (one,) = warn_of_findings([FINDING], equalised=False)
    assert "Layer 'conv': outlier channel. In 'relu', channel 3 spans 90" in one
    gain = 'equalise = "outliers". With nothing else done, such as bias correction, the outputs go from 2.0 to 20.0 dB.'
    assert one.endswith(f"What would help: {gain}")
    assert warn_of_findings([FINDING], equalised=True)[0].endswith(f"Remedied by {gain}")
    assert (
        warn_of_findings([FINDING] * 5, equalised=False)[-1] == "The report names 2 more layers that int8 serves badly."
    )

"""What is best within a budget, and what comes nearest where nothing keeps it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from edgefleet_compiler.artifact import Artifact
from edgefleet_compiler.attempt import Attempt
from edgefleet_compiler.attempt.speed import Speed
from edgefleet_compiler.checks.accuracy import Accuracy
from edgefleet_compiler.checks.budget import BudgetLine
from edgefleet_compiler.checks.latency import Latency
from edgefleet_compiler.checks.measure import Measurement
from edgefleet_compiler.checks.parity import Parity
from edgefleet_compiler.exports import Exported
from edgefleet_compiler.ladder.best import best, eased_by, nearest
from edgefleet_compiler.ladder.costs import Bounds, Cost
from edgefleet_compiler.ladder.record import Step
from edgefleet_compiler.ladder.tried import Climb, Tried
from edgefleet_compiler.ladder.unmet import refuse_unmet
from edgefleet_compiler.options import CompileOptions
from edgefleet_compiler.recipe import rungs_for
from edgefleet_contract.errors import AccuracyLost
from edgefleet_hardware.profile import load_profile

LIMIT = 1000
RPI4 = load_profile("rpi4")


def tried(
    name: str,
    size: int,
    *,
    drop: float = 0.0,
    decibels: float = 30.0,
    cases: int = 2500,
    metric: str = "top1",
    slower: bool = False,
) -> Tried:
    """An artifact of so many bytes under a limit of 1,000, of a source that is right in 9 of 10 cases."""
    request = CompileOptions(Path("m.onnx"), ("rpi4",), Path("out"), calibration=Path("c.npz"))
    rung = replace(rungs_for(request, RPI4)[0], name=name)
    accuracy = Accuracy(metric, 0.9, 0.9 - drop, drop, (drop - 0.01, drop + 0.01), cases, "paired", "validation")
    latency = Latency("host", 2.0 if slower else 1.0, 1.0, 200, (1.9, 2.1) if slower else (0.99, 1.01))
    lost = AccuracyLost(f"{name} loses {drop}", drop=drop, max_drop=0.02)
    attempt = Attempt(
        artifact=Artifact(rung.recipe, None, None, Exported(b"x" * size, (), {}, size, None, None, None, False), ()),
        measurement=Measurement([Parity("source", 0.1, decibels, 1.0, 100)], accuracy),
        memory=None,
        speed=Speed(latency),
        deployment=None,
        layers=[],
        findings=[],
        budget=[BudgetLine("flash", LIMIT, size, size <= LIMIT, "option")],
        refusals=[lost] if drop > 0.02 else [],
        warnings=[],
    )
    return Tried(rung, attempt)


def shipped(*all_tried: Tried) -> str | None:
    chosen = best(all_tried)
    return None if chosen is None else chosen.rung.name


def test_what_keeps_most_accuracy_is_best_even_where_it_is_larger_and_noisier() -> None:
    assert shipped(tried("small", 500, drop=0.015), tried("large", 900, drop=0.0, decibels=20.0)) == "large"


def test_what_the_cases_cannot_tell_apart_is_decided_by_the_noise() -> None:
    assert shipped(tried("lucky", 900, drop=0.0, decibels=20.0), tried("true", 900, drop=0.004)) == "true"


@pytest.mark.parametrize("untold", [{"cases": 40}, {"metric": "agreement"}])
def test_few_cases_and_agreement_alone_tell_nothing(untold: dict[str, int | str]) -> None:
    noisy = tried("noisy", 900, drop=-0.02, decibels=20.0, **untold)  # type: ignore[arg-type]  # of either form
    assert shipped(noisy, tried("true", 900, drop=0.015, **untold)) == "true"  # type: ignore[arg-type]  # as above


def test_of_equally_true_ones_the_smallest_is_best() -> None:
    assert shipped(tried("large", 900, decibels=30.3), tried("small", 500, decibels=30.0)) == "small"


def test_nothing_beyond_a_limit_and_nothing_inaccurate_is_ever_best() -> None:
    assert shipped(tried("beyond", 1001), tried("inaccurate", 900, drop=0.03)) is None


def test_what_is_slower_than_float_comes_last() -> None:
    assert shipped(tried("slow", 500, slower=True), tried("fast", 900, decibels=10.0)) == "fast"
    assert shipped(tried("slow", 500, slower=True)) == "slow"


def test_the_nearest_keeps_the_limits_and_loses_least() -> None:
    near = nearest([tried("beyond", 1001), tried("far off", 400, drop=0.5), tried("near", 900, drop=0.03)])
    assert near.rung.name == "near"


def test_where_nothing_keeps_the_limits_the_nearest_passes_them_least() -> None:
    inaccurate = tried("inaccurate", 1100, drop=0.5)
    assert nearest([tried("far", 3000), inaccurate, tried("accurate", 1500)]) is inaccurate
    assert nearest([inaccurate, tried("as small", 1100)]).rung.name == "as small"


def test_where_nothing_keeps_the_limits_the_nearest_and_the_nearest_accurate_are_told_apart() -> None:
    near = tried("near", 1100, drop=0.5)
    reckoned = Step(rung="reckoned", bytes=1050, outcome="over budget", why="reckoned, not made")
    refuse_unmet(Climb(near, [tried("far", 3000), near, tried("closest", 1500)], [reckoned]), RPI4)
    (refusal,) = near.attempt.refusals
    assert "None of 3 ways that were made (1 more were only reckoned)" in refusal.seen
    assert "the nearest, near, takes flash 1,100 bytes of 1,000 bytes, and loses 0.5000" in refusal.seen
    assert "closest, accurate enough, takes flash 1,500 bytes" in refusal.seen
    assert "--max-flash 1500 or --max-flash 1100 and --max-drop 0.5" in refusal.remedy
    assert refusal.facts["binds"] == ["accuracy", "flash"]


def test_a_refusal_promises_nothing_of_limits_that_were_not_searched() -> None:
    near = tried("near", 900, drop=0.034)
    refuse_unmet(Climb(near, [near, tried("closest", 1100)]), RPI4)
    (refusal,) = near.attempt.refusals
    assert "Allow" not in refusal.remedy
    assert "other limits are searched anew" in refusal.remedy


def test_the_line_of_what_came_nearest_is_short() -> None:
    near = tried("near", 1100, drop=0.5)
    refuse_unmet(Climb(near, [near]), RPI4)
    step = near.step(near)
    assert step.outcome == "refused"
    assert step.why == "flash 1.1 KiB, the option's limit is 1000 B; loses 0.5000 of accuracy"


def test_what_breaks_a_limit_and_is_inaccurate_is_told_to_do_both() -> None:
    step = tried("both", 1100, drop=0.5).step(tried("kept", 900))
    assert step.outcome == "inaccurate"
    assert step.why == "both loses 0.5; and over budget: flash 1.1 KiB, the option's limit is 1000 B"


def test_a_refusal_says_that_accuracy_binds_and_what_would_be_accepted() -> None:
    near = tried("near", 900, drop=0.034)
    closest, assured = tried("closest", 1100), tried("assured", 1200)
    refuse_unmet(Climb(near, [tried("first", 3000), near, closest, assured], assured=assured), RPI4)
    (refusal,) = near.attempt.refusals
    assert refusal.code == "budget.exceeded"
    assert "accuracy binds: within the limits the nearest, near, loses 0.0340" in refusal.seen
    assert "where 0.02 is allowed; closest, accurate enough, takes flash 1,100 bytes of 1,000 bytes" in refusal.seen
    assert "A search with --max-flash 1200 arrives: it was tried. " in refusal.remedy
    assert "What was made nearest needs --max-drop 0.034." in refusal.remedy
    assert refusal.facts["binds"] == ["accuracy"]


def test_a_refusal_says_which_limit_binds_and_by_how_much() -> None:
    near = tried("near", 1500)
    near.attempt.refusals.append(AccuracyLost("any", max_drop=0.02))
    refuse_unmet(Climb(near, [near]), RPI4)
    (refusal,) = near.attempt.refusals
    assert "the nearest, near, takes flash 1,500 bytes of 1,000 bytes" in refusal.seen
    assert refusal.facts["limits"] == ["flash"]


def test_limits_are_eased_to_what_an_artifact_takes_and_no_limit_is_tightened() -> None:
    eased = eased_by(tried("large", 1200))
    assert [line.limit for line in eased(tried("small", 1100))] == [1200]
    assert [line.ok for each in (1200, 1201) for line in eased(tried("other", each))] == [True, False]
    assert [line.limit for line in eased_by(tried("within", 900))(tried("small", 950))] == [LIMIT]


def test_what_is_kept_is_not_refused() -> None:
    kept = tried("kept", 900)
    refuse_unmet(Climb(kept, [kept]), RPI4)
    assert kept.attempt.refusals == []


def test_bounds_are_what_an_artifact_was_reckoned_and_measured_to_take() -> None:
    lines = [
        BudgetLine("flash", 800, 1000, ok=False, set_by="target"),
        BudgetLine("flash", 500, 1000, ok=False, set_by="option"),
        BudgetLine("latency_ms", 1.0, 4.0, ok=False, set_by="option"),
        BudgetLine("ram", 300, None, ok=False, set_by="option"),
    ]
    bounds = Bounds.by(lines, Cost(1100, 0, 2_000_000))
    assert bounds.most == {"flash": pytest.approx(550), "latency_ms": pytest.approx(500_000)}
    assert bounds.keep(Cost(550, 9999, 499_999))
    assert bounds.broken(Cost(551, 0, 499_999)) == ["flash"]
    assert bounds.figures(Cost(1100, 0, 0)) == "flash 1,000 bytes of 500 bytes"
    assert bounds.figures(Cost(0, 0, 1_000_000)) == "latency 2.000 ms of 1.000 ms"


def test_parts_of_the_way_save_equal_ratios() -> None:
    bounds = Bounds({"flash": 100.0}, {"flash": 1.0})
    half = bounds.part_of_the_way(Cost(400, 0, 0), 0.5)
    assert half.most == {"flash": pytest.approx(200)}
    assert bounds.part_of_the_way(Cost(50, 0, 0), 0.5).most == {"flash": 100.0}

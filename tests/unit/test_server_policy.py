"""The rollout policy, case by case."""

from __future__ import annotations

from fractions import Fraction

import pytest

from edgefleet_server.rollouts.evidence import Verdict
from edgefleet_server.rollouts.policy import (
    Amiss,
    Deployed,
    Fail,
    Finish,
    Halt,
    Plan,
    RollBack,
    StageCounts,
    StartStage,
    Strand,
    Succeed,
    Undone,
    Watched,
    Withdraw,
    decide,
    undo,
)

PROBATION = 1000
PLAN = Plan(success=Fraction(9, 10), error=Fraction(1, 10), probation_ms=PROBATION, vectors=False)
WITH_VECTORS = Plan(success=Fraction(9, 10), error=Fraction(1, 10), probation_ms=PROBATION, vectors=True)
WORSE = Verdict("worse", "20 cases lost", 0.1, 1e-6)
PASSED = Verdict("passed", "no case lost")
INVALID = Verdict("invalid", "it does not add up")
UNLABELLED = Verdict("unlabelled", "no labels")
MISFIT, CRASH = Amiss("data.malformed", "wide"), Amiss("x", "died")


def stage(index: int = 0, *, started: bool = True, **counts: int) -> StageCounts:
    return StageCounts(index, started, **counts)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        # stages start one after the other
        ([stage(started=False, waiting=3)], [StartStage(0)]),
        ([stage(in_progress=1), stage(1, started=False, waiting=9)], []),
        ([stage(probation=1), stage(1, started=False, waiting=9)], []),
        ([stage(succeeded=1), stage(1, started=False, waiting=9)], [StartStage(1)]),
        # nine of ten suffice to go on, and the tenth is waited for before the end
        ([stage(succeeded=9, in_progress=1), stage(1, started=False, waiting=1)], [StartStage(1)]),
        ([stage(succeeded=8, in_progress=2), stage(1, started=False, waiting=1)], []),
        ([stage(succeeded=9, in_progress=1)], []),
        ([stage(succeeded=10)], [Finish()]),
        ([stage(succeeded=9, failed=1)], [Finish()]),
        # an earlier stage that has passed still has to end
        ([stage(succeeded=9, in_progress=1), stage(1, succeeded=1)], []),
        # a stage without devices can neither pass nor fail, so it does not hold the others up
        ([stage(), stage(1, started=False, waiting=1)], [StartStage(1)]),
        ([stage(started=False), stage(1, started=False, waiting=1)], [StartStage(0)]),
    ],
)
def test_a_rollout_goes_on_when_its_stage_has_passed(counts: list[StageCounts], expected: list[object]) -> None:
    assert decide(PLAN, counts, [], [], 0) == expected


@pytest.mark.parametrize(
    ("counts", "halted_stage"),
    [
        # a single canary that fails is all of its stage
        ([stage(failed=1)], 0),
        # two of ten executed are more than a tenth of the executed
        ([stage(succeeded=8, failed=2, waiting=90)], 0),
        # too few are executed to judge by their share, but these failures exceed what the whole stage may have
        ([stage(succeeded=1, failed=2, waiting=7)], 0),
        # an earlier stage goes on being judged
        ([stage(succeeded=8, failed=2), stage(1, in_progress=5)], 0),
        ([stage(succeeded=10), stage(1, succeeded=3, failed=7)], 1),
    ],
)
def test_a_rollout_halts_when_too_many_have_failed(counts: list[StageCounts], halted_stage: int) -> None:
    [action] = decide(PLAN, counts, [], [], 0)
    assert isinstance(action, Halt)
    assert action.stage == halted_stage
    assert "failed" in action.reason


@pytest.mark.parametrize(
    "counts",
    [
        # one of the first two is half of the executed, and says nothing about a stage of a hundred
        [stage(succeeded=1, failed=1, waiting=98)],
        # exactly the threshold is borne
        [stage(succeeded=9, failed=1, waiting=90)],
        [stage(failed=1, waiting=9)],
    ],
)
def test_a_rollout_bears_failures_up_to_its_threshold(counts: list[StageCounts]) -> None:
    assert not any(isinstance(action, Halt) for action in decide(PLAN, counts, [], [], 0))


def test_a_stage_that_ends_between_the_thresholds_halts() -> None:
    plan = Plan(success=Fraction(9, 10), error=Fraction(1, 2), probation_ms=0, vectors=False)
    [action] = decide(plan, [stage(succeeded=6, failed=4), stage(1, started=False, waiting=1)], [], [], 0)
    assert isinstance(action, Halt)
    assert "below its success threshold" in action.reason


def test_thresholds_are_exact_where_doubles_are_not() -> None:
    plan = Plan(success=Fraction(1, 2), error=Fraction("0.29"), probation_ms=0, vectors=False)
    assert decide(plan, [stage(succeeded=71, failed=29)], [], [], 0) == [Finish()]


def test_a_paused_rollout_starts_nothing_and_still_halts() -> None:
    paused = Plan(Fraction(9, 10), Fraction(1, 10), PROBATION, vectors=False, paused=True)
    assert decide(paused, [stage(succeeded=1), stage(1, started=False, waiting=1)], [], [], 0) == []
    assert decide(paused, [stage(succeeded=1)], [], [], 0) == []
    assert isinstance(decide(paused, [stage(failed=1)], [], [], 0)[0], Halt)
    assert decide(paused, [stage(probation=1)], [Watched("d", 0)], [], PROBATION) == [Succeed("d")]


@pytest.mark.parametrize(
    ("plan", "watched", "now", "expected"),
    [
        (PLAN, Watched("d", 0), PROBATION - 1, []),
        (PLAN, Watched("d", 0), PROBATION, [Succeed("d")]),
        # with vectors, success needs evidence from the second half of the probation
        (WITH_VECTORS, Watched("d", 0), 10 * PROBATION, []),
        (WITH_VECTORS, Watched("d", 0, None, PASSED), 10 * PROBATION, []),
        (WITH_VECTORS, Watched("d", 0, 400, PASSED), PROBATION, []),
        (WITH_VECTORS, Watched("d", 0, 500, PASSED), PROBATION - 1, []),
        (WITH_VECTORS, Watched("d", 0, 500, PASSED), PROBATION, [Succeed("d")]),
        (WITH_VECTORS, Watched("d", 0, 500, UNLABELLED), PROBATION, [Succeed("d")]),
        (WITH_VECTORS, Watched("d", 0, 500, INVALID), 10 * PROBATION, []),
        # vectors that do not fit never will; another failure may pass, until the last run has had its time
        (
            WITH_VECTORS,
            Watched("d", 0, None, None, MISFIT),
            1,
            [Fail("d", "it has no evidence: wide", "data.malformed")],
        ),
        (PLAN, Watched("d", 0, None, None, MISFIT), PROBATION, [Succeed("d")]),
        (WITH_VECTORS, Watched("d", 0, None, None, CRASH), PROBATION + 249, []),
        (WITH_VECTORS, Watched("d", 0, 400, PASSED, CRASH), PROBATION + 249, []),
        (
            WITH_VECTORS,
            Watched("d", 0, 400, PASSED, CRASH),
            PROBATION + 250,
            [Fail("d", "it has no evidence: died", "x")],
        ),
        (WITH_VECTORS, Watched("d", 0, 500, PASSED, CRASH), PROBATION, [Succeed("d")]),
        # evidence that is worse does not wait for the end
        (WITH_VECTORS, Watched("d", 0, None, WORSE), 1, [Fail("d", "20 cases lost")]),
        (WITH_VECTORS, Watched("d", 0, 900, WORSE), 10 * PROBATION, [Fail("d", "20 cases lost")]),
    ],
)
def test_probation_ends_with_time_and_evidence(plan: Plan, watched: Watched, now: int, expected: list[object]) -> None:
    assert decide(plan, [stage(probation=1)], [watched], [], now) == expected


def test_devices_are_settled_before_stages_are_judged() -> None:
    counts = [stage(probation=1, succeeded=1), stage(1, started=False, waiting=8)]
    assert decide(PLAN, counts, [Watched("d", 0, None, WORSE)], [], 0) == [Fail("d", "20 cases lost")]


@pytest.mark.parametrize("paused", [False, True])
def test_a_device_that_failed_and_runs_the_release_goes_back_though_its_rollout_goes_on(paused: bool) -> None:
    plan = Plan(Fraction(9, 10), Fraction(1, 10), PROBATION, vectors=True, paused=paused)
    counts = [stage(succeeded=9, failed=1), stage(1, started=False, waiting=90)]
    bad = Deployed("d", "failed", True, "old")
    assert decide(plan, counts, [], [bad], 0) == [RollBack("d", "old")]
    assert decide(plan, counts, [], [Deployed("d", "failed", True, None)], 0) == [Strand("d")]
    reverted_by_itself = Deployed("d", "failed", False, "old")
    assert decide(plan, counts, [], [reverted_by_itself], 0) == ([] if paused else [StartStage(1)])
    [halt] = decide(plan, [stage(succeeded=8, failed=2)], [], [bad], 0)
    assert isinstance(halt, Halt), "a halt comes first, and takes everybody back"


@pytest.mark.parametrize(
    ("state", "runs_release", "previous", "expected"),
    [
        ("waiting", False, "old", Withdraw("d")),
        ("assigned", False, "old", Withdraw("d")),
        ("downloading", False, "old", Withdraw("d")),
        ("verifying", False, None, Withdraw("d")),
        ("probation", True, "old", RollBack("d", "old")),
        ("succeeded", True, "old", RollBack("d", "old")),
        ("failed", True, "old", RollBack("d", "old")),  # by its evidence: the device itself had confirmed
        ("withdrawn", True, "old", RollBack("d", "old")),  # it had confirmed before the withdrawal came
        ("probation", True, None, Strand("d")),
        ("failed", False, "old", Undone()),  # reverted by itself
        ("withdrawn", False, "old", Undone()),
        ("rolled_back", False, "old", Undone()),
        ("stranded", True, None, Undone()),
        ("superseded", True, "old", Undone()),
    ],
)
def test_a_halted_rollout_takes_back_what_runs(
    state: str, runs_release: bool, previous: str | None, expected: object
) -> None:
    deployed = Deployed("d", state, runs_release, previous)  # type: ignore[arg-type]
    assert undo("everything", [deployed]) == [expected]


@pytest.mark.parametrize("state", ["trial", "rolling_back"])
def test_what_is_on_its_way_is_waited_for(state: str) -> None:
    on_its_way = Deployed("a", state, False, "old")  # type: ignore[arg-type]
    assert undo("everything", [on_its_way, Deployed("b", "rolled_back", False, "old")]) == []


def test_an_abort_leaves_what_has_succeeded() -> None:
    succeeded = Deployed("a", "succeeded", True, "old")
    in_probation = Deployed("b", "probation", True, "old")
    assert undo("unsettled", [succeeded, in_probation]) == [RollBack("b", "old")]
    assert undo("unsettled", [succeeded]) == [Undone()]
    assert undo("everything", [succeeded]) == [RollBack("a", "old")]

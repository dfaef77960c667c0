"""The policy against random fleets: whatever devices do, no history breaks the rules."""

from __future__ import annotations

import math
from fractions import Fraction

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from edgefleet_server.rollouts import policy
from edgefleet_server.rollouts.evidence import Verdict
from edgefleet_server.rollouts.states import AFTER_A_FAILURE, UNACTIVATED, DeploymentState

pytestmark = pytest.mark.property

PROBATION = 10
FAILED = ("failed", *AFTER_A_FAILURE)
WORSE, PASSED = Verdict("worse", "lost", 0.1, 0.001), Verdict("passed", "kept")


class FakeDevice:
    def __init__(self, name: str, stage: int, previous: str | None) -> None:
        self.name = name
        self.stage = stage
        self.previous = previous
        self.running = previous
        self.state: DeploymentState = "waiting"
        self.since = 0
        self.evidence_at: int | None = None
        self.verdict: Verdict | None = None


class Histories(RuleBasedStateMachine):
    """One rollout, its devices, an operator, and time."""

    devices = Bundle("devices")

    def __init__(self) -> None:
        super().__init__()
        self.fleet: list[FakeDevice] = []
        self.now = 0
        self.state = "running"
        self.undone = False
        self.started: set[int] = set()
        self.extent: policy.Undo = "everything"

    @initialize(
        target=devices,
        sizes=st.lists(st.sampled_from([1, 1, 2, 3, 11]), min_size=1, max_size=3),
        success=st.sampled_from(["0.5", "0.9", "1"]),
        error=st.sampled_from(["0", "0.1", "0.29", "0.5"]),
        vectors=st.booleans(),
        fresh=st.booleans(),
    )
    def begin(self, sizes: list[int], success: str, error: str, vectors: bool, fresh: bool) -> object:
        self.plan = policy.Plan(Fraction(success), Fraction(error), PROBATION, vectors)
        for stage, size in enumerate(sizes):
            for _ in range(size):
                self.fleet.append(FakeDevice(f"d{len(self.fleet)}", stage, None if fresh else "old"))
        self.stages = len(sizes)
        self.act()
        from hypothesis.stateful import multiple

        return multiple(*range(len(self.fleet)))

    @rule(
        index=devices, to=st.sampled_from(["downloading", "trial", "confirm", "confirm", "fail", "worse", "evidence"])
    )
    def report(self, index: int, to: str) -> None:
        device = self.fleet[index]
        in_progress = device.state in (*UNACTIVATED, "trial")
        if to in ("downloading", "trial") and in_progress:
            device.state = to  # type: ignore[assignment]
        elif to in ("confirm", "worse") and in_progress:
            device.state, device.running, device.since = "probation", "new", self.now
            device.verdict = WORSE if to == "worse" else None
        elif to == "evidence" and device.state == "probation":
            device.evidence_at, device.verdict = self.now, device.verdict or PASSED
        elif to == "fail" and (in_progress or device.state == "probation"):
            device.state, device.running = "failed", device.previous
        elif to == "confirm" and device.state == "rolling_back":
            device.state, device.running = "rolled_back", device.previous
        self.act()

    @rule(every=st.integers(1, 3))
    def many_do_well(self, every: int) -> None:
        """All that are assigned (or some of them) confirm, and live through probation with evidence."""
        for number, device in enumerate(self.fleet):
            if device.state in (*UNACTIVATED, "trial") and number % every == 0:
                device.state, device.running, device.since = "probation", "new", self.now
        self.now += PROBATION
        for device in self.fleet:
            if device.state == "probation":
                device.evidence_at, device.verdict = self.now, device.verdict or PASSED
        self.act()

    @rule(index=devices)
    def confirmation_crosses_withdrawal(self, index: int) -> None:
        device = self.fleet[index]
        if device.state == "withdrawn" and device.stage in self.started:
            device.running, self.undone = "new", False
            self.act()

    @rule(step=st.integers(1, 2 * PROBATION))
    def time_passes(self, step: int) -> None:
        self.now += step
        self.act()

    @rule(pause=st.booleans())
    def operator_pauses_or_resumes(self, pause: bool) -> None:
        if self.state in ("running", "paused"):
            self.state = "paused" if pause else "running"
            self.act()

    @rule(everything=st.booleans())
    def operator_aborts(self, everything: bool) -> None:
        if self.state in ("running", "paused"):
            self.state, self.extent = "aborted", "everything" if everything else "unsettled"
            self.act()

    def act(self) -> None:
        """Apply what the policy says until it is silent, which it must become."""
        for _ in range(10 * len(self.fleet) + 20):
            if not (self.forward() if self.state in ("running", "paused") else self.backward()):
                return
        raise AssertionError("the policy is never silent")

    def forward(self) -> bool:
        plan = policy.Plan(
            self.plan.success, self.plan.error, PROBATION, self.plan.vectors, paused=self.state == "paused"
        )
        counts = [self.counts(stage) for stage in range(self.stages)]
        watched = [
            policy.Watched(device.name, device.since, device.evidence_at, device.verdict)
            for device in self.fleet
            if device.state == "probation"
        ]
        failed = [deployed for deployed in self.deployed() if deployed.state == "failed"]
        actions = policy.decide(plan, counts, watched, failed, self.now)
        for action in actions:
            match action:
                case policy.Succeed(name):
                    device = self.named(name)
                    assert self.now >= device.since + PROBATION, "success before the probation was over"
                    assert device.running == "new"
                    assert not self.plan.vectors or device.evidence_at is not None
                    device.state = "succeeded"
                case policy.Fail(name, _):
                    self.named(name).state = "failed"
                case policy.RollBack() | policy.Strand():
                    self.send_back(action)
                case policy.StartStage(index):
                    self.check_start(index)
                    self.started.add(index)
                    for device in self.fleet:
                        if device.stage == index:
                            device.state = "assigned"
                case policy.Halt():
                    self.state, self.extent = "halted", "everything"
                case policy.Finish():
                    assert self.state == "running"
                    assert all(device.state in ("succeeded", *FAILED) for device in self.fleet)
                    assert all(device.running != "new" for device in self.fleet if device.state == "failed")
                    self.state = "finished"
        return bool(actions)

    def check_start(self, index: int) -> None:
        assert self.state == "running", "a paused rollout started a stage"
        assert index not in self.started, "a stage started twice"
        assert self.started == set(range(index)), "a stage was skipped"
        for earlier in range(index):
            counts = self.counts(earlier)
            assert counts.executed >= math.ceil(self.plan.success * counts.size)
            assert Fraction(counts.succeeded, counts.executed) >= self.plan.success

    def backward(self) -> bool:
        if self.state == "finished" or self.undone:
            return False
        actions = policy.undo(self.extent, self.deployed())
        for action in actions:
            match action:
                case policy.Withdraw(name):
                    assert self.named(name).state in ("waiting", *UNACTIVATED), "a trial was cut short"
                    self.named(name).state = "withdrawn"
                case policy.RollBack() | policy.Strand():
                    self.send_back(action)
                case policy.Undone():
                    self.undone = True
        return bool(actions)

    def deployed(self) -> list[policy.Deployed]:
        return [
            policy.Deployed(device.name, device.state, device.running == "new", device.previous)
            for device in self.fleet
        ]

    def send_back(self, action: policy.RollBack | policy.Strand) -> None:
        device = self.named(action.device)
        assert device.running == "new"
        if isinstance(action, policy.RollBack):
            assert action.digest == device.previous == "old"
            device.state = "rolling_back"
        else:
            assert device.previous is None
            device.state = "stranded"

    def counts(self, stage: int) -> policy.StageCounts:
        states = [device.state for device in self.fleet if device.stage == stage]
        return policy.StageCounts(
            stage,
            stage in self.started,
            waiting=states.count("waiting"),
            in_progress=sum(state in (*UNACTIVATED, "trial") for state in states),
            probation=states.count("probation"),
            succeeded=states.count("succeeded"),
            failed=sum(state in FAILED for state in states),
        )

    def named(self, name: str) -> FakeDevice:
        return self.fleet[int(name[1:])]

    @invariant()
    def too_many_failures_never_go_on(self) -> None:
        if self.state not in ("running", "paused", "finished"):
            return
        for stage in range(self.stages):
            counts = self.counts(stage)
            if counts.size and stage in self.started:
                assert Fraction(counts.failed, counts.size) <= self.plan.error

    @invariant()
    def what_was_not_started_was_not_touched(self) -> None:
        for device in self.fleet:
            if device.stage not in self.started:
                assert device.state in ("waiting", "withdrawn")
                assert device.running == device.previous

    @invariant()
    def what_is_undone_runs_nowhere_but_where_it_cannot_leave(self) -> None:
        if not self.undone:
            return
        kept = ("stranded",) if self.extent == "everything" else ("stranded", "succeeded")
        assert all(device.state in kept for device in self.fleet if device.running == "new")


Histories.TestCase.settings = settings(max_examples=400, stateful_step_count=50, deadline=None)
TestHistories = Histories.TestCase

"""When does a rollout go on, stop, go back, or end? Two pure functions from facts to actions.

``decide`` moves a rollout forward:

1. A device in probation whose evidence is worse has failed. One that is through probation, with the evidence that the
   plan asks for, has succeeded. One that says why it has no evidence has failed: at once where trying again would
   change nothing, else when the last run of the vectors has had its time.
2. A stage halts the rollout when too many have failed. The share is over *executed* deployments (succeeded or failed),
   once there are ``MIN_EXECUTED`` of them or the stage has no more; and at once when so many have failed that the
   rest of the stage could not mend it.
3. A device that has failed and yet runs the release goes back at once, whether or not its rollout goes on: the
   thresholds bear failures, not devices that serve what was found bad.
4. A stage passes when enough of it is executed and the share of successes reaches the threshold. A stage that has
   ended without passing halts: there is no gap between the two thresholds through which a rollout could slip.
5. Stages start one after the other. The rollout is finished when every deployment has ended, not when the last stage
   has passed.

``undo`` takes a rollout back that was halted, aborted or rolled back: what is not activated is withdrawn, trials end
first, what runs returns to what the device confirmed before.

Facts come in, actions come out; nothing here reads a clock or a database. Callers apply the actions and ask again
until none is left.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from edgefleet_server.rollouts.evidence import Verdict
from edgefleet_server.rollouts.states import UNACTIVATED, DeploymentState, Undo

MIN_EXECUTED = 10  # fewer say little about a share, unless the stage has no more
WORSE = "evidence.worse"  # the error code of a deployment that failed by its evidence


@dataclass(frozen=True)
class Plan:
    """What the operator asked for.

    Attributes:
        success: Least share of successes for a stage to pass.
        error: Largest share of failures that is borne.
        probation_ms: How long a confirmed device is watched.
        vectors: Whether there are rollout vectors, so that success needs evidence.
        paused: Whether the operator holds new stages back.
    """

    success: Fraction
    error: Fraction
    probation_ms: int
    vectors: bool
    paused: bool = False


@dataclass(frozen=True)
class StageCounts:
    """The deployments of one stage by state; skipped and withdrawn ones do not count.

    Attributes:
        waiting: Not assigned yet.
        in_progress: Assigned, up to the trial.
        probation: Confirmed, and watched.
        failed: Also those that are going back, or have gone back, since.
    """

    index: int
    started: bool
    waiting: int = 0
    in_progress: int = 0
    probation: int = 0
    succeeded: int = 0
    failed: int = 0

    @property
    def executed(self) -> int:
        """Deployments that have ended."""
        return self.succeeded + self.failed

    @property
    def size(self) -> int:
        """All deployments."""
        return self.waiting + self.in_progress + self.probation + self.executed

    @property
    def ended(self) -> bool:
        """Whether nothing is left to wait for."""
        return self.executed == self.size


@dataclass(frozen=True)
class Amiss:
    """What kept a device from gathering evidence, as it says."""

    code: str
    text: str

    @property
    def lasts(self) -> bool:
        """Whether it will be so each time: vectors that cannot be read, or that the model does not take."""
        return self.code.startswith("data.")


@dataclass(frozen=True)
class Watched:
    """A device in probation, and the evidence of it.

    Attributes:
        since: When the server learnt of its confirmation, in UTC milliseconds.
        evidence_at: When its newest evidence of the probation came; None before.
        verdict: On its newest evidence; None before.
        amiss: Why its last run of the vectors brought none; None where it did, or there was no run yet.
    """

    device: str
    since: int
    evidence_at: int | None = None
    verdict: Verdict | None = None
    amiss: Amiss | None = None


@dataclass(frozen=True)
class Deployed:
    """A deployment that may have to go back.

    Attributes:
        runs_release: Whether the device reports that it runs what this rollout brought.
        previous: The digest it can go back to; None when it has confirmed nothing before.
    """

    device: str
    state: DeploymentState
    runs_release: bool
    previous: str | None


@dataclass(frozen=True)
class Succeed:
    """The device is through probation."""

    device: str


@dataclass(frozen=True)
class Fail:
    """The device's evidence says no, or the device cannot give any; ``code`` is the deployment's error code."""

    device: str
    reason: str
    code: str = WORSE


@dataclass(frozen=True)
class StartStage:
    """Assign the release to the devices of this stage."""

    index: int


@dataclass(frozen=True)
class Halt:
    """Stop, and go back."""

    stage: int
    reason: str


@dataclass(frozen=True)
class Finish:
    """Every deployment has ended, and every stage has passed."""


@dataclass(frozen=True)
class Withdraw:
    """Take back an assignment that is not activated, or was never made."""

    device: str


@dataclass(frozen=True)
class RollBack:
    """Assign, under a new sequence, what the device confirmed before."""

    device: str
    digest: str


@dataclass(frozen=True)
class Strand:
    """The device runs the release and has nothing to go back to."""

    device: str


@dataclass(frozen=True)
class Undone:
    """Nothing is left to take back."""


Action = Succeed | Fail | StartStage | Halt | Finish | RollBack | Strand
UndoAction = Withdraw | RollBack | Strand | Undone


def decide(
    plan: Plan, counts: Sequence[StageCounts], evidence: Sequence[Watched], failed: Sequence[Deployed], now: int
) -> list[Action]:
    """What to do next with a rollout that is running or paused.

    Args:
        plan: What the operator asked for.
        counts: The stages in their order.
        evidence: The devices in probation.
        failed: The deployments in the state "failed".
        now: UTC milliseconds.
    """
    settled: list[Action] = [action for watched in evidence if (action := _settle(plan, watched, now)) is not None]
    if settled:
        return settled  # they change the counts: these are judged at the next call
    for stage in counts:
        if stage.started and (reason := _reason_to_halt(plan, stage)):
            return [Halt(stage.index, reason)]
    gone_bad: list[Action] = [_send_back(deployed) for deployed in failed if deployed.runs_release]
    if gone_bad:
        return gone_bad
    if plan.paused:
        return []
    return _advance(plan, counts)


def undo(extent: Undo, deployments: Sequence[Deployed]) -> list[UndoAction]:
    """What to do next with a rollout that was halted, aborted or rolled back.

    Args:
        extent: "everything", or only what has not succeeded.
        deployments: All that are not skipped.
    """
    actions: list[UndoAction] = [
        action for deployed in deployments if (action := _take_back(extent, deployed)) is not None
    ]
    if actions:
        return actions
    if any(_is_on_its_way(deployed) for deployed in deployments):
        return []
    return [Undone()]


def _settle(plan: Plan, watched: Watched, now: int) -> Succeed | Fail | None:
    if watched.verdict is not None and watched.verdict.finding == "worse":
        return Fail(watched.device, watched.verdict.text)
    end = watched.since + plan.probation_ms
    if now >= end and _has_evidence(plan, watched):
        return Succeed(watched.device)
    # Devices run the vectors each quarter of the probation: the run at its end has another one to come in.
    if plan.vectors and watched.amiss and (watched.amiss.lasts or now >= end + plan.probation_ms // 4):
        return Fail(watched.device, f"it has no evidence: {watched.amiss.text}", watched.amiss.code)
    return None


def _has_evidence(plan: Plan, watched: Watched) -> bool:
    """Whether the device was heard with evidence in the second half of its probation: it has lived through it."""
    if not plan.vectors:
        return True
    if watched.verdict is None or watched.verdict.finding == "invalid" or watched.evidence_at is None:
        return False
    return watched.evidence_at >= watched.since + plan.probation_ms // 2


def _reason_to_halt(plan: Plan, stage: StageCounts) -> str:
    if stage.size == 0:
        return ""
    failed = f"{stage.failed} of {stage.executed} executed deployments of stage {stage.index + 1} failed"
    beyond_repair = Fraction(stage.failed, stage.size) > plan.error
    enough = stage.executed >= min(MIN_EXECUTED, stage.size)
    if beyond_repair or (enough and Fraction(stage.failed, stage.executed) > plan.error):
        return f"{failed}, more than the error threshold of {_percent(plan.error)} allows"
    if stage.ended and Fraction(stage.succeeded, stage.size) < plan.success:
        return f"stage {stage.index + 1} ended below its success threshold of {_percent(plan.success)}: {failed}"
    return ""


def _has_passed(plan: Plan, stage: StageCounts) -> bool:
    """Enough is executed, and enough of that has succeeded. An empty stage has nothing to fail by."""
    if stage.size == 0:
        return True
    needed = math.ceil(plan.success * stage.size)
    return stage.executed >= max(1, needed) and Fraction(stage.succeeded, stage.executed) >= plan.success


def _advance(plan: Plan, counts: Sequence[StageCounts]) -> list[Action]:
    for stage in counts:
        if not stage.started:
            return [StartStage(stage.index)]
        if not _has_passed(plan, stage):
            return []
    return [Finish()] if all(stage.ended for stage in counts) else []


def _take_back(extent: Undo, deployed: Deployed) -> Withdraw | RollBack | Strand | None:
    match deployed.state:
        case "waiting":
            return Withdraw(deployed.device)
        case state if state in UNACTIVATED:
            return Withdraw(deployed.device)
        case "succeeded" if extent == "unsettled":
            return None
        case "probation" | "succeeded" | "failed" | "withdrawn" if deployed.runs_release:
            return _send_back(deployed)
        case _:
            return None


def _send_back(deployed: Deployed) -> RollBack | Strand:
    return RollBack(deployed.device, deployed.previous) if deployed.previous else Strand(deployed.device)


def _is_on_its_way(deployed: Deployed) -> bool:
    return deployed.state in ("trial", "rolling_back")


def _percent(share: Fraction) -> str:
    return f"{float(share):.3g}" if share > 1 else f"{float(share * 100):g}%"

"""Applies the policy: reads the facts of each rollout under way, asks, and does what it is told, until it is silent.

Facts and actions share one transaction, which holds the write lock from its start: no two processes can act on the
same facts, and a crash leaves either all of a decision or nothing of it.
"""

from __future__ import annotations

import logging

from sqlalchemy import select

from edgefleet_contract.errors import ServerDiskFailed
from edgefleet_server.alerts import service as alerts
from edgefleet_server.audit.change import POLICY, Change
from edgefleet_server.clock import Clock
from edgefleet_server.db import Database
from edgefleet_server.releases.models import ReleasedBundle
from edgefleet_server.rollouts import facts, policy, progress
from edgefleet_server.rollouts.assignments import Assigner
from edgefleet_server.rollouts.models import Deployment, Rollout, Stage, rollout_label
from edgefleet_server.rollouts.states import ACTIVE_ROLLOUTS, UNDOABLE_ROLLOUTS
from edgefleet_server.trust import service as trust

_log = logging.getLogger(__name__)


class Engine:
    """Moves all rollouts of a database."""

    def __init__(self, database: Database, assigner: Assigner, clock: Clock) -> None:
        self._database = database
        self._assigner = assigner
        self._clock = clock

    def run_until_quiet(self) -> bool:
        """Apply every action that is due; returns whether there was any."""
        with self._database.read() as session:
            under_way = facts.rollouts_under_way(session)
        acted = False
        for rollout_id in under_way:
            try:
                while self._step(rollout_id):
                    acted = True
            except ServerDiskFailed:
                raise  # it is not this rollout's, and the others would fail too
            except Exception:  # noqa: BLE001 - one rollout that we fail at must not hold the others up
                _log.exception("rollout=%s failed and will be tried again", rollout_label(rollout_id))
        return acted

    def renew_assignments(self) -> bool:
        """Issue again what devices would refuse; returns whether there was any."""
        with self._database.write() as session:
            return trust.newest_root(session) is not None and self._assigner.renew(session) > 0

    def _step(self, rollout_id: int) -> bool:
        """One decision and what follows from it; whether there was anything to do."""
        with self._database.write() as session:
            change = Change(session, self._clock(), POLICY)
            rollout = session.get_one(Rollout, rollout_id)
            if rollout.state in ACTIVE_ROLLOUTS:
                return self._move_on(change, rollout)
            if rollout.state in UNDOABLE_ROLLOUTS and rollout.undone_at is None:
                return self._move_back(change, rollout)
            return False

    def _move_on(self, change: Change, rollout: Rollout) -> bool:
        if rollout.state == "running" and self._assign_latecomers(change, rollout):
            return True
        actions = policy.decide(
            facts.plan_of(rollout),
            facts.counts_of(change.session, rollout),
            facts.watched_of(change.session, rollout),
            facts.failed_of(change.session, rollout),
            change.now,
        )
        for action in actions:
            _log.info("rollout=%s %s", rollout.label, action)
            match action:
                case policy.Succeed(device):
                    change.session.get_one(Deployment, (rollout.id, device)).state = "succeeded"
                    change.record("deployment.succeeded", device=device, rollout=rollout.id)
                case policy.Fail(device, reason, code):
                    deployment = change.session.get_one(Deployment, (rollout.id, device))
                    deployment.state, deployment.error_code, deployment.error_text = "failed", code, reason
                    change.record("deployment.failed", device=device, rollout=rollout.id, code=code, text=reason)
                case policy.StartStage(index):
                    self._start_stage(change, rollout, index)
                case policy.RollBack(device) | policy.Strand(device):
                    self._take_back(change, rollout, device, action)
                case policy.Halt(stage, reason):
                    _halt(change, rollout, stage, reason)
                case policy.Finish():
                    rollout.state, rollout.ended_at = "finished", change.now
                    change.record("rollout.finished", rollout=rollout.id)
        return bool(actions)

    def _move_back(self, change: Change, rollout: Rollout) -> bool:
        actions = policy.undo(rollout.undo or "unsettled", facts.deployed_of(change.session, rollout))
        for action in actions:
            _log.info("rollout=%s %s", rollout.label, action)
            if isinstance(action, policy.Undone):
                rollout.undone_at = change.now
                states = facts.states_of(change.session, rollout)
                change.record("rollout.undone", rollout=rollout.id, deployments=states)
            else:
                self._take_back(change, rollout, action.device, action)
        return bool(actions)

    def _start_stage(self, change: Change, rollout: Rollout, index: int) -> None:
        stage = change.session.get_one(Stage, (rollout.id, index))
        stage.started_at = change.now
        change.record(
            "stage.started", rollout=rollout.id, stage=index + 1, percent=stage.percent, devices=stage.devices
        )
        self._assign_waiting(change, rollout, index)

    def _assign_latecomers(self, change: Change, rollout: Rollout) -> bool:
        """Serve the devices that took over a place in a stage that has started; whether there was any."""
        started = [stage.index for stage in rollout.stages if stage.started_at is not None]
        return any(self._assign_waiting(change, rollout, index) for index in started)

    def _assign_waiting(self, change: Change, rollout: Rollout, index: int) -> bool:
        session = change.session
        waiting = select(Deployment).where(
            Deployment.rollout_id == rollout.id, Deployment.stage == index, Deployment.state == "waiting"
        )
        found = session.scalars(waiting.order_by(Deployment.device_id)).all()
        for deployment in found:
            bundle = session.get_one(ReleasedBundle, deployment.digest)
            deployment.previous = facts.previous_of(session, deployment)
            deployment.state, deployment.updated_at = "assigned", change.now
            self._assigner.deploy(session, rollout, deployment, bundle)
            change.record(
                "deployment.assigned",
                device=deployment.device_id,
                rollout=rollout.id,
                sequence=deployment.sequence,
                digest=bundle.digest,
                stage=index + 1,
            )
        return bool(found)

    def _take_back(
        self,
        change: Change,
        rollout: Rollout,
        device: str,
        action: policy.Withdraw | policy.RollBack | policy.Strand,
    ) -> None:
        deployment = change.session.get_one(Deployment, (rollout.id, device))
        deployment.updated_at = change.now
        match action:
            case policy.Withdraw():
                if deployment.state != "waiting":
                    self._assigner.withdraw(change.session, rollout, deployment)
                deployment.state = "withdrawn"
                change.record("deployment.withdrawn", device=device, rollout=rollout.id, sequence=deployment.sequence)
            case policy.RollBack(_, digest):
                previous = change.session.get_one(ReleasedBundle, digest)
                self._assigner.roll_back(change.session, rollout, deployment, previous)
                deployment.state = "rolling_back"
                change.record(
                    "deployment.rollback_assigned",
                    device=device,
                    rollout=rollout.id,
                    sequence=deployment.sequence,
                    digest=digest,
                )
            case policy.Strand():
                progress.strand(change, deployment, "it has confirmed nothing before that is still released")


def _halt(change: Change, rollout: Rollout, stage: int, reason: str) -> None:
    """Stop. The reason names one of the failures, for whoever reads it first."""
    failure = facts.first_failure(change.session, rollout)
    if failure is not None:
        reason = f"{reason}. {failure.device_id}: {failure.error_text}"
    rollout.state, rollout.reason, rollout.undo, rollout.ended_at = "halted", reason, "everything", change.now
    change.record("rollout.halted", rollout=rollout.id, stage=stage + 1, reason=reason)
    alerts.raise_alert(
        change,
        kind="halted",
        cause=f"halted:{rollout.id}",
        text=f"Rollout {rollout.label} of {rollout.release.label} was halted: {reason}",
        rollout=rollout.id,
    )

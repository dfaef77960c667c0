"""What a device's report means for its deployment. The report is the device's word; deciding is the policy's."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import msgspec

from edgefleet_contract import manifest as manifests
from edgefleet_contract.messages import Evidence, Reported
from edgefleet_server.alerts import service as alerts
from edgefleet_server.audit.change import Change
from edgefleet_server.devices.models import Device
from edgefleet_server.releases.models import ReleasedBundle
from edgefleet_server.rollouts import assignments
from edgefleet_server.rollouts.evidence import judge
from edgefleet_server.rollouts.models import Assignment, Deployment, Rollout
from edgefleet_server.rollouts.states import (
    ACTIVE_ROLLOUTS,
    IN_PROGRESS,
    PROGRESS_OF_DEVICE_STATE,
    REFUSALS,
    UNDOABLE_ROLLOUTS,
)

_CODE_LIMIT = 64
_TEXT_LIMIT = 1000  # characters of an error that are kept


def record(change: Change, device: Device, reported: Reported) -> None:
    """Bring the deployment of the device's assignment in force up to date with a report that is newer than its twin.

    Args:
        change: Of the device.
        device: Whose report it is.
        reported: What it says.
    """
    assignment = assignments.in_force(change.session, device)
    if assignment is None:
        return
    deployment = change.session.get(Deployment, (assignment.rollout_id, device.id))
    if deployment is None or deployment.sequence != assignment.sequence:
        return
    report = _Report(change, reported, assignment, deployment)
    if assignment.purpose == "withdraw":
        report.reopen_undo()
    elif reported.sequence == assignment.sequence:  # otherwise it speaks of an assignment no longer in force
        deployment.updated_at = change.now
        if assignment.purpose == "deploy":
            report.take_deploy()
        else:
            report.take_rollback()


def strand(change: Change, deployment: Deployment, why: str) -> None:
    """The device runs a release that was taken back, and cannot leave it: a person must look."""
    deployment.state = "stranded"
    deployment.error_code, deployment.error_text = "rollback.impossible", why[:_TEXT_LIMIT]
    device, rollout = deployment.device_id, deployment.rollout_id
    change.record("deployment.stranded", device=device, rollout=rollout, why=why)
    alerts.raise_alert(
        change,
        kind="rollback",
        cause=f"rollback:{rollout}:{device}",
        text=f"Device {device} could not go back from what r{rollout} brought: {why}",
        device=device,
        rollout=rollout,
        digest=deployment.digest,
    )


@dataclass(frozen=True)
class _Report:
    """One report, and what it is about."""

    change: Change
    reported: Reported
    assignment: Assignment
    deployment: Deployment

    def take_deploy(self) -> None:
        deployment, state = self.deployment, self.reported.state
        if state == "confirmed":
            self._take_confirmation()
        elif state in REFUSALS:
            error = self.reported.error
            self._fail(error.code if error else state, error.text if error else f"the device reports {state!r}")
        elif deployment.state in IN_PROGRESS and state in PROGRESS_OF_DEVICE_STATE:
            deployment.state = PROGRESS_OF_DEVICE_STATE[state]

    def take_rollback(self) -> None:
        if self.deployment.state != "rolling_back":
            return
        if self.reported.state == "confirmed" and self.reported.running == self.assignment.digest:
            self.deployment.state = "rolled_back"
            self._record("deployment.rolled_back", sequence=self.assignment.sequence, digest=self.assignment.digest)
        elif self.reported.state in REFUSALS:
            error = self.reported.error
            strand(self.change, self.deployment, error.text if error else f"it reports {self.reported.state!r}")

    def reopen_undo(self) -> None:
        """The device had confirmed before the withdrawal reached it: it must go back after all."""
        deployment = self.deployment
        rollout = self.change.session.get_one(Rollout, deployment.rollout_id)
        runs_it = self.reported.running == deployment.digest != deployment.previous
        if deployment.state == "withdrawn" and runs_it and rollout.state in UNDOABLE_ROLLOUTS:
            rollout.undone_at = None

    def _take_confirmation(self) -> None:
        deployment, assignment = self.deployment, self.assignment
        if self.reported.running != assignment.digest:
            self._fail("report.contradiction", "the device confirmed one bundle and runs another")
            return
        if deployment.state in IN_PROGRESS:
            deployment.state, deployment.confirmed_at = "probation", self.change.now
            self._record("deployment.confirmed", sequence=assignment.sequence, digest=assignment.digest)
        if deployment.state == "probation":
            error = self.reported.error  # such as vectors that the model cannot take: why evidence may be missing
            deployment.error_code = error.code[:_CODE_LIMIT] if error else None
            deployment.error_text = error.text[:_TEXT_LIMIT] if error else None
            for evidence in self.reported.evidence:
                if evidence.sequence == assignment.sequence:
                    self._take_evidence(evidence)

    def _take_evidence(self, evidence: Evidence) -> None:
        deployment, assignment = self.deployment, self.assignment
        if assignment.vectors_sha256 is None or assignment.digest is None:
            return
        if evidence.phase == "trial" and "probation" in deployment.evidence:
            return  # the newer phase speaks
        bundle = self.change.session.get_one(ReleasedBundle, assignment.digest)
        compiled = manifests.decode(bundle.manifest).compiled
        verdict = judge(evidence, digest=assignment.digest, vectors=assignment.vectors_sha256, compiled=compiled)
        same = deployment.verdict is not None and deployment.verdict["finding"] == verdict.finding
        first_of_phase = evidence.phase not in deployment.evidence
        deployment.evidence = {**deployment.evidence, evidence.phase: msgspec.to_builtins(evidence)}
        deployment.verdict = {"phase": evidence.phase, **asdict(verdict)}
        if evidence.phase == "probation":
            deployment.evidence_at = self.change.now
        if first_of_phase or not same:
            self._record("deployment.evidence", **deployment.verdict)

    def _fail(self, code: str, text: str) -> None:
        """A success is revocable while its rollout is under way."""
        deployment = self.deployment
        rollout = self.change.session.get_one(Rollout, deployment.rollout_id)
        revocable = ("succeeded",) if rollout.state in ACTIVE_ROLLOUTS else ()
        if deployment.state not in (*IN_PROGRESS, "probation", *revocable):
            return
        code, text = code[:_CODE_LIMIT], text[:_TEXT_LIMIT]
        deployment.state, deployment.error_code, deployment.error_text = "failed", code, text
        self._record("deployment.failed", code=code, text=text)

    def _record(self, act: str, **details: object) -> None:
        self.change.record(act, device=self.deployment.device_id, rollout=self.deployment.rollout_id, **details)

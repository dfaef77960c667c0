"""Assignments: the signed word that a device obeys. Each one has a higher sequence than all before it."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from edgefleet_contract import canonical, dsse, trust
from edgefleet_contract.errors import Conflict
from edgefleet_contract.trust.statements import Purpose
from edgefleet_server.clock import DAY, SECOND, Clock
from edgefleet_server.devices.models import Device, Twin
from edgefleet_server.releases.content_keys import ContentKeys
from edgefleet_server.releases.models import Blob, Release, ReleasedBundle
from edgefleet_server.rollouts.models import Assignment, Deployment, Rollout
from edgefleet_server.rollouts.states import IN_PROGRESS, UNDER_WAY_AFTER_THE_END, UNSETTLED
from edgefleet_server.trust import service as trust_service
from edgefleet_server.trust.online_keys import OnlineKey, OnlineKeys
from edgefleet_server.trust.server_keys import ASSIGNMENT, key_ids

ASSIGNMENT_LIFE = 30 * DAY  # after that a device no longer activates it
RENEW_BEFORE = 10 * DAY


@dataclass(frozen=True)
class _Order:
    """What is to be assigned."""

    purpose: Purpose
    rollout: Rollout
    bundle: ReleasedBundle | None = None
    vectors: Blob | None = None


class Assigner:
    """Makes assignments, in the transaction of whoever decided on them."""

    def __init__(self, keys: OnlineKeys, content_keys: ContentKeys, clock: Clock) -> None:
        self._keys = keys
        self._content_keys = content_keys
        self._clock = clock

    def deploy(self, session: Session, rollout: Rollout, deployment: Deployment, bundle: ReleasedBundle) -> None:
        """Assign the rollout's bundle, with its probation and its vectors."""
        _supersede_older(session, rollout, deployment.device_id)
        vectors = session.get(Blob, rollout.vectors_sha256) if rollout.vectors_sha256 else None
        self._assign(session, deployment, _Order("deploy", rollout, bundle, vectors))

    def withdraw(self, session: Session, rollout: Rollout, deployment: Deployment) -> None:
        """Take back what the device has not confirmed."""
        self._assign(session, deployment, _Order("withdraw", rollout))

    def roll_back(self, session: Session, rollout: Rollout, deployment: Deployment, previous: ReleasedBundle) -> None:
        """Assign what the device confirmed before."""
        self._assign(session, deployment, _Order("rollback", rollout, previous))

    def renew(self, session: Session) -> int:
        """Issue again, under new sequences, what devices still need and would refuse; returns how many.

        These are assignments that expire soon; those below a sequence that the device reports, for a server restored
        from a copy has forgotten what it assigned since; and all that another key signed than the root names now. Where
        the release was withdrawn and nothing is under way, the assignment is taken back: its proof would fail, and with
        it every newer root. What such a device runs, it keeps until it is assigned another.
        """
        key = self._key(session)
        stale = (
            select(Assignment, Deployment)
            .join(Device, Device.id == Assignment.device_id)
            .join(Twin, Twin.device_id == Device.id)
            .join(
                Deployment,
                (Deployment.rollout_id == Assignment.rollout_id) & (Deployment.device_id == Assignment.device_id),
            )
            .outerjoin(Release, Release.id == Assignment.release_id)
            .where(
                Assignment.sequence == Device.sequence,
                Deployment.sequence == Assignment.sequence,
                (
                    Deployment.state.in_((*IN_PROGRESS, "rolling_back"))
                    & (
                        (Assignment.expires < self._clock() + RENEW_BEFORE)
                        | ((Twin.sequence > Device.sequence) & (Twin.reported_at >= Assignment.issued_at))
                    )
                )
                | (Assignment.key_id != key.id)
                | (Release.withdrawn_at.is_not(None) & Deployment.state.not_in(UNSETTLED)),
            )
        )
        found = session.execute(stale).all()
        for assignment, deployment in found:
            rollout = session.get_one(Rollout, assignment.rollout_id)
            bundle = session.get_one(ReleasedBundle, assignment.digest) if assignment.digest else None
            if bundle and bundle.release.withdrawn_at is not None and deployment.state not in UNSETTLED:
                self.withdraw(session, rollout, deployment)
                continue
            vectors = session.get(Blob, assignment.vectors_sha256) if assignment.vectors_sha256 else None
            self._assign(session, deployment, _Order(_purpose(assignment), rollout, bundle, vectors))
        return len(found)

    def _key(self, session: Session) -> OnlineKey:
        root = trust_service.newest_root(session)
        if root is None:
            raise Conflict("This server has no trust root yet", remedy="Push with `edgefleet release push`.")
        return self._keys.key(root, ASSIGNMENT)

    def _assign(self, session: Session, deployment: Deployment, order: _Order) -> None:
        device, now = deployment.device, self._clock()
        key = self._key(session)
        device.sequence = next_sequence(session, device, now)
        deployment.sequence = device.sequence
        statement = trust.Assignment(
            v=trust.VERSION,
            device=device.id,
            hardware=device.hardware,
            digest=order.bundle.digest if order.bundle else None,
            sequence=device.sequence,
            expires=now + ASSIGNMENT_LIFE,
            rollout=order.rollout.label,
            probation_ms=order.rollout.probation_ms if order.purpose == "deploy" else 0,
            vectors=trust.FileReference(order.vectors.sha256, order.vectors.size) if order.vectors else None,
            purpose=order.purpose,
            content_key=self._content_keys.wrapped_for(device, order.bundle) if order.bundle else None,
        )
        session.add(
            Assignment(
                device_id=device.id,
                sequence=device.sequence,
                rollout_id=order.rollout.id,
                purpose=order.purpose,
                digest=statement.digest,
                release_id=order.bundle.release_id if order.bundle else None,
                bundle_sha256=order.bundle.sha256 if order.bundle else None,
                vectors_sha256=order.vectors.sha256 if order.vectors else None,
                envelope=dsse.sign(canonical.encode(statement), dsse.ASSIGNMENT, [key.private]),
                key_id=key.id,
                issued_at=now,
                expires=statement.expires,
            )
        )


def _purpose(assignment: Assignment) -> Purpose:
    purpose: Purpose = msgspec.convert(assignment.purpose, Purpose)
    return purpose


def next_sequence(session: Session, device: Device, now: int) -> int:
    """Above everything assigned before, everything the device speaks of, and (after a loss of both) the clock.

    A device's floor falls with the keys that set it. So does what counts here once the root no longer names the key of
    the last assignment: a thief of it, or a device that lies, drives the sequences no further than that.
    """
    last, root = in_force(session, device), trust_service.newest_root(session)
    starts_anew = last is not None and root is not None and last.key_id not in key_ids(root, ASSIGNMENT)
    below = 0 if starts_anew else max(device.sequence, _told_since(device.twin, last))
    sequence = max(below + 1, now // SECOND)
    while session.get(Assignment, (device.id, sequence)) is not None:
        sequence += 1
    return sequence


def _told_since(twin: Twin, last: Assignment | None) -> int:
    """What the device speaks of since its last assignment: what it told before was counted then, or fell with a key."""
    is_news = last is None or (twin.reported_at is not None and twin.reported_at >= last.issued_at)
    return twin.sequence if is_news else 0


def in_force(session: Session, device: Device) -> Assignment | None:
    """The device's assignment with the highest sequence; None before the first."""
    return session.get(Assignment, (device.id, device.sequence)) if device.sequence else None


def _supersede_older(session: Session, rollout: Rollout, device: str) -> None:
    session.execute(
        update(Deployment)
        .where(
            Deployment.device_id == device,
            Deployment.rollout_id != rollout.id,
            Deployment.state.in_(UNDER_WAY_AFTER_THE_END),
        )
        .values(state="superseded")
    )

"""The server's copy of the repository: grows by what the publisher signed, and is signed anew by the online key."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

from sqlalchemy import ColumnElement, delete, exists, select, true, update
from sqlalchemy.orm import Session
from tuf.api.metadata import Root

from edgefleet_contract import canonical
from edgefleet_contract.trust.history import check_issued
from edgefleet_server.audit.change import Change
from edgefleet_server.devices.models import Device, Twin
from edgefleet_server.releases import withdrawals
from edgefleet_server.rollouts.models import Assignment, Deployment
from edgefleet_server.rollouts.states import IN_PROGRESS
from edgefleet_server.trust import online, released
from edgefleet_server.trust.models import TrustMetadata
from edgefleet_server.trust.online import OnlineMetadata
from edgefleet_server.trust.online_keys import OnlineKeys
from edgefleet_server.trust.proofs import ProofBook
from edgefleet_server.trust.repository import Repository, parse, split_name
from edgefleet_server.trust.server_keys import ASSIGNMENT, ONLINE

_ONLINE_ROLES = ("snapshot", "timestamp")


def repository(session: Session) -> Repository:
    """What the publisher has signed, as it was verified when it came; empty before the first time."""
    rows = session.scalars(
        select(TrustMetadata).where(TrustMetadata.role.not_in(_ONLINE_ROLES)).order_by(TrustMetadata.version)
    ).all()
    newest = {row.role: row.data for row in rows}
    return Repository(
        roots=tuple(row.data for row in rows if row.role == "root"),
        targets=newest.get("targets"),
        models={role: data for role, data in newest.items() if role not in ("root", "targets")},
    )


def newest_root(session: Session) -> Root | None:
    """The newest root; None before the first."""
    data = session.scalar(
        select(TrustMetadata.data).where(TrustMetadata.role == "root").order_by(TrustMetadata.version.desc()).limit(1)
    )
    return _parsed_root(data) if data is not None else None


def root_by_digest(session: Session, digest: str) -> bytes | None:
    """The bytes of the root that a claim token names; the newest where it names none, None when it is not here."""
    roots = repository(session).roots
    return next((root for root in reversed(roots) if digest in ("", canonical.sha256(root))), None)


def version(session: Session) -> int:
    """Of the newest timestamp; 0 before the first."""
    return session.scalar(select(TrustMetadata.version).where(TrustMetadata.role == "timestamp")) or 0


def proof_book(session: Session) -> ProofBook | None:
    """The proofs of now; None before the first metadata."""
    rows = {
        row.role: row for row in session.scalars(select(TrustMetadata).where(TrustMetadata.role.in_(_ONLINE_ROLES)))
    }
    if not rows:
        return None
    signed = OnlineMetadata(rows["timestamp"].version, rows["snapshot"].data, rows["timestamp"].data)
    return ProofBook(repository(session), signed)


def take(change: Change, keys: OnlineKeys, files: Mapping[str, bytes]) -> Repository:
    """Take newer metadata of the publisher's, and sign snapshot and timestamp over them.

    Raises:
        VerificationError: They are not signed as they must be.
        Conflict: They are older than what is here, or contradict it; or a withdrawn release is in them again.
        OnlineKeyLost: The newest root does not name this server's keys.
        IssuedAhead: A new release was signed by a clock that runs ahead.
    """
    session = change.session
    before = repository(session)
    grown = before.grown(files)
    if grown == before:
        return before
    _check_issued(before, grown, change.now)
    for role in (ONLINE, ASSIGNMENT):
        keys.key(grown.root, role)
    known = before.files()
    for name, data in grown.files().items():
        if name not in known:
            _store(change, *split_name(name), data)
    withdrawals.follow(change, before, grown)
    changed = {role: number for role, number in grown.versions().items() if before.versions().get(role) != number}
    change.record("trust.changed", versions=changed)
    book = resign(change, keys, grown)
    book.check([name for name in grown.models if name in changed], change.now)
    if {"root", "targets"} & set(changed):
        book.check(list(grown.models), now=0)  # all must fit; a role that was let expire must not keep keys in force
    if "root" in changed:
        publish_again(session, true())
    return grown


def resign(change: Change, keys: OnlineKeys, present: Repository) -> ProofBook:
    """Sign snapshot and timestamp anew, and have them published to every device that has still to take its assignment.

    What people have let expire does not keep the rest from being signed.

    Raises:
        OnlineKeyLost: The online key is not here.
    """
    session = change.session
    number = online.next_version(version(session), change.now)
    signed = online.sign(present, keys.key(present.root, ONLINE).signer, number, change.now)
    _store(change, "snapshot", number, signed.snapshot)
    _store(change, "timestamp", number, signed.timestamp)
    unheard = Device.twin.has(Twin.sequence != Device.sequence)  # by it the device follows a root that came meanwhile
    publish_again(session, Deployment.state.in_((*IN_PROGRESS, "rolling_back")) | unheard)
    return ProofBook(present, signed)


def _check_issued(before: Repository, grown: Repository, now: int) -> None:
    for name in grown.models:
        known = released.releases(before.model(name))
        for entry in released.releases(grown.model(name)):
            if entry not in known:
                check_issued(entry[0], now)


@lru_cache(maxsize=4)
def _parsed_root(data: bytes) -> Root:
    return parse(data, Root, "root").signed


def _store(change: Change, role: str, number: int, data: bytes) -> None:
    if role != "root":
        change.session.execute(delete(TrustMetadata).where(TrustMetadata.role == role))
    change.session.add(TrustMetadata(role=role, version=number, data=data, stored_at=change.now))
    change.session.flush()


def publish_again(session: Session, condition: ColumnElement[bool]) -> None:
    """Have the desired twins in force published once more, of those deployments that ``condition`` holds for."""
    concerned = exists().where(
        Device.id == Assignment.device_id,
        Device.sequence == Assignment.sequence,
        Deployment.device_id == Assignment.device_id,
        Deployment.rollout_id == Assignment.rollout_id,
        condition,
    )
    session.execute(
        update(Assignment).where(concerned).values(published_at=None).execution_options(synchronize_session=False)
    )

"""Batches of devices that enroll with one claim certificate: made, listed and closed by an operator."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from edgefleet_contract import identifiers, keys
from edgefleet_contract.errors import Conflict, NotFound, UsageMalformed
from edgefleet_server.audit.change import Change
from edgefleet_server.authority import Authority, key_of_request
from edgefleet_server.clock import DAY, MINUTE
from edgefleet_server.devices.groups import check_tag
from edgefleet_server.devices.hooks import Hooks
from edgefleet_server.devices.models import BatchPlace, ClaimBatch

MAX_LIFE = 365 * DAY
MAX_COUNT = 100_000
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")


@dataclass(frozen=True)
class BatchRequest:
    """What the operator asks for.

    Attributes:
        csr: PEM, over the claim key, which never leaves the operator's machine but to the devices.
        life: How long devices may enroll with it, in milliseconds.
        allow: Hashes of serial numbers or fingerprints; None lets any hardware in, up to ``count``.
        hook: Name of a program in the server's ``hooks`` folder; None without.
    """

    name: str
    csr: str
    count: int
    life: int
    tags: dict[str, str]
    allow: Sequence[str] | None
    hook: str | None


def create(change: Change, request: BatchRequest, authority: Authority, hooks: Hooks) -> tuple[ClaimBatch, str]:
    """A new batch and its claim certificate, PEM.

    Raises:
        UsageMalformed: A name, count, life, tag, list or hook that is none.
        Conflict: There is a batch of this name, or with this key.
    """
    _check(request, hooks)
    public_key = key_of_request(request.csr)
    key, expires = keys.public_text(public_key), change.now + request.life
    taken = select(ClaimBatch).where((ClaimBatch.name == request.name) | (ClaimBatch.key == key))
    if change.session.scalars(taken).first() is not None:
        raise Conflict(f"There is a batch {request.name!r} already", remedy="Give this one another name.")
    batch = ClaimBatch(
        name=request.name,
        key=key,
        count=request.count,
        tags=request.tags,
        hook=request.hook,
        has_allow_list=request.allow is not None,
        created_at=change.now,
        expires_at=expires,
    )
    change.session.add(batch)
    change.session.flush()
    change.session.add_all(
        BatchPlace(batch_id=batch.id, hardware=entry) for entry in dict.fromkeys(request.allow or ())
    )
    change.record("batch.created", batch=batch.name, count=batch.count, expires=expires, hook=batch.hook)
    return batch, authority.issue_claim(batch.name, public_key, expires)


def close(change: Change, name: str) -> ClaimBatch:
    """Let no more devices in; those that have enrolled stay.

    Raises:
        NotFound: There is no such batch.
    """
    batch = change.session.scalars(select(ClaimBatch).where(ClaimBatch.name == name)).first()
    if batch is None:
        raise NotFound(f"There is no batch {name!r}", remedy="`edgefleet device batch list` shows them.")
    if batch.closed_at is None:
        batch.closed_at = change.now
        change.record("batch.closed", batch=name)
    return batch


def batches(session: Session) -> list[ClaimBatch]:
    """All batches, the newest first."""
    return list(session.scalars(select(ClaimBatch).order_by(ClaimBatch.id.desc()).limit(1000)))


def taken(session: Session, batch: ClaimBatch) -> int:
    """How many devices have enrolled with ``batch``."""
    query = select(func.count()).select_from(BatchPlace)
    return session.scalar(query.where(BatchPlace.batch_id == batch.id, BatchPlace.device_id.is_not(None))) or 0


def _check(request: BatchRequest, hooks: Hooks) -> None:
    if _NAME.fullmatch(request.name) is None:
        raise UsageMalformed(
            f"The batch is called {request.name!r}", expected="up to 64 of a-z, 0-9, dot, hyphen and underscore"
        )
    if not 1 <= request.count <= MAX_COUNT:
        raise UsageMalformed(f"The batch has {request.count} places", expected=f"1 to {MAX_COUNT}")
    if not MINUTE <= request.life <= MAX_LIFE:
        raise UsageMalformed(f"The batch would live {request.life} ms", expected=f"{MINUTE} to {MAX_LIFE} ms (a year)")
    for key, value in request.tags.items():
        check_tag(key, value)
    if request.allow is not None:
        if not request.allow or len(request.allow) > MAX_COUNT:
            raise UsageMalformed(f"The allow list has {len(request.allow)} entries", expected=f"1 to {MAX_COUNT}")
        if not all(identifiers.is_digest(entry) for entry in request.allow):
            raise UsageMalformed("The allow list holds what is no hash", expected="SHA-256 in hexadecimal")
    if request.hook is not None:
        hooks.check(request.hook)

"""Seals audit entries: gives each its place and its hash at the moment at which it is written.

Two writers must not take the same end of the chain. In SQLite a writing transaction has the database to itself from its
beginning; in PostgreSQL the first entry of a transaction takes a lock that its end gives back.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import event, func, select
from sqlalchemy.orm import Session

from edgefleet_server.audit import chain
from edgefleet_server.audit.models import AuditEntry
from edgefleet_server.rollouts.models import rollout_label

_LOCK = 0x0ED6_EF1E_E7A0_D171  # names the chain among PostgreSQL's advisory locks


@event.listens_for(Session, "before_flush")
def _seal(session: Session, _context: Any, _instances: Any) -> None:
    entries = [entry for entry in session.new if isinstance(entry, AuditEntry)]
    if not entries:
        return
    if session.get_bind().dialect.name == "postgresql":
        session.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    newest = select(AuditEntry.id, AuditEntry.hash).order_by(AuditEntry.id.desc()).limit(1)
    number, last = session.execute(newest).one_or_none() or (0, chain.START)
    for number, entry in enumerate(entries, number + 1):  # noqa: B020 - goes on from where the log ends
        entry.id = number
        entry.hash = last = chain.link(last, facts(entry))


def facts(entry: AuditEntry) -> dict[str, Any]:
    """What an entry says, with the names of the chain."""
    return {
        "id": entry.id,
        "at": entry.at,
        "actor": entry.actor,
        "act": entry.act,
        "device": entry.device_id,
        "rollout": rollout_label(entry.rollout_id) if entry.rollout_id is not None else None,
        "origin": entry.origin,
        "details": entry.details,
    }

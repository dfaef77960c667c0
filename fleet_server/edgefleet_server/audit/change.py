"""One change to the database: who makes it, when, and the audit entries that are committed with it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy.orm import Session

from edgefleet_server.audit import sealing  # noqa: F401 - without it an entry has neither place nor hash
from edgefleet_server.audit.models import AuditEntry

POLICY = "policy"


@dataclass(frozen=True)
class Change:
    """An open transaction and the act that it stands for.

    Attributes:
        session: Of the transaction.
        now: UTC milliseconds.
        actor: A principal's name, "policy", or a device id.
        origin: The address from which they act; None: from inside, or through the broker.
    """

    session: Session
    now: int
    actor: str
    origin: str | None = None

    def by(self, actor: str) -> Change:
        """The same transaction, from the same address, as the act of somebody who has become known since."""
        return replace(self, actor=actor)

    def record(
        self,
        act: str,
        *,
        device: str | None = None,
        rollout: int | None = None,
        **details: Any,
    ) -> None:
        """Write down an act: it is committed with what it did, or neither is."""
        self.session.add(
            AuditEntry(
                at=self.now,
                actor=self.actor,
                act=act,
                device_id=device,
                rollout_id=rollout,
                origin=self.origin,
                details=details,
            )
        )

"""The operators' route of the audit log."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from edgefleet_server.audit import service
from edgefleet_server.audit.schemas import AuditSchema, audit_schema
from edgefleet_server.auth import Viewer
from edgefleet_server.fleet import FleetHere
from edgefleet_server.rollouts import service as rollouts

router = APIRouter(prefix="/api/v1/audit", tags=["audit"])


@router.get("")
def list_entries(
    fleet: FleetHere,
    _viewer: Viewer,
    after: Annotated[int, Query(ge=0, lt=1 << 63)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 1000,
    last: Annotated[int | None, Query(ge=1, le=1000)] = None,
    device: str | None = None,
    rollout: str | None = None,
) -> list[AuditSchema]:
    """Acts in their order; the next page begins after the last id of this one. With ``last``, only that many newest."""
    with fleet.database.read() as session:
        number = rollouts.rollout(session, rollout).id if rollout is not None else None
        acts = service.Acts(device, number)
        if last is not None:
            found = service.newest(session, last, acts)[::-1]
        else:
            found = service.entries(session, acts, after=after, limit=limit)
        return [audit_schema(entry) for entry in found]

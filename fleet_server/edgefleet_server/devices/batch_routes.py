"""Operators' routes of batches."""

from __future__ import annotations

from fastapi import APIRouter

from edgefleet_server.auth import Approver, OperatorRole, Viewer
from edgefleet_server.devices import batches
from edgefleet_server.devices.batches import BatchRequest
from edgefleet_server.devices.schemas import BatchCreated, BatchCreation, BatchSchema, batch_schema
from edgefleet_server.fleet import FleetHere

router = APIRouter(prefix="/api/v1/batches", tags=["devices"])


@router.post("", status_code=201)
def create_batch(fleet: FleetHere, approver: Approver, request: BatchCreation) -> BatchCreated:
    """Make a batch of devices that may enroll with one claim certificate."""
    wanted = BatchRequest(
        name=request.name,
        csr=request.csr,
        count=request.count,
        life=request.life_ms,
        tags=request.tags,
        allow=request.allow,
        hook=request.hook,
    )
    with fleet.change(approver) as change:
        batch, certificate = batches.create(change, wanted, fleet.authority, fleet.hooks)
        return BatchCreated(
            **batch_schema(batch, 0).model_dump(),
            certificate=certificate,
            authority=fleet.authority.digest,
            devices_url=fleet.devices_url,
        )


@router.get("")
def list_batches(fleet: FleetHere, _viewer: Viewer) -> list[BatchSchema]:
    """All batches, the newest first."""
    with fleet.database.read() as session:
        return [batch_schema(batch, batches.taken(session, batch)) for batch in batches.batches(session)]


@router.post("/{name}/close")
def close_batch(fleet: FleetHere, operator: OperatorRole, name: str) -> BatchSchema:
    """Let no more devices in."""
    with fleet.change(operator) as change:
        batch = batches.close(change, name)
        return batch_schema(batch, batches.taken(change.session, batch))

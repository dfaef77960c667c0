"""Operators' route of erasure."""

from __future__ import annotations

from dataclasses import asdict

from fastapi import APIRouter
from pydantic import BaseModel

from edgefleet_server.auth import Admin
from edgefleet_server.erasure.service import erase_device
from edgefleet_server.fleet import FleetHere

router = APIRouter(prefix="/api/v1", tags=["erasure"])


class ErasedSchema(BaseModel):
    """How much was deleted."""

    samples: int
    telemetry: int
    sketches: int
    verdicts: int


@router.post("/devices/{device_id}/erase")
def erase(fleet: FleetHere, admin: Admin, device_id: str) -> ErasedSchema:
    """Delete all samples and telemetry of a device, also from the disk."""
    with fleet.change(admin) as change:
        erased = erase_device(change, device_id)
    fleet.database.scrub()
    return ErasedSchema(**asdict(erased))

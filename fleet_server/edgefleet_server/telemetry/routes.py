"""Operators' routes of telemetry and drift."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query

from edgefleet_server.auth import Viewer
from edgefleet_server.devices import service as devices
from edgefleet_server.fleet import FleetHere
from edgefleet_server.telemetry import drift, service
from edgefleet_server.telemetry.schemas import DriftDetail, DriftSchema, HistogramSchema, RecordSchema

router = APIRouter(prefix="/api/v1", tags=["telemetry"])


@router.get("/devices/{device_id}/telemetry")
def latest_telemetry(
    fleet: FleetHere, _viewer: Viewer, device_id: str, limit: Annotated[int, Query(ge=1, le=1000)] = 100
) -> list[RecordSchema]:
    """The newest telemetry windows of a device."""
    with fleet.database.read() as session:
        devices.device(session, device_id)
        return [RecordSchema.model_validate(record) for record in service.latest(session, device_id, limit)]


@router.get("/drift")
def list_drift(fleet: FleetHere, _viewer: Viewer) -> list[DriftSchema]:
    """The verdict on each device's last 24 hours."""
    with fleet.database.read() as session:
        return [DriftSchema.model_validate(verdict) for verdict in drift.verdicts(session)]


@router.get("/drift/{device_id}")
def show_drift(
    fleet: FleetHere, _viewer: Viewer, device_id: str, features: Annotated[int, Query(ge=1, le=128)] = 8
) -> DriftDetail:
    """One device's verdict, and the histograms of its worst features."""
    with fleet.database.read() as session:
        device = devices.device(session, device_id)
        found = drift.verdicts(session, device_id)
        running = device.twin.running
        histograms = (
            drift.histograms(session, fleet.clock(), device_id, running, fleet.references)
            if running is not None
            else []
        )
        return DriftDetail(
            verdict=DriftSchema.model_validate(found[0]) if found else None,
            features=[HistogramSchema.model_validate(histogram) for histogram in histograms[:features]],
        )

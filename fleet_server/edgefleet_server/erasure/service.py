"""Erasure by device: what a device has sent of its inputs is deleted, and its history as a device stays."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, cast

from sqlalchemy import CursorResult, delete

from edgefleet_server.audit.change import Change
from edgefleet_server.devices import service as devices
from edgefleet_server.samples import service as samples
from edgefleet_server.telemetry.models import DriftVerdict, SketchHour, TelemetryRecord


@dataclass(frozen=True)
class Erased:
    """How much was deleted: samples, telemetry windows, hours of merged sketches, verdicts on drift."""

    samples: int
    telemetry: int
    sketches: int
    verdicts: int


def erase_device(change: Change, device_id: str) -> Erased:
    """Delete all samples and all telemetry of a device; what was deleted does not enter the audit log.

    The bytes are gone from the database's file once ``Database.scrub`` has run after the commit.

    Raises:
        NotFound: There is no such device.
    """
    devices.device(change.session, device_id)
    counts = [
        cast("CursorResult[Any]", change.session.execute(delete(table).where(table.device_id == device_id))).rowcount
        for table in (TelemetryRecord, SketchHour, DriftVerdict)
    ]
    erased = Erased(samples.delete_of(change.session, device_id), *counts)
    change.record("device.erased", device=device_id, **asdict(erased))
    return erased

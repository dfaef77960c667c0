"""Operators' routes of devices and claim tokens."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from sqlalchemy import select
from sqlalchemy.orm import Session

from edgefleet_server.auth import OperatorRole, Viewer
from edgefleet_server.devices import service, tokens
from edgefleet_server.devices.groups import parse_selector
from edgefleet_server.devices.models import Device
from edgefleet_server.devices.schemas import (
    DeviceSchema,
    TagChange,
    TokenParts,
    TokenRequest,
    device_schema,
)
from edgefleet_server.fleet import FleetHere
from edgefleet_server.releases import service as releases
from edgefleet_server.rollouts.models import Assignment

PAGE = 1000

router = APIRouter(prefix="/api/v1", tags=["devices"])


@router.post("/tokens", status_code=201)
def create_token(fleet: FleetHere, operator: OperatorRole, request: TokenRequest) -> TokenParts:
    """Make a claim token."""
    with fleet.change(operator) as change:
        token, secret = tokens.create(change, request.life_ms, request.tags)
        return TokenParts(
            id=token.id,
            secret=secret,
            authority=fleet.authority.digest,
            devices_url=fleet.devices_url,
            expires_at=token.expires_at,
        )


@router.get("/devices")
def list_devices(
    fleet: FleetHere,
    _viewer: Viewer,
    group: str = "all",
    after: str = "",
    limit: Annotated[int, Query(ge=1, le=PAGE)] = PAGE,
) -> list[DeviceSchema]:
    """A page of a group's devices, by id; the next page begins after the last id of this one."""
    with fleet.database.read() as session:
        return describe(session, service.devices(session, parse_selector(group), after=after, limit=limit))


@router.get("/devices/{device_id}")
def show_device(fleet: FleetHere, _viewer: Viewer, device_id: str) -> DeviceSchema:
    """One device."""
    with fleet.database.read() as session:
        return describe(session, [service.device(session, device_id)])[0]


@router.patch("/devices/{device_id}/tags")
def tag_device(fleet: FleetHere, operator: OperatorRole, device_id: str, tags: TagChange) -> DeviceSchema:
    """Set and remove tags."""
    with fleet.change(operator) as change:
        device = service.tag(change, device_id, tags.put, tags.remove)
        change.session.flush()
        return describe(change.session, [device])[0]


def describe(session: Session, found: list[Device]) -> list[DeviceSchema]:
    """Describe devices with the releases they run and the digests they are assigned."""
    labels = releases.labels(session, {device.twin.running for device in found if device.twin.running})
    in_force = (
        select(Assignment.device_id, Assignment.digest)
        .join(Device, (Device.id == Assignment.device_id) & (Device.sequence == Assignment.sequence))
        .where(Assignment.device_id.in_([device.id for device in found]))
    )
    desired = dict(session.execute(in_force).all())
    return [device_schema(device, labels, desired) for device in found]

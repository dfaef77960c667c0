"""Operators' routes of devices and claim tokens."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Query
from sqlalchemy import select
from sqlalchemy.orm import Session

from edgefleet_server.audit.change import Change
from edgefleet_server.auth import Admin, Approver, OperatorRole, Viewer
from edgefleet_server.devices import lifecycle, service, tokens
from edgefleet_server.devices.groups import parse_selector
from edgefleet_server.devices.models import Device
from edgefleet_server.devices.schemas import (
    DepartureSchema,
    DeviceSchema,
    Replacement,
    TagChange,
    TokenParts,
    TokenRequest,
    departure_schema,
    device_schema,
)
from edgefleet_server.fleet import Fleet, FleetHere
from edgefleet_server.releases import service as releases
from edgefleet_server.rollouts.models import Assignment
from edgefleet_server.users.roles import Principal

PAGE = 1000

router = APIRouter(prefix="/api/v1", tags=["devices"])


@router.post("/tokens", status_code=201)
def create_token(fleet: FleetHere, operator: OperatorRole, request: TokenRequest) -> TokenParts:
    """Make a claim token."""
    with fleet.change(operator) as change:
        token, secret = tokens.create(change, request.life_ms, request.tags, request.device)
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


@router.post("/devices/{device_id}/revoke")
def revoke_device(fleet: FleetHere, approver: Approver, device_id: str) -> DepartureSchema:
    """Take its certificates back, for good; its data stay."""
    return _leave(fleet, approver, lambda change: lifecycle.revoke(change, device_id))


@router.post("/devices/{device_id}/replace")
def replace_device(fleet: FleetHere, approver: Approver, device_id: str, replacement: Replacement) -> DepartureSchema:
    """Let another device take over its tags, rollouts and telemetry; this one is revoked.

    The other one gets what this one ran, with the keys of private releases: as when a rollout is started.
    """
    return _leave(fleet, approver, lambda change: lifecycle.replace(change, device_id, replacement.by))


@router.post("/devices/{device_id}/retire")
def retire_device(fleet: FleetHere, admin: Admin, device_id: str) -> DepartureSchema:
    """Revoke it and erase what it has told, for good."""
    return _leave(fleet, admin, lambda change: lifecycle.retire(change, device_id))


def _leave(fleet: Fleet, who: Principal, act: Callable[[Change], lifecycle.Departure]) -> DepartureSchema:
    with fleet.change(who) as change:
        departure = act(change)
        change.session.flush()
        done = departure_schema(departure)
    fleet.on_revoked([done.device])
    if done.erased:
        fleet.database.scrub()
    fleet.wake()
    return done


def describe(session: Session, found: list[Device]) -> list[DeviceSchema]:
    """Describe devices with the releases they run and the digests they are assigned."""
    labels = releases.labels(session, {device.twin.running for device in found if device.twin.running})
    in_force = (
        select(Assignment.device_id, Assignment.digest)
        .join(Device, (Device.id == Assignment.device_id) & (Device.sequence == Assignment.sequence))
        .where(Assignment.device_id.in_([device.id for device in found]))
    )
    desired = dict(session.execute(in_force).all())
    before = select(Device.replaced_by, Device.id).where(Device.replaced_by.in_([device.id for device in found]))
    replaced = {new: old for new, old in session.execute(before) if new is not None}
    return [device_schema(device, labels, desired, replaced) for device in found]

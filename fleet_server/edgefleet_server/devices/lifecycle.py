"""How a device leaves the fleet: revoked, replaced by another one, or retired for good.

Each act is one transaction, may be repeated, and is final: an id that has left does not come back. What follows
outside the database (revocation list, kicked session, cleared topics) is taken from the database by whoever does it,
so that it happens in the end, however often a process dies in between; the caller says that there is something to do
by ``on_revoked`` after its commit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import delete, update
from sqlalchemy.engine import CursorResult
from sqlalchemy.orm import Session

from edgefleet_contract.errors import Conflict
from edgefleet_server.alerts import service as alerts
from edgefleet_server.alerts.models import Alert
from edgefleet_server.audit.change import Change
from edgefleet_server.devices import certificates, service
from edgefleet_server.devices.models import ACTIVE, Boot, Device, Twin
from edgefleet_server.erasure.service import erase_device
from edgefleet_server.rollouts import places
from edgefleet_server.rollouts.models import Assignment
from edgefleet_server.telemetry.models import TelemetryRecord

OnRevoked = Callable[[Sequence[str]], None]
"""Told, after the commit, that revocations have changed: the devices whose sessions must end (maybe none)."""

REVOKED = "revoked"
RETIRED = "retired"

# What is erased besides all that ``erasure`` does. Whoever adds a table of what a device tells adds it there or here.
# What stays: the row of the device (its id never comes back), its certificates (for the revocation list), its
# deployments (they count in their rollouts) and the audit log.
ERASED: dict[str, Any] = {"boots": Boot, "alerts": Alert}


@dataclass(frozen=True)
class Departure:
    """What an act has done.

    Attributes:
        device: As it is now.
        changed: Whether anything was left to do.
        erased: Rows removed, by what they were.
        rollouts: Rollouts that now serve the device that took over.
    """

    device: Device
    changed: bool
    erased: dict[str, int]
    rollouts: list[str]


def revoke(change: Change, device_id: str) -> Departure:
    """Take a device's certificates back for good, and keep its data.

    Raises:
        NotFound: There is no such device.
    """
    device = service.device(change.session, device_id)
    if device.standing != ACTIVE:
        return Departure(device, False, {}, [])
    _leave(change, device, REVOKED)
    change.record("device.revoked", device=device_id)
    return Departure(device, True, {}, [])


def replace(change: Change, old_id: str, new_id: str) -> Departure:
    """Let the device ``new_id`` take over tags, places in rollouts and telemetry of ``old_id``, which is revoked.

    Raises:
        NotFound: One of them does not exist.
        Conflict: They are the same, the new one is not active, or the old one is gone otherwise.
    """
    old, new = service.device(change.session, old_id), service.device(change.session, new_id)
    if old.replaced_by == new.id:
        return Departure(old, False, {}, [])
    _check_replaceable(old, new)
    _leave(change, old, REVOKED, vacate=False)
    old.replaced_by = new.id
    put = {tag.key: tag.value for tag in old.tags}
    service.tag(change, new_id, put, [])
    old.tags = []
    change.session.execute(update(TelemetryRecord).where(TelemetryRecord.device_id == old_id).values(device_id=new_id))
    rollouts = places.take_over(change, old, new)
    places.vacate(change, old_id)
    change.record("device.replaced", device=old_id, by=new_id, rollouts=rollouts)
    return Departure(old, True, {}, rollouts)


def retire(change: Change, device_id: str) -> Departure:
    """Revoke a device, and erase what it has told; a tombstone and the audit log stay.

    Raises:
        NotFound: There is no such device.
    """
    device = service.device(change.session, device_id)
    if device.standing == RETIRED:
        return Departure(device, False, {}, [])
    _leave(change, device, RETIRED)
    erased = asdict(erase_device(change, device_id))
    erased |= {name: _erase(change.session, table, device_id) for name, table in ERASED.items()}
    erased["tags"] = len(device.tags)
    device.tags = []
    _blank(device.twin)
    device.public_key = device.certificate = ""
    device.fingerprint, device.last_seen, device.heard_boot = {}, None, None
    change.record("device.retired", device=device_id, erased=erased)
    return Departure(device, True, erased, [])


def _check_replaceable(old: Device, new: Device) -> None:
    if old.id == new.id:
        raise Conflict(f"Device {old.id} cannot replace itself", expected="two devices: the old one, then the new one")
    if new.standing != ACTIVE:
        raise Conflict(f"Device {new.id} is {new.standing}", expected="an active device to take over")
    if old.replaced_by is not None or old.standing == RETIRED:
        what = f"was replaced by {old.replaced_by}" if old.replaced_by else "is retired"
        raise Conflict(f"Device {old.id} {what}", expected="a device whose place is free to take")


def _leave(change: Change, device: Device, standing: str, *, vacate: bool = True) -> None:
    certificates.revoke(change, device.id)
    device.previous_key = None
    device.standing, device.left_at, device.cleared_at = standing, change.now, None
    change.session.execute(delete(Assignment).where(Assignment.device_id == device.id))
    alerts.resolve(change, f"offline:{device.id}")
    if vacate:
        places.vacate(change, device.id)


def _blank(twin: Twin) -> None:
    twin.boot, twin.n, twin.reported_at = None, 0, None
    twin.sequence, twin.state, twin.running, twin.confirmed, twin.trial = 0, "idle", None, [], None
    twin.agent, twin.runtimes, twin.error_code, twin.error_text = "", {}, None, None


def _erase(session: Session, table: Any, device: str) -> int:
    result = session.execute(delete(table).where(table.device_id == device))
    assert isinstance(result, CursorResult)
    return result.rowcount

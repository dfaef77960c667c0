"""Devices: looking them up, tagging them, and keeping their reported twins."""

from __future__ import annotations

from sqlalchemy import case, func, select, update
from sqlalchemy.orm import Session

from edgefleet_contract.errors import NotFound
from edgefleet_contract.messages import Reported
from edgefleet_server.audit.change import Change
from edgefleet_server.devices.groups import Selector, check_tag
from edgefleet_server.devices.models import ACTIVE, Boot, Device, Tag, Twin

_SEEN_STEP = 5_000  # milliseconds: a busy device does not cost a write for each message


def device(session: Session, device_id: str) -> Device:
    """The device with this id.

    Raises:
        NotFound: There is none.
    """
    found = session.get(Device, device_id)
    if found is None:
        raise NotFound(f"There is no device {device_id!r}", remedy="`edgefleet device list` shows them.")
    return found


def known(session: Session, device_ids: set[str]) -> set[str]:
    """Those of ``device_ids`` that have enrolled, and have not left."""
    return set(session.scalars(select(Device.id).where(Device.id.in_(device_ids), Device.standing == ACTIVE)))


def departed(session: Session, device_id: str) -> bool:
    """Whether it enrolled once, and has been revoked, replaced or retired since."""
    return (
        session.scalars(select(Device.id).where(Device.id == device_id, Device.standing != ACTIVE)).first() is not None
    )


def any_device(session: Session) -> bool:
    """Whether any device has enrolled."""
    return session.scalars(select(Device.id).limit(1)).first() is not None


def devices(session: Session, selector: Selector, *, after: str, limit: int) -> list[Device]:
    """A page of a group, by id, from the first device after id ``after``."""
    return list(session.scalars(selector.query().where(Device.id > after).limit(limit)))


def tag(change: Change, device_id: str, put: dict[str, str], remove: list[str]) -> Device:
    """Set and remove tags.

    Raises:
        NotFound: There is no such device.
        UsageMalformed: A tag that is none.
    """
    found = device(change.session, device_id)
    for key, value in put.items():
        check_tag(key, value)
    kept = {entry.key: entry for entry in found.tags if entry.key not in remove}
    for key, value in put.items():
        if key in kept:
            kept[key].value = value
        else:
            kept[key] = Tag(key=key, value=value)
    found.tags = [kept[key] for key in sorted(kept)]
    change.record("device.tagged", device=device_id, put=put, removed=remove)
    return found


def mark_seen(session: Session, now: int, device_ids: set[str]) -> None:
    """Remember that these devices have just been heard."""
    session.execute(
        update(Device)
        .where(Device.id.in_(device_ids), (Device.last_seen.is_(None)) | (Device.last_seen < now - _SEEN_STEP))
        .values(last_seen=now)
    )


def take_report(session: Session, now: int, found: Device, reported: Reported) -> bool:
    """Keep a report as the device's twin, if it is newer than that.

    Within a boot, ``n`` orders reports. A boot that was never heard of is newer than all before it; one that another
    has followed is over, and whatever still comes of it is late.

    Returns:
        Whether it was newer.
    """
    twin = found.twin
    if reported.boot == twin.boot:
        if reported.n <= twin.n:
            return False
    elif session.get(Boot, (found.id, reported.boot)) is not None:
        return False
    else:
        session.add(Boot(device_id=found.id, boot=reported.boot, first_seen=now))
    twin.boot, twin.n, twin.reported_at = reported.boot, reported.n, now
    twin.sequence, twin.state, twin.trial = reported.sequence, reported.state, reported.trial
    twin.running, twin.confirmed = reported.running, reported.confirmed
    twin.agent, twin.runtimes = reported.agent, reported.runtimes
    twin.error_code = reported.error.code[:64] if reported.error else None
    twin.error_text = reported.error.text[:1000] if reported.error else None
    return True


def state_counts(session: Session) -> dict[str, int]:
    """Devices by the state they report, or by how they left."""
    state = case((Device.standing == ACTIVE, Twin.state), else_=Device.standing)
    query = select(state, func.count()).select_from(Device).join(Twin, Twin.device_id == Device.id).group_by(state)
    return dict(session.execute(query).all())

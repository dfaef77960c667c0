"""Who signed what a device says: its identity key, or for a while the one that a renewal has replaced.

An answer to a renewal can be lost. So both keys are good until the device has used the new one; then the old key's
certificates are revoked, and whoever still signs with it has a copy.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.orm import Session

from edgefleet_contract import dsse, keys
from edgefleet_contract.errors import DeviceRevoked, SignatureInvalid
from edgefleet_server.audit.change import Change
from edgefleet_server.devices import certificates
from edgefleet_server.devices.models import ACTIVE, Device


@dataclass(frozen=True)
class Signed:
    """What a device signed, and the key that it did it with."""

    payload: bytes
    key: str


def open_signed(session: Session, device: Device, envelope: bytes, payload_type: str) -> Signed:
    """The payload of a DSSE envelope by ``device``.

    Raises:
        DeviceRevoked: The device has left the fleet, or signed with a key that it has replaced.
        StatementMalformed: No envelope of this type.
        SignatureInvalid: Not by a key of this device.
    """
    if device.standing != ACTIVE:
        raise DeviceRevoked(f"Device {device.id} is {device.standing}", remedy="Enroll it anew, with a new folder.")
    accepted = [text for text in (device.public_key, device.previous_key) if text]
    try:
        return opened(envelope, payload_type, accepted)
    except SignatureInvalid:
        replaced = [text for text in certificates.was_ever_of(session, device.id) if text not in accepted]
        if device.key_in_hardware or not replaced:
            raise
        opened(envelope, payload_type, replaced)
    raise DeviceRevoked(
        f"Device {device.id} has signed with a key that it has replaced",
        remedy="Somebody has a copy of its key or its storage. Replace the device, or enroll it again.",
        device=device.id,
        sign="key",
    )


def settle_key(change: Change, device: Device, used: str) -> bool:
    """The device has used the key ``used``: if that is the new one, the old one is over; whether it was.

    Its certificates are revoked then.
    """
    old = device.previous_key
    if old is None or used != device.public_key:
        return False
    device.previous_key = None
    certificates.revoke(change, device.id, key=old)
    change.record("device.key_settled", device=device.id)
    return True


def opened(envelope: bytes, payload_type: str, accepted: list[str]) -> Signed:
    """The payload of a DSSE envelope by one of the keys ``accepted``.

    Raises:
        StatementMalformed: No envelope of this type.
        SignatureInvalid: By none of them.
    """
    trusted = {text: keys.public_from_text(text) for text in accepted}
    for text, key in trusted.items():
        try:
            return Signed(dsse.verify(envelope, payload_type, {keys.key_id(key): key}), text)
        except SignatureInvalid:
            continue
    raise SignatureInvalid(
        "The statement is not signed by the device's key", expected="the key of the certificate that it has now"
    )

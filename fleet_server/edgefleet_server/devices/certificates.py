"""The certificates that devices were given, and those that were revoked.

A revocation is a row here, committed with the act that caused it. Whoever tells brokers (the revocation list) reads it
from here, as often as need be.
"""

from __future__ import annotations

from cryptography import x509
from sqlalchemy import select
from sqlalchemy.orm import Session

from edgefleet_server.audit.change import Change
from edgefleet_server.clock import DAY
from edgefleet_server.devices.models import Certificate, Device

_KEPT_AFTER_THE_END = DAY  # clocks of brokers differ; until then an ended certificate stays on the revocation list


def keep(session: Session, now: int, device: Device, key: str) -> None:
    """Write down the certificate that ``device`` has just been given, for the public key ``key``."""
    number = x509.load_pem_x509_certificate(device.certificate.encode()).serial_number
    session.add(
        Certificate(
            serial=f"{number:x}", device_id=device.id, key=key, issued_at=now, expires=device.certificate_expires
        )
    )


def newest(session: Session, device: str) -> Certificate:
    """The certificate that was issued to ``device`` last."""
    query = select(Certificate).where(Certificate.device_id == device).order_by(Certificate.issued_at.desc())
    return session.scalars(query.limit(1)).one()


def revoke(change: Change, device: str, *, key: str | None = None) -> bool:
    """Revoke the certificates of ``device``, or those for one of its keys; whether there was any."""
    query = select(Certificate).where(Certificate.device_id == device, Certificate.revoked_at.is_(None))
    if key is not None:
        query = query.where(Certificate.key == key)
    found = list(change.session.scalars(query))
    for certificate in found:
        certificate.revoked_at = change.now
    return bool(found)


def was_ever_of(session: Session, device: str) -> list[str]:
    """The public keys of all certificates that ``device`` ever had, the newest first."""
    query = select(Certificate.key).where(Certificate.device_id == device).order_by(Certificate.issued_at.desc())
    return list(dict.fromkeys(session.scalars(query)))


def revoked(session: Session, now: int) -> list[tuple[int, int]]:
    """Numbers and times (UTC milliseconds) of the revoked certificates that have not ended by themselves.

    What ``Authority.crl`` takes.
    """
    query = (
        select(Certificate.serial, Certificate.revoked_at)
        .where(Certificate.revoked_at.is_not(None), Certificate.expires > now - _KEPT_AFTER_THE_END)
        .order_by(Certificate.serial)
    )
    return [(int(serial, 16), at) for serial, at in session.execute(query) if at is not None]

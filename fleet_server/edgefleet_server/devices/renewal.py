"""Renewal: a device's next certificate, for a request that its identity key signed."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy.orm import Session

from edgefleet_contract import canonical, dsse, enrolment, keys
from edgefleet_contract.enrolment import RenewalRequest, RenewalResponse
from edgefleet_contract.errors import CertificateExpired, Conflict, DeviceRevoked, StatementMalformed
from edgefleet_server.audit.change import Change
from edgefleet_server.authority import DEVICE_LIFE, TRANSPORT_LIFE, Authority, key_of_request
from edgefleet_server.clock import HOUR, Clock
from edgefleet_server.devices import certificates, proof, service
from edgefleet_server.devices.models import Certificate, Device

PAUSE = HOUR  # between two certificates of a device: a thief, or a device gone wild, cannot have them by the thousand


class _Named(msgspec.Struct):
    """The device that a request says it is of: read before anything is verified, to know by which keys to verify."""

    device: str


@dataclass(frozen=True)
class Renewer:
    """Renews certificates of one fleet."""

    authority: Authority
    clock: Clock

    def renew(self, change: Change, envelope: bytes) -> RenewalResponse:
        """The next certificate; the same one again for a device that lost the answer.

        Args:
            change: Its actor is replaced by the device.
            envelope: DSSE envelope of a ``RenewalRequest``, by the device's identity key.

        Raises:
            NotFound: There is no such device.
            DeviceRevoked: It has left the fleet, or the key was replaced.
            CertificateExpired: It comes too late.
            SignatureInvalid, StatementMalformed: The request is not the device's, or not well-formed.
            Conflict: It has just been given another certificate.
        """
        session = change.session
        device = service.device(session, _named(envelope))
        signed = proof.open_signed(session, device, envelope, dsse.RENEWAL)
        request = enrolment.decode(signed.payload, RenewalRequest)
        if request.device != device.id:
            raise StatementMalformed(f"The renewal of {device.id!r} names {request.device!r}")
        public_key = key_of_request(request.csr)
        _check_not_revoked(certificates.newest(session, device.id))
        if device.certificate_expires <= change.now:
            raise CertificateExpired(
                f"The certificate of device {device.id} has expired",
                remedy=f"An operator lets it back in: `edgefleet device token --device {device.id}`, and on the device "
                "`edgefleet-agent enroll --again --token TOKEN --data FOLDER`.",
                device=device.id,
            )
        own = change.by(device.id)
        if not self._is_repeated(session, device, signed.key, keys.public_text(public_key)):
            self.issue(own, device, public_key)
            own.record("device.renewed", device=device.id, expires=device.certificate_expires)
        return RenewalResponse(enrolment.VERSION, device.id, device.certificate)

    def issue(self, change: Change, device: Device, public_key: ec.EllipticCurvePublicKey) -> None:
        """Give ``device`` a certificate for ``public_key``, which becomes its identity unless that stays in hardware.

        The key that it replaces is good until the new one is used; a still older one is not.
        """
        text = keys.public_text(public_key)
        if not device.key_in_hardware and text != device.public_key:
            proof.settle_key(change, device, device.public_key)
            device.previous_key, device.public_key = device.public_key, text
        self._certify(device, public_key)
        certificates.keep(change.session, change.now, device, text)

    def issue_first(self, session: Session, now: int, device: Device, public_key: ec.EllipticCurvePublicKey) -> None:
        """Add ``device`` to the database with its first certificate."""
        self._certify(device, public_key)
        session.add(device)
        session.flush()
        certificates.keep(session, now, device, keys.public_text(public_key))

    def _certify(self, device: Device, public_key: ec.EllipticCurvePublicKey) -> None:
        life = TRANSPORT_LIFE if device.key_in_hardware else DEVICE_LIFE
        device.certificate, device.certificate_expires = self.authority.issue_device(device.id, public_key, life)

    def _is_repeated(self, session: Session, device: Device, signer: str, wanted: str) -> bool:
        """Whether this very certificate was just issued; the device has lost the answer.

        Raises:
            DeviceRevoked: The request is by the replaced key, and for another key than the one that replaced it.
            Conflict: Another one was just issued.
        """
        newest = certificates.newest(session, device.id)
        is_recent = newest.issued_at > self.clock() - PAUSE
        if signer == device.previous_key:
            if wanted == device.public_key:
                return True
            raise DeviceRevoked(
                f"Device {device.id} has renewed its key already, and this request is by the old one for a third",
                remedy="Somebody may have a copy of its storage.",
                device=device.id,
                sign="renewal",
            )
        if is_recent and newest.key == wanted:
            return True
        if is_recent:
            raise Conflict(
                f"Device {device.id} was given a certificate less than {PAUSE // 60_000} minutes ago",
                remedy="It tries again by itself.",
            )
        return False


def _check_not_revoked(certificate: Certificate) -> None:
    """Refuse to renew what was revoked, though the device is active: its server has forgotten why (a restore)."""
    if certificate.revoked_at is not None:
        raise DeviceRevoked(
            f"The certificate of device {certificate.device_id} was revoked",
            remedy=f"If it is to stay, an operator lets it back in: `edgefleet device token --device "
            f"{certificate.device_id}`; else `edgefleet device revoke {certificate.device_id}`.",
            device=certificate.device_id,
        )


def _named(envelope: bytes) -> str:
    opened = canonical.decode(
        envelope, dsse.Envelope, what="renewal", limit=dsse.ENVELOPE_LIMIT, error=StatementMalformed
    )
    payload = dsse.unverified_payload(opened)
    return canonical.decode(payload, _Named, what="renewal", limit=dsse.ENVELOPE_LIMIT, error=StatementMalformed).device

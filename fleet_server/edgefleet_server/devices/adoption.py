"""A device that renewed its key after the backup from which its server came back: its newest key is taken up again.

The database does not know the key, but the authority has certified it for this very device. That alone would let a key
in that the lost server had revoked; so it takes the token that an operator makes for this device, once, as well.
"""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

from edgefleet_contract import dsse, keys
from edgefleet_contract.enrolment import EnrollRequest
from edgefleet_contract.errors import DeviceRevoked, SignatureInvalid
from edgefleet_server import surviving
from edgefleet_server.audit.change import Change
from edgefleet_server.authority import Authority
from edgefleet_server.clock import SECOND
from edgefleet_server.devices import proof
from edgefleet_server.devices.models import Certificate, Device
from edgefleet_server.devices.proof import Signed


def open_proof(change: Change, device: Device, request: EnrollRequest, authority: Authority) -> Signed:
    """The key proof of a device that the operator lets back in, by a key that is known, or is taken up by this.

    Raises:
        DeviceRevoked: The device has left the fleet, or the key was replaced or its certificate revoked.
        StatementMalformed: The proof is none.
        SignatureInvalid: It is by no key of this device.
    """
    envelope = request.proof.encode()
    try:
        return proof.open_signed(change.session, device, envelope, dsse.KEY_PROOF)
    except SignatureInvalid:
        if device.key_in_hardware or not request.certificate:  # a key in hardware is never renewed
            raise
    certificate = authority.check_issued(request.certificate, device.id)
    key = certificate.public_key()
    assert isinstance(key, ec.EllipticCurvePublicKey)  # we issued it
    signed = proof.opened(envelope, dsse.KEY_PROOF, [keys.public_text(key)])
    if certificate.serial_number in dict(surviving.kept(authority.certificate_path.parent)):
        raise DeviceRevoked(f"The certificate of device {device.id} was revoked", device=device.id)
    _take_up(change, device, certificate, signed.key)
    return signed


def _take_up(change: Change, device: Device, certificate: x509.Certificate, key: str) -> None:
    """Make ``key`` the identity; the keys that the database knows are older, and end."""
    proof.settle_key(change, device, device.public_key)
    device.previous_key, device.public_key = device.public_key, key
    proof.settle_key(change, device, key)
    row = Certificate(
        serial=f"{certificate.serial_number:x}",
        device_id=device.id,
        key=key,
        issued_at=change.now,
        expires=round(certificate.not_valid_after_utc.timestamp() * SECOND),
    )
    change.session.add(row)
    change.record("device.key_taken_up", device=device.id, serial=row.serial)

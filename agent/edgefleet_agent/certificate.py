"""What the agent does with certificates: it asks for one, checks what it is given, and knows when the next is due.

No part of the running agent imports this: enrolment and renewal do, in processes of their own.
"""

from __future__ import annotations

import secrets

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from edgefleet_agent import identity
from edgefleet_agent.disk import Disk
from edgefleet_agent.folder import DataFolder
from edgefleet_contract import keys
from edgefleet_contract.errors import IdentityMismatch

_DUE = 2 / 3  # of a certificate's life
_SPREAD = 1 / 15  # of its life: so that devices of one batch do not all come on one day
_STEPS = 1 << 20


def request_for_next(disk: Disk, folder: DataFolder, generation: int) -> tuple[ec.EllipticCurvePrivateKey, bytes]:
    """The key and signing request of a generation, as an interrupted attempt left them, or new; durable."""
    key_file, request_file = identity.key_path(folder, generation), identity.request_path(folder, generation)
    if key_file.is_file() and request_file.is_file():
        kept = keys.from_pem(key_file.read_bytes())
        assert isinstance(kept, ec.EllipticCurvePrivateKey)  # we wrote it
        return kept, request_file.read_bytes()
    key = keys.generate_device_key()
    encoded = _signing_request(key)
    disk.make_folder(folder.identity)
    disk.write(key_file, keys.to_pem(key))
    disk.write(request_file, encoded)
    return key, encoded


def check(certificate: str, device: str, public_key: keys.PublicKey, authority: bytes) -> None:
    """Refuse a certificate that is not by ``authority`` (PEM), for our key and for the name ``device``.

    Raises:
        IdentityMismatch: It is not.
    """
    try:
        issued = x509.load_pem_x509_certificate(certificate.encode())
        issued.verify_directly_issued_by(x509.load_pem_x509_certificate(authority))
    except (ValueError, TypeError, InvalidSignature) as cause:
        raise IdentityMismatch(
            "The server's answer holds no certificate by the fleet's authority", expected="one for this device's key"
        ) from cause
    names = [name.value for name in issued.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if issued.public_key() != public_key or names != [device]:
        raise IdentityMismatch(
            "The certificate that the server sent is for another key or name", expected=f"{device!r}, our key"
        )


def renewal_time(certificate: str) -> int:
    """When to renew a certificate (PEM), in UTC milliseconds: at two thirds of its life, a little earlier or later."""
    issued = x509.load_pem_x509_certificate(certificate.encode())
    start, end = issued.not_valid_before_utc.timestamp(), issued.not_valid_after_utc.timestamp()
    share = _DUE + _SPREAD * (secrets.randbelow(_STEPS) / _STEPS - 0.5)
    return round(1000 * (start + share * (end - start)))


def _signing_request(key: ec.EllipticCurvePrivateKey) -> bytes:
    """PKCS #10, PEM. The server ignores the name, and gives its own."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "edgefleet device")])
    request = x509.CertificateSigningRequestBuilder().subject_name(subject).sign(key, hashes.SHA256())
    return request.public_bytes(Encoding.PEM)

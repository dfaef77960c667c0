"""A revocation list that has survived its server: what it names stays revoked, also where the database forgot it."""

from __future__ import annotations

from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec

from edgefleet_contract.errors import UsageMalformed


def path(authority: Path) -> Path:
    """Where it is kept, in the folder of the fleet's authority; a backup holds it too."""
    return authority / "surviving.crl"


def kept(authority: Path) -> list[tuple[int, int]]:
    """What the kept list names; nothing where none was kept."""
    file = path(authority)
    return read(file.read_bytes(), (authority / "authority.pem").read_bytes()) if file.exists() else []


def read(pem: bytes, authority: bytes) -> list[tuple[int, int]]:
    """Serial numbers and times of revocation, in UTC milliseconds.

    Args:
        pem: The list.
        authority: PEM of the certificate that must have signed it.

    Raises:
        UsageMalformed: It is no list, or not by this authority.
    """
    try:
        listed = x509.load_pem_x509_crl(pem)
        signer = x509.load_pem_x509_certificate(authority)
        key = signer.public_key()
        assert isinstance(key, ec.EllipticCurvePublicKey)
        is_ours = listed.issuer == signer.subject and listed.is_signature_valid(key)
    except (ValueError, InvalidSignature) as cause:
        raise UsageMalformed("The file is no revocation list", expected="PEM, such as revoked.crl") from cause
    if not is_ours:
        raise UsageMalformed(
            "The revocation list is not by this fleet's authority", expected="the newest list of the lost server"
        )
    return [(entry.serial_number, int(entry.revocation_date_utc.timestamp() * 1000)) for entry in listed]

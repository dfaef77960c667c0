"""Where the device's identity key lives: in a file, or in hardware that does not give it away (PKCS #11).

All are keys for ECDSA and ECDH on P-256, the curve that secure elements have. What is imported for one kind is imported
when a device has a key of that kind.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric import ec

from edgefleet_contract.errors import UsageMalformed

FILE = "file"
_PKCS11 = "pkcs11:"


class Signer(Protocol):
    """What an identity key can do. A ``contract.keys.KeyHolder``, and so a signer of DSSE envelopes.

    Raises:
        SignerUnavailable: From every method: the hardware is not there, or does not let us in.
        SignerFailed: It refuses, or answers what makes no sense.
    """

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """The public half."""

    def sign_message(self, message: bytes) -> bytes:
        """ECDSA with SHA-256 over ``message``, as a DER signature."""

    def exchange(self, peer: ec.EllipticCurvePublicKey) -> bytes:
        """The secret shared with ``peer``: 32 bytes, the x coordinate (ECDH, SEC 1 section 3.3.1)."""


def open_signer(place: str, key_file: Path) -> Signer:
    """The signer of an enrolled device.

    Args:
        place: :data:`FILE`, or a PKCS #11 URI.
        key_file: The file of a key in a file.

    Raises:
        DataFolderMalformed: The file holds no such key.
        UsageMalformed: The URI is none.
    """
    if place == FILE:
        from edgefleet_agent.signers.file import FileSigner  # noqa: PLC0415 - see the module's text

        return FileSigner(key_file)
    from edgefleet_agent.signers.pkcs11 import Pkcs11Signer  # noqa: PLC0415 - see the module's text

    return Pkcs11Signer(place)


def check_place(place: str) -> str:
    """``place`` if it can name where a key lives.

    Raises:
        UsageMalformed: It cannot.
    """
    if place == FILE:
        return place
    if place.startswith(_PKCS11):
        try:
            from edgefleet_agent.signers.pkcs11 import parse_uri  # noqa: PLC0415 - see the module's text
        except ModuleNotFoundError as cause:
            raise UsageMalformed(
                f"The package {cause.name!r}, which keys in hardware need, is not installed",
                remedy="Install it: `pip install 'edgefleet[pkcs11]'`.",
            ) from cause
        parse_uri(place)
        return place
    raise UsageMalformed(f"The place of the key is {place!r}", expected=f"{FILE}, or a URI that begins with {_PKCS11}")

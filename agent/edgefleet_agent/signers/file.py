"""An identity key in a file of the data folder, for the owner alone."""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec

from edgefleet_contract import keys
from edgefleet_contract.errors import DataFolderMalformed, StatementMalformed


class FileSigner:
    """A ``Signer`` with the PEM file ``path``; the key is read once.

    Raises:
        DataFolderMalformed: The file holds no P-256 key.
    """

    def __init__(self, path: Path) -> None:
        try:
            key = keys.from_pem(path.read_bytes())
        except (OSError, StatementMalformed) as cause:
            raise DataFolderMalformed(f"The device key {str(path)!r} cannot be read: {cause}") from cause
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise DataFolderMalformed(f"The device key {str(path)!r} is of another kind", expected="ECDSA on P-256")
        self._key = key

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """As ``Signer``."""
        return self._key.public_key()

    def sign_message(self, message: bytes) -> bytes:
        """As ``Signer``."""
        return keys.sign(self._key, message)

    def exchange(self, peer: ec.EllipticCurvePublicKey) -> bytes:
        """As ``Signer``."""
        return self._key.exchange(ec.ECDH(), peer)

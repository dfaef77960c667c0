"""Who this device is: its key, its certificate, the fleet's authority, and where the broker listens."""

from __future__ import annotations

from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec

from edgefleet_agent.disk import Disk
from edgefleet_agent.folder import DataFolder
from edgefleet_agent.private import Holder
from edgefleet_contract import canonical, dsse, keys
from edgefleet_contract.enrolment import BrokerAddress
from edgefleet_contract.errors import DataFolderMalformed, NotEnrolled, StatementMalformed

VERSION = 1
_LIMIT = 64 * 1024  # bytes of any file here


class Card(msgspec.Struct, frozen=True):
    """What enrolment made of this device; written last, so that its presence means that all else is there.

    Attributes:
        device: The device id.
        hardware: What was declared.
        server: URL of the fleet server's device listener.
        broker: Where the broker listens.
    """

    v: int
    device: str
    hardware: str
    server: str
    broker: BrokerAddress


class Identity:
    """The identity of an enrolled device, read from its data folder.

    Attributes:
        card: Who and where.
        key_file, certificate_file, authority_file: PEM files for TLS.

    Raises:
        NotEnrolled: The folder holds no identity.
        DataFolderMalformed: It holds one that cannot be read.
    """

    def __init__(self, folder: DataFolder) -> None:
        card_file = card_path(folder)
        if not card_file.is_file():
            raise NotEnrolled(
                f"The data folder {str(folder.root)!r} holds no identity",
                remedy="Enroll the device with `edgefleet-agent enroll --server URL --token TOKEN --data FOLDER`.",
            )
        self.card = canonical.decode(
            card_file.read_bytes(), Card, what="identity card", limit=_LIMIT, error=DataFolderMalformed
        )
        if self.card.v != VERSION:
            raise DataFolderMalformed(
                f"The identity in {str(folder.root)!r} has version {self.card.v}",
                expected=str(VERSION),
                remedy="Update the agent.",
            )
        self.key_file = key_path(folder)
        self.certificate_file = certificate_path(folder)
        self.authority_file = authority_path(folder)
        try:
            self._key = keys.device_key_from_pem(self.key_file.read_bytes())
        except (OSError, StatementMalformed) as cause:
            raise DataFolderMalformed(f"The device key {str(self.key_file)!r} cannot be read: {cause}") from cause

    def holders(self) -> list[Holder]:
        """Whoever can open what was wrapped to this device, the newest key first."""
        return [self]

    def public_key(self) -> ec.EllipticCurvePublicKey:
        """Of the device."""
        return self._key.public_key()

    def exchange(self, peer: ec.EllipticCurvePublicKey) -> bytes:
        """ECDH with the device's key: the x coordinate of the shared point."""
        return self._key.exchange(ec.ECDH(), peer)

    def sign(self, payload: bytes, payload_type: str) -> bytes:
        """A DSSE envelope around ``payload`` by the device key."""
        return dsse.sign(payload, payload_type, [self._key])


def save_card(disk: Disk, folder: DataFolder, card: Card) -> None:
    """Make the enrolment final."""
    disk.write(card_path(folder), canonical.encode(card))


def card_path(folder: DataFolder) -> Path:
    """The identity card."""
    return folder.identity / "card.json"


def key_path(folder: DataFolder) -> Path:
    """The device's private key, PEM, for the owner alone."""
    return folder.identity / "device.key"


def request_path(folder: DataFolder) -> Path:
    """The certificate signing request: kept, so that a retry is the same request."""
    return folder.identity / "device.csr"


def certificate_path(folder: DataFolder) -> Path:
    """The device's certificate, PEM."""
    return folder.identity / "device.pem"


def authority_path(folder: DataFolder) -> Path:
    """The fleet's certificate authority, PEM."""
    return folder.identity / "authority.pem"

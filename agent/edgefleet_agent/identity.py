"""Who this device is: its key, its certificate, the fleet's authority, and where the broker listens.

Key and certificate come in generations, each a set of files; the card names the one that counts.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from edgefleet_agent.disk import Disk
from edgefleet_agent.folder import DataFolder
from edgefleet_agent.private import Holder
from edgefleet_agent.signers import FILE, Signer, open_signer
from edgefleet_contract import canonical, dsse
from edgefleet_contract.enrolment import BrokerAddress
from edgefleet_contract.errors import DataFolderMalformed, NotEnrolled

VERSION = 1
FIRST = 1  # generation
_LIMIT = 64 * 1024  # bytes of any file here


class Card(msgspec.Struct, frozen=True):
    """What enrolment, or the last renewal, made of this device; written last, so that all else is there if it is.

    Attributes:
        device: The device id.
        hardware: What was declared.
        server: URL of the fleet server's device listener.
        broker: Where the broker listens.
        renew_at: When the certificate is to be renewed, in UTC milliseconds.
        generation: Of key and certificate.
        key: Where the identity key lives, as ``signers.open_signer`` takes it.
    """

    v: int
    device: str
    hardware: str
    server: str
    broker: BrokerAddress
    renew_at: int
    generation: int = FIRST
    key: str = FILE


class Identity:
    """The identity of an enrolled device, read from its data folder.

    Attributes:
        card: Who and where.
        signer: The identity key.
        key_file, certificate_file, authority_file: PEM files for TLS.

    Raises:
        NotEnrolled: The folder holds no identity.
        DataFolderMalformed: It holds one that cannot be read.
    """

    def __init__(self, folder: DataFolder) -> None:
        self._folder = folder
        self.authority_file = authority_path(folder)
        self.reload()

    def reload(self) -> None:
        """Read it again: it has been renewed. After an error it is what it was."""
        card = _load_card(self._folder)
        key_file = key_path(self._folder, card.generation)
        self.signer: Signer = open_signer(card.key, key_file)
        self.card, self.key_file = card, key_file
        self.certificate_file = certificate_path(self._folder, card.generation)

    def holders(self) -> list[Holder]:
        """Whoever can open what was wrapped to this device, the newest key first."""
        older = key_path(self._folder, self.card.generation - 1)
        if self.card.key == FILE and older.is_file():
            return [self.signer, open_signer(FILE, older)]
        return [self.signer]

    def sign(self, payload: bytes, payload_type: str) -> bytes:
        """A DSSE envelope around ``payload`` by the identity key."""
        return dsse.sign(payload, payload_type, [self.signer])


def _load_card(folder: DataFolder) -> Card:
    card_file = card_path(folder)
    if not card_file.is_file():
        raise NotEnrolled(
            f"The data folder {str(folder.root)!r} holds no identity",
            remedy="Enroll the device with `edgefleet-agent enroll --server URL --token TOKEN --data FOLDER`.",
        )
    card = canonical.decode(card_file.read_bytes(), Card, what="identity card", limit=_LIMIT, error=DataFolderMalformed)
    if card.v != VERSION:
        raise DataFolderMalformed(
            f"The identity in {str(folder.root)!r} has version {card.v}",
            expected=str(VERSION),
            remedy="Update the agent.",
        )
    return card


def save_card(disk: Disk, folder: DataFolder, card: Card) -> None:
    """Make an enrolment or a renewal final."""
    disk.write(card_path(folder), canonical.encode(card))


def card_path(folder: DataFolder) -> Path:
    """The identity card."""
    return folder.identity / "card.json"


def key_path(folder: DataFolder, generation: int = FIRST) -> Path:
    """The private key of the certificate, PEM, for the owner alone."""
    return folder.identity / f"device-{generation}.key"


def request_path(folder: DataFolder, generation: int = FIRST) -> Path:
    """The certificate signing request: kept, so that a retry is the same request."""
    return folder.identity / f"device-{generation}.csr"


def certificate_path(folder: DataFolder, generation: int = FIRST) -> Path:
    """The device's certificate, PEM."""
    return folder.identity / f"device-{generation}.pem"


def remove_older(disk: Disk, folder: DataFolder, generation: int) -> None:
    """Remove the files of all generations before ``generation``, but the key of the last: it may still open things."""
    for path in sorted(folder.identity.glob("device-*.*")):
        number = path.stem.removeprefix("device-")
        is_last_key = path == key_path(folder, generation - 1)
        if number.isdecimal() and int(number) < generation and not is_last_key:
            disk.remove(path)


def authority_path(folder: DataFolder) -> Path:
    """The fleet's certificate authority, PEM."""
    return folder.identity / "authority.pem"

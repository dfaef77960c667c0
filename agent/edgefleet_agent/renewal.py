"""Renewal of the device's certificate: a process of its own that the agent starts when it is due.

The next key, request and certificate are files of their own; the card that names them is written last. So the old
identity is whole until the new one is, and what an interrupted attempt left is what the next one sends: the server
answers the same request with the same certificate.

Run as ``python -m edgefleet_agent.renewal FOLDER NOW``; a refusal is told on stdout as JSON, and by the exit status.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from edgefleet_agent import certificate, identity
from edgefleet_agent.disk import Disk
from edgefleet_agent.folder import DataFolder
from edgefleet_agent.identity import Card, Identity
from edgefleet_agent.listener import Server, exchange, parse_server, trusting
from edgefleet_contract import canonical, dsse, enrolment
from edgefleet_contract.enrolment import RENEW_PATH, VERSION, RenewalRequest, RenewalResponse
from edgefleet_contract.errors import EdgefleetError

Ask = Callable[[bytes], bytes]
"""Sends an envelope to the server, and returns its answer."""


def renew(folder: DataFolder, disk: Disk, now: int, ask: Ask) -> Card:
    """Get the next certificate, and make it the identity.

    Args:
        folder: Of an enrolled device.
        disk: The door.
        now: UTC milliseconds.
        ask: Sends the request.

    Raises:
        EdgefleetError: What the server said, or the disk or signer; the identity is what it was.
        IdentityMismatch: The answer is no certificate of ours.
    """
    mine = Identity(folder)
    generation = mine.card.generation + 1
    key, csr = certificate.request_for_next(disk, folder, generation)
    request = RenewalRequest(VERSION, mine.card.device, csr.decode(), now, secrets.token_hex(16))
    answer = enrolment.decode(ask(mine.sign(canonical.encode(request), dsse.RENEWAL)), RenewalResponse)
    certificate.check(answer.certificate, mine.card.device, key.public_key(), mine.authority_file.read_bytes())
    return adopt(folder, disk, mine.card, answer.certificate)


def adopt(folder: DataFolder, disk: Disk, card: Card, issued: str) -> Card:
    """Make the next generation, whose certificate is ``issued``, the identity; the older ones are removed."""
    generation = card.generation + 1
    disk.write(identity.certificate_path(folder, generation), issued.encode())
    renewed = msgspec.structs.replace(card, generation=generation, renew_at=certificate.renewal_time(issued))
    identity.save_card(disk, folder, renewed)
    identity.remove_older(disk, folder, generation)
    return renewed


def server_of(mine: Identity) -> Server:
    """The device listener that the device enrolled at."""
    return parse_server(mine.card.server)


def _ask_server(folder: DataFolder, now: int) -> Ask:
    mine = Identity(folder)
    server, context = server_of(mine), trusting(mine.authority_file.read_bytes())
    return lambda envelope: exchange(server, context, "POST", RENEW_PATH, envelope, now)


def main(root: str, now_ms: str) -> int:
    """Renew the identity of one data folder, whose agent waits for it and says what time it is; the exit status."""
    folder = DataFolder(Path(root))
    try:
        renew(folder, Disk(), int(now_ms), _ask_server(folder, int(now_ms)))
    except EdgefleetError as error:
        sys.stdout.buffer.write(canonical.encode(error.as_json()))
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2]))

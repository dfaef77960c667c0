"""The publisher's trust root, between this machine and a server: keys are made only for a server that has none yet."""

from __future__ import annotations

from edgefleet_contract.errors import Conflict
from edgefleet_server.cli import output
from edgefleet_server.client import Client
from edgefleet_server.home import home
from edgefleet_server.publisher import Publisher


def check_root(client: Client, publisher: Publisher) -> None:
    """Ask the server for its trust root, before anything is made.

    Raises:
        Conflict: It has one, and there are no keys here.
        EdgefleetError: It does not answer, or not to us.
    """
    present = client.get("/root")["digest"]
    if present is not None and not publisher.has_keys:
        raise Conflict(
            f"This server's trust root is {present[:16]}, and there are no keys in {str(home())!r}",
            remedy="Use the keys that this fleet was begun with: copy the EDGEFLEET_HOME that has them.",
            present=present,
        )


def send_root(client: Client, publisher: Publisher) -> bytes:
    """Give the server the trust root of this machine, whose keys are made if there are none; returns its envelope.

    Raises:
        Conflict: The server has another one.
        OutputUnwritable: The keys cannot be written.
    """
    if publisher.ensure():
        output.note(f"Made signing keys in {home()}. Keep a copy: without them this fleet takes no new release.")
    root = publisher.root_envelope()
    client.send("PUT", "/root", root)
    return root

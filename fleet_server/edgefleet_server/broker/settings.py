"""What every broker child is told, and the queue limits that were chosen for it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from edgefleet_contract import blocks, messages
from edgefleet_server.authority import SERVER_NAME, Credentials

# MQTT ends at the broker, which drops silently above its queue limits (MQTT 3.1.1 has no way to say so). A device asks
# for one window of blocks at a time, so a window must fit; the server must be able to fall behind a reconnecting fleet.
QUEUED_MESSAGES = 50_000
QUEUED_BYTES = 64 * 1024 * 1024
INFLIGHT_MESSAGES = 1000
MESSAGE_BYTES = max(messages.MESSAGE_LIMIT, blocks.BLOCK_BYTES) + 64 * 1024  # header, and signatures around a payload


@dataclass(frozen=True)
class BrokerSettings:
    """Where a broker listens, and by what it is known.

    Attributes:
        folder: The broker's own folder, which only this user can read.
        host, port: "" listens everywhere.
        authority: PEM of the authority that issues clients' certificates.
        listener: The broker's certificate.
        servers: Names of the server processes, each with a certificate of its own: two that shared one would evict
            each other at every reconnection.
        is_child: Whether the server starts it, in ``folder``.
    """

    folder: Path
    host: str
    port: int
    authority: Path
    listener: Credentials
    servers: tuple[str, ...] = (SERVER_NAME,)
    is_child: bool = True

    @property
    def revocations(self) -> Path:
        """The list of certificates that are no longer good."""
        return self.folder / "revoked.crl"

    @property
    def door(self) -> Path:
        """The Unix socket through which the server ends sessions; amqtt has none."""
        return self.folder / "kick.sock"

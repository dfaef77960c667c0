"""What the routes and the workers of a server both use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from edgefleet_server.audit.change import Change
from edgefleet_server.clock import Clock
from edgefleet_server.db import Database
from edgefleet_server.metrics import Metrics
from edgefleet_server.releases.blobs import BlobStore
from edgefleet_server.releases.content_keys import ContentKeys
from edgefleet_server.telemetry.references import References
from edgefleet_server.users.roles import Principal


@dataclass(frozen=True)
class Core:
    """Clock, storage and counters."""

    clock: Clock
    database: Database
    blobs: BlobStore
    content_keys: ContentKeys
    references: References
    metrics: Metrics

    @contextmanager
    def change(self, who: Principal | str, origin: str | None = None) -> Iterator[Change]:
        """A transaction in which ``who`` does something: whoever makes a request, or a name and an address."""
        name, address = (who.name, who.origin) if isinstance(who, Principal) else (who, origin)
        with self.database.write() as session:
            yield Change(session, self.clock(), name, address)

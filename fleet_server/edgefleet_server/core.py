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
    def change(self, actor: str) -> Iterator[Change]:
        """A transaction in which ``actor`` does something."""
        with self.database.write() as session:
            yield Change(session, self.clock(), actor)

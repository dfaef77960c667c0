"""Stored files that the disk has lost: devices wait for them, and only a person can bring them back."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from edgefleet_server.alerts import service as alerts
from edgefleet_server.alerts.models import Alert
from edgefleet_server.audit.change import POLICY, Change
from edgefleet_server.clock import Clock
from edgefleet_server.db import Database
from edgefleet_server.releases.blobs import BlobStore
from edgefleet_server.releases.models import Blob, ReleasedBundle


class StorageWatch:
    """Opens an alert for each stored file that is gone or too short, and resolves it when the file is back."""

    def __init__(self, database: Database, clock: Clock, blobs: BlobStore) -> None:
        self._database = database
        self._clock = clock
        self._blobs = blobs

    def alarm(self, sha256: str) -> None:
        """This file could not be read: open its alert, unless there is one."""
        with self._database.write() as session:
            if _cause(sha256) not in _alarmed(session):
                self._raise(Change(session, self._clock(), POLICY), sha256)

    def look(self) -> None:
        """Hold the folder against the database: sizes only, for contents are hashed by every device."""
        with self._database.read() as session:
            known = {blob.sha256: blob.size for blob in session.scalars(select(Blob))}
            alarmed = _alarmed(session)
        lost = {sha256 for sha256, size in known.items() if self._blobs.size(sha256) != size}
        back = {sha256 for sha256 in known.keys() - lost if _cause(sha256) in alarmed}
        if lost or back:
            with self._database.write() as session:
                change = Change(session, self._clock(), POLICY)
                for sha256 in sorted(lost):
                    self._raise(change, sha256)
                for sha256 in sorted(back):
                    alerts.resolve(change, _cause(sha256))

    def _raise(self, change: Change, sha256: str) -> None:
        uses = select(ReleasedBundle).where(
            (ReleasedBundle.sha256 == sha256)
            | (ReleasedBundle.reference_sha256 == sha256)
            | (ReleasedBundle.vectors_sha256 == sha256)
        )
        labels = sorted({bundle.release.label for bundle in change.session.scalars(uses)})
        alerts.raise_alert(
            change,
            kind="storage",
            cause=_cause(sha256),
            text=f"The stored file {self._blobs.path(sha256)} of {', '.join(labels) or 'rollout vectors'} is gone or "
            "damaged, and devices wait for it. Push the release again, or bring the file back from a copy",
        )


def _alarmed(session: Session) -> set[str]:
    """The causes of open alerts."""
    return set(session.scalars(select(Alert.cause).where(Alert.kind == "storage", Alert.resolved_at.is_(None))))


def _cause(sha256: str) -> str:
    return f"storage:{sha256}"

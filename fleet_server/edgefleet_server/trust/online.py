"""What the server itself signs: which metadata belong together (snapshot), and that this is still so (timestamp)."""

from __future__ import annotations

from dataclasses import dataclass

from securesystemslib.signer import Signer
from tuf.api.metadata import Metadata, MetaFile, Snapshot, Timestamp

from edgefleet_contract.trust.repository import ONLINE_LIFE
from edgefleet_server.clock import as_datetime
from edgefleet_server.trust.repository import Repository, to_bytes


@dataclass(frozen=True)
class OnlineMetadata:
    """Snapshot and timestamp, with their version."""

    version: int
    snapshot: bytes
    timestamp: bytes


def sign(repository: Repository, signer: Signer, version: int, now: int) -> OnlineMetadata:
    """Snapshot and timestamp of ``repository``, both of one ``version``.

    Args:
        repository: With targets.
        signer: The online key.
        version: See :func:`next_version`.
        now: UTC milliseconds.
    """
    expires = as_datetime(now) + ONLINE_LIFE
    versions = {role: number for role, number in repository.versions().items() if role != "root"}
    snapshot = Metadata(
        Snapshot(version, expires=expires, meta={f"{role}.json": MetaFile(number) for role, number in versions.items()})
    )
    snapshot.sign(signer)
    timestamp = Metadata(Timestamp(version, expires=expires, snapshot_meta=MetaFile(version)))
    timestamp.sign(signer)
    return OnlineMetadata(version, to_bytes(snapshot), to_bytes(timestamp))


def next_version(present: int, now: int) -> int:
    """Above what the database has, and, since a restored one has forgotten some, above the clock's seconds."""
    return max(present + 1, now // 1000)

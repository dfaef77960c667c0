"""The reference sketches of released bundles, decoded once."""

from __future__ import annotations

from functools import lru_cache

from sqlalchemy import select
from sqlalchemy.orm import Session

from edgefleet_contract import sketches
from edgefleet_contract.sketches import Reference
from edgefleet_server.releases.blobs import BlobStore
from edgefleet_server.releases.models import ReleasedBundle

_CACHED = 64


class References:
    """Finds the reference of a bundle."""

    def __init__(self, blobs: BlobStore) -> None:
        self._known: dict[str, str] = {}  # references by bundle, of those that were asked for
        self._decoded = lru_cache(_CACHED)(lambda sha256: sketches.decode_reference(blobs.path(sha256).read_bytes()))

    def of(self, session: Session, digest: str) -> tuple[str, Reference] | None:
        """SHA-256 and contents of the bundle's reference; None when the bundle is unknown, or has or kept none."""
        sha256 = self._known.get(digest)
        if sha256 is None:
            sha256 = session.scalar(select(ReleasedBundle.reference_sha256).where(ReleasedBundle.digest == digest))
        if sha256 is None:
            return None
        self._known[digest] = sha256  # bundles never change
        try:
            return sha256, self._decoded(sha256)
        except OSError:
            return None  # the storage watch tells operators of it

"""Certificates, revocations, batches, replaced and retired devices."""

from __future__ import annotations

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Apply. The way back is the copy of the data folder that was made before."""

"""Releases as a TUF repository, permits."""

from __future__ import annotations

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Apply. The way back is the copy of the data folder that was made before."""

"""Signed time and acknowledgements."""

from __future__ import annotations

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Apply. The way back is the copy of the data folder that was made before."""

"""Users, roles, tokens, the chain of the audit log."""

from __future__ import annotations

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Apply. The way back is the copy of the data folder that was made before."""

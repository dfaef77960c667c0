"""Private bundles, samples."""

from __future__ import annotations

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Apply. The way back is the copy of the data folder that was made before."""

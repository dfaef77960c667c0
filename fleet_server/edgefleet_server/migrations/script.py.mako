"""${message}."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}


def upgrade() -> None:
    """Apply. The way back is the copy of the data folder that was made before."""
    ${upgrades if upgrades else "pass"}

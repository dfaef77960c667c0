"""Releases as a TUF repository, which can be withdrawn; permits.

What was signed before was signed in another form: releases stay in the list, and can be rolled out again once they are
pushed again.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Apply. The way back is the copy of the data folder that was made before."""
    op.create_table(
        "trust_metadata",
        sa.Column("role", sa.String(length=64), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("stored_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("role", "version", name=op.f("pk_trust_metadata")),
    )
    op.create_table(
        "permits",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("devices", sa.JSON(), nullable=False),
        sa.Column("envelope", sa.LargeBinary(), nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=False),
        sa.Column("stored_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_permits")),
    )
    op.create_index(op.f("ix_permits_digest"), "permits", ["digest"])
    op.drop_table("trust_roots")
    with op.batch_alter_table("releases") as releases:
        releases.drop_column("statement")
        releases.add_column(sa.Column("withdrawn_at", sa.BigInteger(), nullable=True))
    with op.batch_alter_table("assignments") as assignments:
        assignments.add_column(sa.Column("key_id", sa.String(length=64), nullable=True))

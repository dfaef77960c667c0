"""Users, roles, tokens, the chain of the audit log."""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

from edgefleet_server.audit import append_only, chain

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Apply. The way back is the copy of the data folder that was made before."""
    op.create_table(
        "users",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("password", sa.String(length=256), nullable=True),
        sa.Column("setup_sha256", sa.LargeBinary(length=32), nullable=True),
        sa.Column("setup_expires", sa.BigInteger(), nullable=True),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("last_sign_in", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_users")),
    )
    op.create_table(
        "api_tokens",
        sa.Column("id", sa.String(length=16), nullable=False),
        sa.Column("secret_sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("label", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=True),
        sa.Column("created_by", sa.String(length=80), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("last_used", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_api_tokens")),
    )
    op.create_table(
        "sessions",
        sa.Column("sha256", sa.LargeBinary(length=32), nullable=False),
        sa.Column("user_name", sa.String(length=64), nullable=True),
        sa.Column("token_id", sa.String(length=16), nullable=True),
        sa.Column("admin_token", sa.LargeBinary(length=32), nullable=True),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["user_name"], ["users.name"], name=op.f("fk_sessions_user_name"), ondelete="CASCADE"),
        sa.ForeignKeyConstraint(["token_id"], ["api_tokens.id"], name=op.f("fk_sessions_token_id"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_sessions")),
    )
    op.create_index(op.f("ix_sessions_expires_at"), "sessions", ["expires_at"], unique=False)
    op.create_index(op.f("ix_sessions_user_name"), "sessions", ["user_name"], unique=False)
    _chain_the_log()


def _chain_the_log() -> None:
    """Give the entries of before their hashes, and let nobody change an entry from now on."""
    op.add_column("audit_log", sa.Column("origin", sa.String(length=45), nullable=True))
    op.add_column("audit_log", sa.Column("hash", sa.String(length=64), nullable=True))
    connection = op.get_bind()
    last = chain.START
    written = connection.execute(
        sa.text("SELECT id, at, actor, act, device_id, rollout_id, details FROM audit_log ORDER BY id")
    ).all()
    for number, at, actor, act, device, rollout, details in written:
        said = json.loads(details) if isinstance(details, str) else details
        entry = {
            "id": number, "at": at, "actor": actor, "act": act, "device": device,
            "rollout": f"r{rollout}" if rollout is not None else None, "origin": None, "details": said,
        }  # fmt: skip
        last = chain.link(last, entry)
        connection.execute(sa.text("UPDATE audit_log SET hash = :hash WHERE id = :id"), {"hash": last, "id": number})
    with op.batch_alter_table("audit_log") as table:
        table.alter_column("hash", existing_type=sa.String(length=64), nullable=False)
        table.alter_column("actor", existing_type=sa.String(length=64), type_=sa.String(length=80))
    for statement in append_only.STATEMENTS[connection.dialect.name]:
        op.execute(statement)

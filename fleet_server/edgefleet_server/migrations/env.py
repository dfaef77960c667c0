"""Run by Alembic: applies migrations on the connection that ``migrate`` hands over."""

from __future__ import annotations

from alembic import context

from edgefleet_server.models import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    # SQLite alters tables by copying them.
    render_as_batch=True,
    compare_type=True,
)
with context.begin_transaction():
    context.run_migrations()

"""What makes the database itself refuse to change or remove an audit entry, in each kind of database.

This stops mistakes and whoever got hold of a statement; whoever can alter the schema is found out by the chain.
"""

from __future__ import annotations

_SQLITE = (
    """
    CREATE TRIGGER audit_log_no_update BEFORE UPDATE ON audit_log
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END
    """,
    """
    CREATE TRIGGER audit_log_no_delete BEFORE DELETE ON audit_log
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END
    """,
    # `INSERT OR REPLACE` removes a row without asking the trigger above, so a place that is taken is refused as well.
    """
    CREATE TRIGGER audit_log_at_the_end BEFORE INSERT ON audit_log
    WHEN EXISTS (SELECT 1 FROM audit_log WHERE id >= NEW.id)
    BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END
    """,
)
_POSTGRESQL = (
    """
    CREATE FUNCTION refuse_change_of_audit_log() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$
    """,
    """
    CREATE TRIGGER audit_log_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change_of_audit_log()
    """,
)

STATEMENTS = {"sqlite": _SQLITE, "postgresql": _POSTGRESQL}

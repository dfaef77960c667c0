"""The database's schema: brought up to date by Alembic, refused when it is newer than this program."""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from edgefleet_contract.errors import DataFolderMalformed, ServerDiskFailed
from edgefleet_server.db import Database
from edgefleet_server.storage import telling_disk_failures


def prepare(database: Database) -> None:
    """Make the schema of a new database; accept the one of today.

    Raises:
        DataFolderMalformed: The schema is older (the operator decides when to upgrade), or newer.
    """
    present = _revision(database)
    if present is None:
        upgrade(database)
        return
    newest = _scripts().get_current_head()
    if present != newest:
        check_known(present)
        raise DataFolderMalformed(
            f"The database has the schema {present}, of an older edgefleet",
            expected=str(newest),
            remedy="Copy the data folder, then run `edgefleet server upgrade`.",
        )


def upgrade(database: Database) -> str:
    """Bring the schema up to date, in one transaction; returns its revision.

    Raises:
        DataFolderMalformed: The schema is newer.
    """
    present = _revision(database)
    if present is not None:
        check_known(present)
    with telling_disk_failures(), database.engine.connect() as connection, connection.begin():
        command.upgrade(configuration(connection), "head")
    return str(_revision(database))


def configuration(connection: Connection | None = None) -> Config:
    """Alembic's configuration, made here so that there is no file to find."""
    config = Config()
    config.set_main_option("script_location", "edgefleet_server:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def _revision(database: Database) -> str | None:
    try:
        with telling_disk_failures(), database.engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()
    except ServerDiskFailed as cause:
        if cause.facts.get("sqlite") not in ("SQLITE_NOTADB", "SQLITE_CORRUPT"):
            raise
        path = str(database.engine.url.database)
        raise DataFolderMalformed(
            f"The file {path!r} is not the database of a fleet server: {cause.seen}",
            remedy="Bring it back from a copy of the data folder.",
            path=path,
        ) from cause


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(configuration())


def check_known(revision: str) -> None:
    """Refuse a schema that this version does not know.

    Raises:
        DataFolderMalformed: It is none of ours, or newer.
    """
    if revision not in {script.revision for script in _scripts().walk_revisions()}:
        raise DataFolderMalformed(
            f"The database has the schema {revision}, which this version does not know",
            remedy="A newer edgefleet has used it: update this one.",
        )

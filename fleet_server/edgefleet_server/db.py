"""The database door: typed models, short transactions, and nothing acknowledged before it is on the disk."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import BigInteger, Connection, Engine, Integer, MetaData, create_engine, event, text
from sqlalchemy.engine import make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.pool import ConnectionPoolEntry

from edgefleet_contract.errors import UsageMalformed
from edgefleet_server.storage import telling_disk_failures

_BUSY_TIMEOUT = 30_000  # milliseconds that a writer waits for another one
_WRITES = "edgefleet_writes"

# SQLite counts up only in an INTEGER primary key.
Identity = BigInteger().with_variant(Integer(), "sqlite")


class Base(DeclarativeBase):
    """The parent of all tables; constraint names are fixed so that migrations can speak of them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(column_0_label)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {int: BigInteger()}  # noqa: RUF012 - SQLAlchemy reads it as a class attribute


class Database:
    """Sessions over one engine. A writer takes the database's write lock at once, so that two never meet half-way.

    Args:
        url: SQLAlchemy URL.

    Raises:
        UsageMalformed: The URL names no database that we can use.
    """

    def __init__(self, url: str) -> None:
        self.engine = _engine(url)
        self._writing = self.engine.execution_options(**{_WRITES: True})

    @contextmanager
    def read(self) -> Iterator[Session]:
        """A session that sees one state of the database; nothing of it is kept."""
        with telling_disk_failures(), Session(self.engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def write(self) -> Iterator[Session]:
        """One transaction: durable when this returns, gone when it raises."""
        with telling_disk_failures(), Session(self._writing, expire_on_commit=False) as session, session.begin():
            yield session

    def probe(self) -> None:
        """Write what changes nothing, down to the disk.

        Raises:
            ServerDiskFailed: It did not arrive.
        """
        with self.write() as session:
            session.execute(text("PRAGMA user_version = 0"))  # sets a page's bytes to what they are; nobody reads them

    def scrub(self) -> None:
        """Take what was deleted out of the write-ahead log too: of the pages themselves, SQLite overwrites it at once.

        While somebody reads, a part of the log stays; the next scrub takes it.
        """
        with telling_disk_failures(), self.engine.connect() as connection:
            connection.connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").close()

    def close(self) -> None:
        """Close all connections."""
        self.engine.dispose()


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
    except ArgumentError as cause:
        raise UsageMalformed(f"The database URL is {url!r}", expected="sqlite:////PATH") from cause
    if parsed.get_backend_name() != "sqlite":
        raise UsageMalformed(
            f"The database is {parsed.get_backend_name()!r}",
            expected="sqlite",
            remedy="This version keeps SQLite only.",
        )
    engine = create_engine(parsed, connect_args={"check_same_thread": False}, pool_size=16, max_overflow=32)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _prepare_sqlite(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    # pysqlite would begin transactions by itself, and too late; _begin_sqlite does it.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
        "secure_delete=ON",
        f"busy_timeout={_BUSY_TIMEOUT}",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
